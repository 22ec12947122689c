import * as v from 'valibot';
import { LOG_LEVELS } from '../../log-level.ts';
import { RELAY_RIGHTS } from '../../management/index.ts';
import { CERTIFICATE_CHANGE_ACTIONS, HEAL_ACTIONS, TOKEN_REMOVAL_ACTIONS } from '../settings.ts';
import { AGENT } from './agent-schema.ts';
import { ANSWERS } from './answer-schema.ts';
import { AUDIT } from './audit-schema.ts';
import { account, count, setting, table, text, words } from './checkers.ts';
import type { Document, LogSection, StateSection, TokenSection, TunnelSection } from './document.ts';
import { KEY } from './key-schema.ts';
import { TUNNEL_POLICY } from './policy-schema.ts';
import type { Schema } from './schema-types.ts';

const flag = v.boolean();
const seconds = v.pipe(v.number(), v.gtValue(0), v.maxValue(3600));

const WORDS = 'OpenVPN\'s words in one string: "ADDRESS PORT" or "SOCKET unix", and a password file if there is one';
const SOURCE =
  'a source: "file:PATH", "credential:NAME", "command:COMMAND", "pinentry", "askpass" or "prompt", never the secret itself';
const TRUE_FALSE = 'true or false';

const LOG = v.pipe(
  v.object({
    level: v.optional(
      setting(
        { takes: LOG_LEVELS.join(', '), option: '--log-level', text: 'How much to log. The option goes before it.' },
        v.picklist(LOG_LEVELS),
      ),
      'info',
    ),
  }),
  v.metadata({ text: 'The log, on standard error.' }),
);

const STATE = v.pipe(
  v.object({
    directory: v.optional(
      setting(
        {
          takes: 'the path of a folder',
          option: '--state-directory',
          path: 'path',
          without: '`$STATE_DIRECTORY`, else `pksigd` in `$XDG_STATE_HOME` or `~/.local/state`',
          text: 'Where logins are written down before they are made ([PIN.md](PIN.md)).',
        },
        text,
      ),
    ),
  }),
  v.metadata({ text: 'What pksigd remembers over restarts.' }),
);

const TOKEN = v.pipe(
  v.object({
    'pin-source': v.optional(
      setting(
        {
          takes: SOURCE,
          option: '--pin-source',
          path: 'source',
          without: 'the terminal',
          text: "Where PINs and passphrases come from, if a key's URI has no `pin-source`.",
        },
        text,
      ),
    ),
    'allow-pin-command': v.optional(
      setting(
        { takes: TRUE_FALSE, option: '--allow-pin-command', text: "Run a command that a URI's `pin-source` names." },
        flag,
      ),
      false,
    ),
    'use-final-pin-try': v.optional(
      setting(
        {
          takes: TRUE_FALSE,
          option: '--use-final-pin-try',
          text: 'Log in even if the token has one try for its PIN left.',
        },
        flag,
      ),
      false,
    ),
    deadline: v.optional(
      setting(
        {
          takes: 'seconds, more than 0 and at most 3600',
          option: '--deadline',
          text: 'How long one call into a PKCS#11 module, or one request to a program, may take before its process is replaced.',
        },
        seconds,
      ),
      30,
    ),
    module: v.optional(
      setting(
        {
          takes: 'the path of a PKCS#11 module',
          option: '--module',
          path: 'path',
          text: 'The module for URIs that name none, of keys that name none either.',
        },
        text,
      ),
    ),
    'module-hosts': v.optional(
      setting(
        {
          takes: 'a number, 1 or more',
          option: '--module-hosts',
          without: 'one a CPU, 4 at most',
          text: 'How many processes may load one module, while signatures wait.',
        },
        count,
      ),
    ),
    'module-init-args': v.optional(
      setting(
        { takes: 'a string', option: '--module-init-args', text: "The modules' initialisation string (NSS)." },
        text,
      ),
    ),
    'module-env': v.optional(
      setting(
        {
          takes: 'a table of names and strings, such as { NAME = "value" }',
          option: '--module-env',
          text: "Variables for the modules' processes, and for the programs of `exec:` keys. No secrets: all users of the machine can read them.",
        },
        table(v.pipe(v.string(), v.regex(/^[A-Za-z_][A-Za-z0-9_]*$/)), v.string()),
      ),
      {},
    ),
    'module-output': v.optional(
      setting(
        { takes: TRUE_FALSE, option: '--module-output', text: 'Log what modules print: a PIN may be in it.' },
        flag,
      ),
      false,
    ),
  }),
  v.metadata({
    text: 'Tokens and their modules, whichever key is in them. A change here, but of `deadline`, starts all keys and tunnels anew.',
  }),
);

const TUNNEL = v.pipe(
  v.object({
    key: v.optional(
      setting(
        {
          takes: 'the NAME of a [key.NAME]',
          without: 'the only key, if there is one only',
          text: 'Which key signs.',
        },
        text,
      ),
    ),
    'openvpn-config': v.optional(
      setting(
        {
          takes: 'the path of an OpenVPN configuration, or a pattern (*, ?, [a-z]) for several',
          option: '--openvpn-config',
          path: 'path',
          text: 'Takes the management directives from there. With a pattern each file is a tunnel, called as the file without its ending.',
        },
        text,
      ),
    ),
    management: v.optional(
      setting(
        {
          takes: WORDS,
          option: '--management',
          path: 'words',
          text: 'Where the management interface is, in place of `openvpn-config`. The password file may be any source of a secret, or `stdin`.',
        },
        words(2, 3),
      ),
    ),
    'management-client': v.optional(
      setting(
        {
          takes: TRUE_FALSE,
          option: '--management-client',
          text: 'Listen there, for a daemon that has `management-client`.',
        },
        flag,
      ),
    ),
    'management-user': v.optional(
      setting(
        {
          takes: "a user's name or number",
          option: '--management-user',
          without: 'root, and the user who runs pksigd',
          text: "Insist that OpenVPN's end of the connection belongs to this user.",
        },
        account,
      ),
    ),
    'max-daemons': v.optional(
      setting(
        {
          takes: 'a number, 1 or more',
          option: '--max-daemons',
          without: 'over TCP and with a relay 1, else any number',
          text: 'How many daemons that connect to pksigd may be there at a time.',
        },
        count,
      ),
    ),
    'on-token-removal': v.optional(
      setting(
        {
          takes: TOKEN_REMOVAL_ACTIONS.join(', '),
          option: '--on-token-removal',
          text: 'What the daemon is told when the token goes away: nothing, SIGUSR1 or SIGTERM.',
        },
        v.picklist(TOKEN_REMOVAL_ACTIONS),
      ),
      'none',
    ),
    'on-certificate-change': v.optional(
      setting(
        {
          takes: CERTIFICATE_CHANGE_ACTIONS.join(', '),
          option: '--on-certificate-change',
          text: 'What the daemon is told when the key has another certificate: nothing, or SIGUSR1, so that it asks for it anew; SIGHUP if it does not.',
        },
        v.picklist(CERTIFICATE_CHANGE_ACTIONS),
      ),
      'none',
    ),
    heal: v.optional(
      setting(
        {
          takes: HEAL_ACTIONS.join(', '),
          option: '--heal',
          text: 'What becomes of a daemon that waits for an answer and takes none, since a connection was lost inside one: SIGUSR1, once, or nothing.',
        },
        v.picklist(HEAL_ACTIONS),
      ),
      'restart',
    ),
    ...TUNNEL_POLICY,
    relay: v.optional(
      setting(
        {
          takes: WORDS,
          option: '--relay',
          path: 'words',
          text: 'Let other management clients in behind pksigd, at this address ([RELAY.md](RELAY.md)).',
        },
        words(2, 3),
      ),
    ),
    'relay-allow': v.optional(
      setting(
        {
          takes: RELAY_RIGHTS.join(', '),
          option: '--relay-allow',
          without: 'read',
          text: 'What clients of the relay may do.',
        },
        v.picklist(RELAY_RIGHTS),
      ),
    ),
    'relay-mode': v.optional(
      setting(
        {
          takes: 'an octal mode in quotes, such as "0660"',
          option: '--relay-mode',
          without: '0600, with a group 0660',
          text: "Mode of the relay's unix socket.",
        },
        v.pipe(v.string(), v.regex(/^0?[0-7]{3}$/)),
      ),
    ),
    'relay-group': v.optional(
      setting(
        { takes: "a group's name or number", option: '--relay-group', text: "Group of the relay's unix socket." },
        account,
      ),
    ),
    'relay-keep': v.optional(
      setting(
        {
          takes: TRUE_FALSE,
          option: '--relay-keep',
          text: "Keep the relay's clients connected while the daemon is away.",
        },
        flag,
      ),
    ),
    ...ANSWERS,
  }),
  v.metadata({
    text: 'An OpenVPN daemon to serve. `NAME` is yours, and stands in the log as `tunnel`. Any number; one that fails disturbs no other.',
  }),
);

/** Names of keys and tunnels. */
const NAME = v.pipe(v.string(), v.regex(/^(?!(?:constructor|prototype)$)[A-Za-z0-9][A-Za-z0-9._@-]*$/));
export const NAME_TAKES = 'letters, digits, and . _ @ - behind the first of them';

/**
 * The sections of a file, of `[key.NAME]` and `[tunnel.NAME]` one. A further section is a row here, a field of
 * {@link Document}, and what is made of it in `build.ts`.
 */
export const SECTIONS: { readonly [Name in keyof Document]: Schema } = {
  log: LOG satisfies Schema<LogSection>,
  state: STATE satisfies Schema<StateSection>,
  agent: AGENT,
  audit: AUDIT,
  token: TOKEN satisfies Schema<TokenSection>,
  key: v.record(NAME, KEY),
  tunnel: v.record(NAME, TUNNEL satisfies Schema<TunnelSection>),
};
