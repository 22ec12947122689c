import { execFile } from 'node:child_process';
import { parseSecretSource, readSecret, type SecretSource } from '../config/secret-source.ts';
import { AgentError } from '../errors.ts';
import { ModuleHosts } from '../pkcs11/module-hosts.ts';
import type { Secret } from '../secret.ts';
import { createLog, type LogLevel } from '../telemetry/log.ts';
import { promptSecret } from './prompt.ts';

/** The options that every command that opens a key takes. */
export interface KeyFlags {
  readonly key: string;
  readonly cert?: string;
  readonly pinSource?: string;
  readonly module?: string;
  readonly allowReadableKey?: boolean;
  readonly allowPinCommand?: boolean;
  readonly deadline: number;
  readonly logLevel: LogLevel;
}

type Logger = ReturnType<typeof createLog>;

/** A logger on standard error: JSON, or readable where that is a terminal. */
export function stderrLog(level: LogLevel): Logger {
  return createLog({
    level,
    pretty: process.stderr.isTTY,
    write: (line) => {
      process.stderr.write(line);
    },
  });
}

/**
 * No core dump may hold a PIN: sets the limit for this process and for all that it starts. util-linux's prlimit is
 * everywhere on Linux; elsewhere the service manager must do it.
 */
export async function forbidCoreDumps(): Promise<void> {
  await new Promise<void>((resolve) => {
    execFile('prlimit', [`--pid=${process.pid}`, '--core=0:0'], () => {
      resolve();
    });
  });
}

/** The hosts of PKCS#11 modules, whose doings end in the log. */
export function moduleHosts(deadline: number, log: Logger): ModuleHosts {
  return new ModuleHosts({
    execPath: process.execPath,
    deadline,
    onEvent: ({ type, ...fields }) => {
      const level = 'expected' in fields && !fields.expected ? 'warn' : 'debug';
      log[level](fields, type === 'output' ? 'module output' : `module host ${type}`);
    },
  });
}

function uriSecretSource(text: string, allowCommand: boolean): SecretSource {
  const source = parseSecretSource(text);
  if (source.kind === 'command' && !allowCommand) {
    throw new AgentError('ERR_USAGE', "the pkcs11 URI's pin-source is a command", {
      hint: 'give --allow-pin-command if you trust whoever wrote the URI',
    });
  }
  return source;
}

/** Ways to get secrets with the surroundings of this process. */
export interface SecretAsker {
  /** A key's PIN or passphrase: from its URI's pin-source, else --pin-source, else the terminal. */
  readonly forKey: (what: string, uriSource: string | undefined) => Promise<Secret>;
  readonly from: (source: SecretSource, what: string) => Promise<Secret>;
}

export function secretAsker(flags: KeyFlags, log: Logger): SecretAsker {
  const given = flags.pinSource === undefined ? undefined : parseSecretSource(flags.pinSource);
  const from: SecretAsker['from'] = (source, what) =>
    readSecret(source, what, {
      credentialsDirectory: process.env['CREDENTIALS_DIRECTORY'],
      prompt: promptSecret,
      warn: (text) => {
        log.warn({}, text);
      },
    });
  return {
    from,
    forKey: async (what, uriSource) => {
      const fromUri = uriSource === undefined ? undefined : uriSecretSource(uriSource, flags.allowPinCommand ?? false);
      return await from(fromUri ?? given ?? { kind: 'prompt' }, what);
    },
  };
}
