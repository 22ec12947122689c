import { AgentError } from '../errors.ts';
import { runsNothing } from '../shell-command.ts';

/** A command line for /bin/sh as an option has it. @throws AgentError ERR_USAGE for one that runs nothing: a shell says yes to that */
export function commandLine(text: string | undefined, option: string): string | undefined {
  if (text === undefined || !runsNothing(text)) return text;
  throw new AgentError('ERR_USAGE', `${option} names no command`, { hint: 'give a command line for /bin/sh' });
}
