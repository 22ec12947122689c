import { type Command, InvalidArgumentError, Option } from 'commander';
import { CONTEXT_RULES, DEFAULT_HASHES, MAX_LIFETIME } from '../config/settings.ts';
import { SCHEME_NAMES } from '../signing/algorithm-text.ts';
import { HASH_NAMES } from '../signing/hashes.ts';

export function count(text: string): number {
  const value = Number(text);
  if (!(Number.isSafeInteger(value) && value > 0)) throw new InvalidArgumentError('give a number, 1 or more.');
  return value;
}

function lifetime(text: string): number {
  const value = Number(text);
  if (!(value > 0 && value <= MAX_LIFETIME))
    throw new InvalidArgumentError(`give seconds, more than 0 and at most ${MAX_LIFETIME}.`);
  return value * 1000;
}

/** What the key may sign: docs/POLICY.md. */
export function withPolicyOptions(command: Command): Command {
  return command
    .optionsGroup('What may be signed:')
    .addOption(
      new Option(
        '--context <rule>',
        "must what is signed be seen to be a TLS client's? when-visible (default) refuses other messages, require hashes too",
      ).choices(CONTEXT_RULES),
    )
    .addOption(new Option('--require-context <what>', 'the same as --context require').choices(['tls-client']))
    .option(
      '--require-server-ca <file>',
      "the server's certificate must lead to a CA in this file (TLS 1.2 with digest)",
    )
    .option(
      '--require-server-name <name>',
      'the server must be called so, as with verify-x509-name: common name, DNS name or subject (TLS 1.2 with digest)',
    )
    .addOption(
      new Option('--allow-scheme <name...>', 'the only signature schemes to sign with (default: all)').choices(
        SCHEME_NAMES,
      ),
    )
    .addOption(
      new Option(
        '--allow-hash <name...>',
        `the only hashes to sign with (default: ${DEFAULT_HASHES.join(' ')}; TLS 1.0 and 1.1 need others)`,
      ).choices(HASH_NAMES),
    )
    .option('--confirm <command>', 'ask this command before each signature: its exit status 0 says yes')
    .addOption(new Option('--lifetime <seconds>', 'let go of the key so long after it was opened').argParser(lifetime))
    .addOption(new Option('--rate <number>', 'signatures a minute with the key, at most').argParser(count))
    .addOption(new Option('--burst <number>', 'of them at once, at most (default: as many as --rate)').argParser(count))
    .addOption(
      new Option(
        '--uses-per-connect <number>',
        "signatures until the daemon's state changes to CONNECTED, CONNECTING or RECONNECTING, at most",
      ).argParser(count),
    );
}
