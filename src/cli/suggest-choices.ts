import { type Command, InvalidArgumentError } from 'commander';
import { nearest } from '../nearest.ts';

/** What an option or an argument takes, and how it takes it. */
interface Chosen {
  argChoices?: readonly string[];
  parseArg?: ((value: string, previous: never) => unknown) | undefined;
}

function suggest(chosen: Chosen): void {
  const { argChoices, parseArg } = chosen;
  if (!argChoices || !parseArg) return;
  chosen.parseArg = (value, previous) => {
    const close = argChoices.includes(value) ? undefined : nearest(value, argChoices);
    // in the words in which commander suggests options and commands
    if (close !== undefined)
      throw new InvalidArgumentError(`Allowed choices are ${argChoices.join(', ')}. (Did you mean ${close}?)`);
    return parseArg(value, previous);
  };
}

/** Has what takes one of several words, of a command and of those below it, say which one was meant. */
export function suggestChoices(command: Command): void {
  for (const option of command.options) suggest(option);
  for (const argument of command.registeredArguments) suggest(argument);
  for (const each of command.commands) suggestChoices(each);
}
