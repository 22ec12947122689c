import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { AgentError, errorText } from '../errors.ts';

/** A user's number: given as such, or looked up as the system does. */
export async function userId(user: string, option: string): Promise<number> {
  return numberOf(user) ?? (await lookUp('id', ['-u', '--', user])) ?? refuse('user', user, option);
}

/** A group's number: given as such, or looked up as the system does. */
export async function groupId(group: string, option: string): Promise<number> {
  return numberOf(group) ?? (await lookUp('getent', ['group', '--', group])) ?? refuse('group', group, option);
}

/** -1 and the number before it stand for nobody (chown(2)). */
const LAST_ID = 0xff_ff_ff_fd;

function numberOf(text: string): number | undefined {
  return /^\d{1,10}$/.test(text) && Number(text) <= LAST_ID ? Number(text) : undefined;
}

/**
 * What the program prints: a number, or a group's line, whose third field it is.
 * @throws AgentError ERR_USAGE if it can't be run, as in a container that has none
 */
async function lookUp(program: string, args: readonly string[]): Promise<number | undefined> {
  const found = await promisify(execFile)(program, [...args]).catch((error: unknown) => {
    // it has run, and says no
    if (typeof (error as { code?: unknown }).code === 'number') return undefined;
    throw new AgentError('ERR_USAGE', `can't look up '${args.at(-1) ?? ''}': ${errorText(error)}`, {
      hint: 'give its number',
      cause: error,
    });
  });
  const fields = found?.stdout.trim().split(':') ?? [];
  return numberOf(fields[2] ?? fields[0] ?? '');
}

function refuse(kind: string, name: string, option: string): never {
  throw new AgentError('ERR_USAGE', `there is no ${kind} '${name}'`, { hint: `see ${option}` });
}
