import { spawn as nodeSpawn, type ChildProcess } from 'node:child_process';
import { isDeepStrictEqual } from 'node:util';
import { hostCommand, type Spawn } from './host/launch.ts';

/**
 * Starts a module host before anybody asks for one: it takes as long as the agent itself, and both can do so at once. A host
 * does not know its module before it is told, so one fits all.
 * @param spawn node:child_process's by default
 * @returns starts module hosts: the first time with what was started already, if that is what is wanted and still there
 */
export function startHostEarly(
  surroundings: { readonly execPath: string; readonly environment: Readonly<NodeJS.ProcessEnv> },
  spawn: Spawn = nodeSpawn,
): Spawn {
  const wanted = hostCommand(surroundings);
  let early: ChildProcess | undefined;
  try {
    early = spawn(...wanted);
    early.on('error', () => (early = undefined));
    early.on('exit', () => (early = undefined));
  } catch {
    // the host that is asked for says why
  }
  return (...given) => {
    const found = early;
    early = undefined;
    if (found && isDeepStrictEqual(given, wanted)) return found;
    found?.kill('SIGKILL');
    return spawn(...given);
  };
}
