import { styleText } from 'node:util';
import { Argument, Command, CommanderError, Option } from 'commander';
import { AgentError, errorCode, errorText, explainBy, type AgentErrorCode } from '../errors.ts';
import type { Spawn } from '../pkcs11/index.ts';
import type { ServiceVariables } from './service-variables.ts';
import { printableLines } from '../telemetry/printable.ts';
import { EXIT, exitCodeOf } from './exit-codes.ts';
import { commandLineHint } from './hints.ts';
import { addAuditCommands, withAuditOptions } from './audit-options.ts';
import { wantsColours } from './colours.ts';
import type { CheckFlags } from './check-command.ts';
import type { Shell } from './completion-command.ts';
import { refuseEmptyOptions } from './empty-options.ts';
import { addEnrolCommand } from './enrol-options.ts';
import type { KeysFlags } from './keys-command.ts';
import type { ManagementFlags } from './management-command.ts';
import {
  keyOption,
  managementUserOption,
  selectOption,
  withKeyOptions,
  withTokenOptions,
  withTunnelOptions,
} from './tunnel-options.ts';
import type { RunFlags } from './run-command.ts';
import type { SignFlags } from './sign-command.ts';
import type { ControlPlace, LockFlags, StatusFlags } from './control-commands.ts';
import { leaveDeadTerminals } from './signals.ts';
import { suggestChoices } from './suggest-choices.ts';
import { complain, flushStderr, isLogPretty, logDetail, logFatal, print, writeStderr } from './standard-streams.ts';
import { version } from './version.ts';

/** The options that stand on the command line. */
function givenOptions(command: Command): string[] {
  const given = command.options.filter((option) => command.getOptionValueSource(option.attributeName()) === 'cli');
  return given.map(({ long }) => long ?? '');
}

/** The options of a command with their words as they are given, from now on; without those that are excepted. */
function recordGiven(command: Command, except: ReadonlySet<string>): readonly string[] {
  const words: string[] = [];
  for (const option of command.options.filter(({ long }) => !except.has(long ?? ''))) {
    command.on(`option:${option.name()}`, (value?: string) => {
      words.push(option.long ?? '', ...(value === undefined ? [] : [value]));
    });
  }
  return words;
}

let startsHosts: Spawn | undefined;
let serviceVariables: ServiceVariables = {};

/** All commands with their options. */
export const program: Command = new Command('pksigd')
  .description("signing agent for OpenVPN's --management-external-key")
  .version(version, '-V, --version')
  .configureOutput({
    writeOut: print,
    getOutHasColors: () => wantsColours(1),
    writeErr: writeStderr,
    outputError: (text) => {
      // commander puts "(Did you mean …?)" on a line of its own, and repeats what stands behind an unknown option
      reportEnd(
        'ERR_USAGE',
        text
          .replace(/^error: /, '')
          .replace(/(unknown option '[^'=]*)=.*'/s, "$1'")
          .replace(/(unknown option '-[^-])[^']*'/s, "$1'")
          .trim()
          .replace(/\n/g, ' '),
      );
    },
  })
  .configureHelp({ styleTitle: (title) => styleText('bold', title) })
  .exitOverride();

program.commandsGroup('Sign:');
withKeyOptions(
  withTunnelOptions(
    withAuditOptions(
      program
        .command('run')
        .description('answer the signature requests of OpenVPN daemons')
        .option(
          '--config <file>',
          'take keys, tunnels and all else from a TOML file and the folder FILE.d; read anew on SIGHUP',
        )
        .option(
          '--control <path>',
          'where pksigd status and its like reach this agent (default: in $RUNTIME_DIRECTORY or $XDG_RUNTIME_DIR); none for nowhere',
        )
        .option('--control-group <group>', 'let this group use it too: a name or a number')
        .option('--metrics <address...>', 'serve metrics and health over HTTP: 127.0.0.1 PORT, or PATH unix')
        .option('--metrics-group <group>', 'let this group use their unix socket: a name or a number')
        .option(
          '--notify <command>',
          'tell a person that a token wants a touch, its PIN, or to be put in: desktop, or a command that gets the text as $1',
        ),
    ),
  ),
  'info',
).action(async (flags: RunFlags, command: Command) => {
  const { runCommand } = await import('./run-command.ts');
  await runCommand(flags, givenOptions(command), startsHosts, serviceVariables);
});

withKeyOptions(
  program
    .command('sign')
    .description('sign once: base64 data on stdin, the base64 lines of the signature on stdout')
    .addOption(keyOption().makeOptionMandatory())
    .option(
      '--cert <cert>',
      "the key's certificate, where the token or program tells no public key: a file or a pkcs11: URI",
    )
    .addOption(selectOption())
    .option('--algorithm <text>', "OpenVPN's algorithm text; without it, what the data's shape says"),
  'warn',
).action(async (flags: SignFlags) => {
  const { signCommand } = await import('./sign-command.ts');
  await signCommand(flags, startsHosts);
});

program.commandsGroup('Set up:');
const check = withKeyOptions(
  withTunnelOptions(
    program
      .command('check')
      .description(
        'check a set-up (the options of run) and print what the .ovpn needs; one with pkcs11-id needs no --key',
      )
      .option('--config <file>', 'check all keys and tunnels of a TOML file, as run takes it')
      .option('--login', 'log in and try signatures; a wrong PIN uses one of its tries')
      .option('--json', 'print one JSON object a verdict'),
  ),
  'warn',
);
/** What `check` is given and `run` would be, beside key and .ovpn. */
const repeated = recordGiven(check, new Set(['--key', '--openvpn-config', '--login', '--json', '--log-level']));
check.action(async (flags: CheckFlags, command: Command) => {
  const { checkCommand } = await import('./check-command.ts');
  await checkCommand(flags, givenOptions(command), repeated);
});

withKeyOptions(addEnrolCommand(program), 'warn');

withTokenOptions(
  program
    .command('keys')
    .description('list modules, tokens, keys and certificates, how each key signs, and its URI for --key')
    .argument('[uri]', 'list only what this pkcs11: URI fits')
    .addOption(
      new Option(
        '--module <path>',
        "a PKCS#11 module to look into; without one, those of p11-kit's configuration",
      ).argParser((path, paths: readonly string[] | undefined) => [...(paths ?? []), path]),
    )
    .option('--json', 'print one JSON document'),
  'warn',
).action(async (uri: string | undefined, flags: KeysFlags) => {
  const { keysCommand } = await import('./keys-command.ts');
  await keysCommand(uri, flags);
});

program
  .commandsGroup('Daemons and agents that run:')
  .command('management')
  .description('send a command to the management interface and print its reply; without one, an interactive prompt')
  .requiredOption(
    '--management <address...>',
    "OpenVPN's words: ADDRESS PORT [PASSWORD-FILE], or SOCKET unix [PASSWORD-FILE]",
  )
  .option('--management-client', 'listen at the --management address for a daemon that has --management-client')
  .addOption(managementUserOption())
  .option('--json', 'print parsed replies and notifications, one JSON object a line')
  .argument('[command...]', 'the command, behind --')
  .action(async (command: string[], flags: ManagementFlags) => {
    const { managementCommand } = await import('./management-command.ts');
    await managementCommand(command, flags);
  });

function controlCommand(name: string, description: string): Command {
  return program
    .command(name)
    .description(description)
    .option(
      '--control <path>',
      "the agent's control socket, as its own --control names it (default: of the only agent)",
    );
}

controlCommand('status', 'show tunnels, keys, tokens, modules and relay clients of an agent that runs')
  .option('--json', 'print one JSON document')
  .option('--watch', 'go on, every two seconds; with --json a document a line')
  .action(async (flags: StatusFlags) => {
    const { statusCommand } = await import('./control-commands.ts');
    await statusCommand(flags);
  });

controlCommand('forget', 'have an agent let go of PINs and log out of tokens, until the next use').action(
  async (flags: ControlPlace) => {
    const { forgetCommand } = await import('./control-commands.ts');
    await forgetCommand(flags);
  },
);

controlCommand('reload', 'have an agent read its configuration file anew, and say what became of it').action(
  async (flags: ControlPlace) => {
    const { reloadCommand } = await import('./control-commands.ts');
    await reloadCommand(flags);
  },
);

function passphraseOption(): Option {
  return new Option(
    '--passphrase-source <source>',
    'where the passphrase for unlocking comes from: a file, credential:NAME, command:COMMAND, pinentry, askpass, prompt',
  );
}

controlCommand('lock', 'have an agent refuse every request until it is unlocked')
  .addOption(passphraseOption())
  .action(async (flags: LockFlags) => {
    const { lockCommand } = await import('./control-commands.ts');
    await lockCommand(flags);
  });

controlCommand('unlock', 'have an agent answer requests again')
  .addOption(passphraseOption())
  .action(async (flags: LockFlags) => {
    const { unlockCommand } = await import('./control-commands.ts');
    await unlockCommand(flags);
  });

program.commandsGroup('Commands:');
const configuration = program.command('config').description('look at a configuration file of run');
const configOption = (): Option => new Option('--config <file>', 'the file').default('/etc/pksigd/pksigd.toml');
configuration
  .command('check')
  .description('say each mistake of the file, its drop-ins and its .ovpn as FILE:LINE:COLUMN: message')
  .addOption(configOption())
  .action(async ({ config }: { readonly config: string }) => {
    const { configCheck } = await import('./config-command.ts');
    await configCheck(config);
  });
configuration
  .command('show')
  .description('print what holds, with defaults, as TOML: of secrets their sources')
  .addOption(configOption())
  .action(async ({ config }: { readonly config: string }) => {
    const { configShow } = await import('./config-command.ts');
    await configShow(config);
  });

addAuditCommands(program);

program
  .command('explain')
  .description('say what a code or a line of a log means, and what to do about it; without one, list all that is known')
  .option('--json', 'print one JSON document')
  .argument(
    '[what...]',
    'an ERR_ code, a CKR_ return value, an exit code, a line of pksigd or of OpenVPN or a part of one',
  )
  .action(async (words: string[], flags: { readonly json?: boolean }) => {
    const { explainCommand } = await import('./explain-command.ts');
    await explainCommand(words, flags);
  });

program
  .command('completion')
  .description('print what a shell reads to complete the words of pksigd')
  .addArgument(new Argument('<shell>', 'which shell').choices(['bash', 'zsh', 'fish']))
  .addArgument(
    new Argument('[words...]', 'behind --, as the shell asks: print what can stand in the place of the last'),
  )
  .action(async (shell: Shell, words: string[]) => {
    const { completionCommand } = await import('./completion-command.ts');
    await completionCommand(program, shell, words);
  });

refuseEmptyOptions(program);
suggestChoices(program);

/** Debugging shows where an error came from. */
const showsStack = process.argv.includes('debug') || process.argv.includes('trace');

/** Says why the command ends: in the log of `run`, which programs read where it is JSON, else as a line for people. */
function reportEnd(
  code: AgentErrorCode | undefined,
  text: string,
  { stack, details = [] }: { stack?: string | undefined; details?: readonly string[] } = {},
): void {
  if (process.argv[2] === 'run' && !isLogPretty) {
    for (const detail of details) logDetail(code, detail);
    logFatal(code, text, stack);
    return;
  }
  for (const detail of details) writeStderr(`${printableLines(detail)}\n`);
  complain(code === undefined || code === 'ERR_USAGE' ? text : `${text} [${code}]`);
  if (stack !== undefined) writeStderr(`${printableLines(stack)}\n`);
}

/**
 * The command: reads its arguments, does what they say, ends the process.
 * @param service what the service manager gave
 * @param spawn starts module hosts; default: node:child_process
 */
export async function main(service: ServiceVariables, spawn?: Spawn): Promise<never> {
  serviceVariables = service;
  startsHosts = spawn;
  process.on('exit', leaveDeadTerminals);
  explainBy(commandLineHint);
  try {
    await program.parseAsync();
  } catch (error) {
    if (error instanceof CommanderError) {
      // it has said so itself
      process.exitCode = error.exitCode === 0 ? EXIT.done : EXIT.usage;
    } else {
      const stack = showsStack && error instanceof Error ? error.stack : undefined;
      reportEnd(errorCode(error), errorText(error), {
        stack,
        details: error instanceof AgentError ? error.details : [],
      });
      process.exitCode = exitCodeOf(error);
    }
  }
  flushStderr();
  // a prompt that nobody answered would keep the process alive
  process.exit();
}
