import type { Command } from 'commander';
import { AgentError } from '../errors.ts';

/**
 * Has all options of a command and of those below it refuse an empty value, which is a variable that was not set, and not what
 * an option without a value means.
 */
export function refuseEmptyOptions(command: Command): void {
  for (const option of command.options.filter(({ required, optional }) => required || optional)) {
    command.on(`option:${option.name()}`, (value: string) => {
      if (value !== '') return;
      throw new AgentError('ERR_USAGE', `${option.long ?? option.flags} is empty`, {
        hint: 'give it a value, or leave it out',
      });
    });
  }
  for (const each of command.commands) refuseEmptyOptions(each);
}
