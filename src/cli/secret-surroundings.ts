import { SYSTEM_CLOCK } from '../clock.ts';
import type { SecretSurroundings } from '../config/secret-source.ts';
import { runCommand } from '../shell-command.ts';
import { complain } from './standard-streams.ts';
import { terminal } from './terminal.ts';

/** What reading a secret takes of this process, for commands that have no agent. Ctrl-C reaches a source's command by itself. */
export function secretSurroundings(): SecretSurroundings {
  return {
    credentialsDirectory: process.env['CREDENTIALS_DIRECTORY'],
    prompt: (what, notes) => terminal.ask(what, notes),
    warn: complain,
    run: (command, options) => runCommand(command, options ?? {}, { clock: SYSTEM_CLOCK, environment: process.env }),
  };
}
