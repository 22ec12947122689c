import * as v from 'valibot';
import { SCHEME_NAMES } from '../../signing/algorithm-text.ts';
import { HASH_NAMES } from '../../signing/hashes.ts';
import { CONTEXT_RULES, DEFAULT_HASHES, MAX_LIFETIME } from '../settings.ts';
import { command, count, setting, text } from './checkers.ts';
import type { KeyPolicySection, TunnelPolicySection } from './document.ts';
import type { Schema } from './schema-types.ts';

type Entries<Section> = { readonly [Name in keyof Section]-?: Schema<Section[Name]> };

/** How often: in a key's section and a tunnel's. */
const rates = (whose: string, option: { readonly rate?: string; readonly burst?: string } = {}) => ({
  rate: v.optional(
    setting(
      {
        takes: 'a number, 1 or more',
        ...(option.rate !== undefined && { option: option.rate }),
        without: 'any number',
        text: `How many signatures a minute ${whose}.`,
      },
      count,
    ),
  ),
  burst: v.optional(
    setting(
      {
        takes: 'a number, 1 or more',
        ...(option.burst !== undefined && { option: option.burst }),
        without: 'as many as `rate`',
        text: 'How many of them at once.',
      },
      count,
    ),
  ),
});

/** The part of a key's section that says what it may sign (docs/POLICY.md). */
export const KEY_POLICY: Entries<KeyPolicySection> = {
  'allow-scheme': v.optional(
    setting(
      {
        takes: `a list of ${SCHEME_NAMES.join(', ')}`,
        option: '--allow-scheme',
        without: 'all',
        text: 'The signature schemes that it may be used with ([POLICY.md](POLICY.md)).',
      },
      v.pipe(v.array(v.picklist(SCHEME_NAMES)), v.nonEmpty()),
    ),
  ),
  'allow-hash': v.optional(
    setting(
      {
        takes: `a list of ${HASH_NAMES.join(', ')}`,
        option: '--allow-hash',
        without: DEFAULT_HASHES.join(', '),
        text: 'The hashes. TLS 1.0 and 1.1 need SHA1 (EC) or MD5-SHA1 (RSA).',
      },
      v.pipe(v.array(v.picklist(HASH_NAMES)), v.nonEmpty()),
    ),
  ),
  context: v.optional(
    setting(
      {
        takes: CONTEXT_RULES.join(', '),
        option: '--context',
        without: "`when-visible`: messages must be a TLS client's, of hashes nothing is seen",
        text: "Whether what is signed must be seen to be for a TLS client's handshake.",
      },
      v.picklist(CONTEXT_RULES),
    ),
  ),
  'require-context': v.optional(
    setting(
      { takes: '"tls-client"', option: '--require-context', text: 'Another word for `context = "require"`.' },
      v.picklist(['tls-client']),
    ),
  ),
  'require-server-ca': v.optional(
    setting(
      {
        takes: 'the path of a file of certificates in PEM',
        option: '--require-server-ca',
        path: 'path',
        text: "The server's certificate must lead to one of these. TLS 1.2 with `digest` only.",
      },
      text,
    ),
  ),
  'require-server-name': v.optional(
    setting(
      {
        takes: 'a common name, a DNS name, or a whole subject such as "C=KG, O=Example, CN=server"',
        option: '--require-server-name',
        text: 'The server must be called so. TLS 1.2 with `digest` only.',
      },
      text,
    ),
  ),
  confirm: v.optional(
    setting(
      {
        takes: 'a command line for /bin/sh',
        option: '--confirm',
        text: 'A command that says yes to each signature by its exit status 0, until `deadline`.',
      },
      command,
    ),
  ),
  lifetime: v.optional(
    setting(
      {
        takes: `seconds, more than 0 and at most ${MAX_LIFETIME}`,
        option: '--lifetime',
        without: 'for ever',
        text: 'How long the key is kept once it is open: `pksigd reload` opens it again.',
      },
      v.pipe(v.number(), v.gtValue(0), v.maxValue(MAX_LIFETIME)),
    ),
  ),
  ...rates('this key may give', { rate: '--rate', burst: '--burst' }),
};

/** The part of a tunnel's section that says how often. */
export const TUNNEL_POLICY: Entries<TunnelPolicySection> = {
  ...rates('this tunnel may have, beside what its key says'),
  'uses-per-connect': v.optional(
    setting(
      {
        takes: 'a number, 1 or more',
        option: '--uses-per-connect',
        without: 'any number',
        text: "How many signatures it may have until the daemon's state changes to CONNECTED, CONNECTING or RECONNECTING.",
      },
      count,
    ),
  ),
};
