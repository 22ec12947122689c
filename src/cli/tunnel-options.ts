import { type Command, InvalidArgumentError, Option } from 'commander';
import { LOG_LEVELS, type LogLevel } from '../log-level.ts';
import { RELAY_RIGHTS } from '../management/index.ts';
import { HEAL_ACTIONS } from '../config/settings.ts';
import { count, withPolicyOptions } from './policy-options.ts';

// What run, check, sign and keys say of keys, tokens and tunnels.

function seconds(text: string): number {
  const value = Number(text);
  if (!(value > 0 && value <= 3600)) throw new InvalidArgumentError('give seconds, more than 0 and at most 3600.');
  return value * 1000;
}

export function managementUserOption(): Option {
  return new Option(
    '--management-user <user>',
    "insist that OpenVPN's end of the management connection belongs to this user: a name or a number",
  );
}

export function keyOption(): Option {
  return new Option(
    '--key <key>',
    'the private key: a file, a pkcs11: URI or exec:PROGRAM; further --key are copies of the same key',
  ).argParser((key, keys: readonly string[] | undefined) => [...(keys ?? []), key]);
}

export function selectOption(): Option {
  return new Option(
    '--select <words...>',
    'what the certificate must be, where --key fits several: SUBJ:, ISSUER:, THUMB:, SERIAL:, EKU:, TMPL:; the newest valid one is taken',
  );
}

export function withTokenOptions(command: Command, logLevel: LogLevel): Command {
  return command
    .optionsGroup('PIN and module:')
    .option(
      '--pin-source <source>',
      'where the PIN or passphrase comes from: a file, credential:NAME, command:COMMAND, pinentry, askpass, prompt',
    )
    .option('--use-final-pin-try', 'log in even if the token allows only one more try of its PIN')
    .option(
      '--state-directory <path>',
      'where refused PINs are remembered (default: $STATE_DIRECTORY, or ~/.local/state/pksigd)',
    )
    .option('--module-init-args <text>', "the module's initialisation string (NSS: \"configdir='sql:…'\")")
    .option('--module-env <name=value...>', "variables for the module's process, and for the programs of exec: keys")
    .option('--module-output', 'log what the module prints; modules that are told to debug print the PIN')
    .option('--allow-pin-command', 'run the command that a pkcs11: URI names as its pin-source')
    .addOption(
      new Option(
        '--deadline <seconds>',
        'how long one call into the PKCS#11 module, or one request to a program, may take',
      )
        .argParser(seconds)
        .default(30_000, '30'),
    )
    .optionsGroup('Options:')
    .addOption(new Option('--log-level <level>', 'how much to log').choices(LOG_LEVELS).default(logLevel));
}

export function withKeyOptions(command: Command, logLevel: LogLevel): Command {
  command
    .optionsGroup('PIN and module:')
    .option('--module <path>', 'the PKCS#11 module for URIs that name none')
    .option('--allow-readable-key', 'take a key file that group or others can read');
  return withTokenOptions(command, logLevel);
}

function withAnswerOptions(command: Command): Command {
  const source = 'a file, credential:NAME or command:COMMAND';
  return command
    .optionsGroup("Answers to OpenVPN's questions:")
    .option('--auth-user <name>', 'the username for OpenVPN, where --auth-user-pass gives the password alone')
    .option('--auth-user-pass <source>', `where username and password for OpenVPN come from, in two lines: ${source}`)
    .option('--askpass <source>', "where the password of OpenVPN's own private key comes from")
    .option('--http-proxy-user-pass <source>', 'where username and password for its HTTP proxy come from')
    .option('--socks-proxy-user-pass <source>', 'where username and password for its SOCKS proxy come from')
    .option('--challenge-command <command>', 'reads a challenge of the server and prints the response: a one-time code')
    .option('--open-url-command <command>', 'reads a link by which a person logs in, and opens it')
    .option('--answer-needok <name=answer...>', 'what OpenVPN gets that wants something confirmed: ok or cancel')
    .option('--answer-needstr <name=text...>', 'what OpenVPN gets that wants to know something')
    .option('--answer-remote <words...>', 'what it gets by management-query-remote: ACCEPT, SKIP, MOD HOST PORT')
    .option(
      '--answer-proxy <words...>',
      'what it gets by management-query-proxy: NONE, HTTP HOST PORT, SOCKS HOST PORT',
    );
}

export function withTunnelOptions(command: Command): Command {
  return withAnswerOptions(withPolicyOptions(withServingOptions(command)));
}

function withServingOptions(command: Command): Command {
  return command
    .optionsGroup('Tunnels:')
    .option(
      '--management <address...>',
      "OpenVPN's words: ADDRESS PORT [PASSWORD-FILE], or SOCKET unix [PASSWORD-FILE]",
    )
    .option('--management-client', 'listen at the --management address for a daemon that has --management-client')
    .addOption(managementUserOption())
    .addOption(
      new Option(
        '--max-daemons <number>',
        'how many daemons with --management-client may be connected at a time (default: over TCP 1, on a unix socket any)',
      ).argParser(count),
    )
    .option(
      '--openvpn-config <file...>',
      'take the management directives from OpenVPN configurations, each a tunnel: files, or patterns in quotes',
    )
    .optionsGroup('Key and certificate:')
    .addOption(keyOption())
    .option(
      '--cert <cert>',
      "the key's certificate, a file, a pkcs11: URI or exec:PROGRAM, which OpenVPN gets by management-external-cert",
    )
    .addOption(selectOption())
    .addOption(
      new Option(
        '--on-token-removal <action>',
        'what to send the daemon when the token is removed: restart sends SIGUSR1, disconnect SIGTERM',
      )
        .choices(['none', 'restart', 'disconnect'])
        .default('none'),
    )
    .addOption(
      new Option(
        '--on-certificate-change <action>',
        'what to send the daemon when the key has another certificate: restart sends SIGUSR1, so that it asks anew, or SIGHUP',
      )
        .choices(['none', 'restart'])
        .default('none'),
    )
    .addOption(
      new Option(
        '--heal <action>',
        'what to do with a daemon that takes no answer, since a connection was lost inside one: restart sends SIGUSR1, once',
      )
        .choices(HEAL_ACTIONS)
        .default('restart'),
    )
    .option('--wait-for-token', 'wait at the start for a token that is not there, or fails')
    .addOption(
      new Option(
        '--module-hosts <number>',
        'how many processes may load one PKCS#11 module, while signatures wait (default: one a CPU, 4 at most)',
      ).argParser(count),
    )
    .optionsGroup('Relay:')
    .option(
      '--relay <address...>',
      'let other management clients in behind pksigd, at this address: ADDRESS PORT|unix [PASSWORD-FILE]',
    )
    .addOption(
      new Option('--relay-allow <rights>', 'what clients of the relay may do (default: read)').choices(RELAY_RIGHTS),
    )
    .option('--relay-mode <mode>', "mode of the relay's unix socket (default: 0600; with a group 0660)")
    .option('--relay-group <group>', "group of the relay's unix socket: a name or a number")
    .option('--relay-keep', "keep the relay's clients connected while the daemon is away");
}
