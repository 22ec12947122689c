// Loads the agent's code in a simulated Node.
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { Script } from 'node:vm';
import type * as Entry from './agent-entry.ts';
import * as childProcess from './node/child-process.ts';
import * as crypto from './node/crypto.ts';
import * as fsPromises from './node/fs-promises.ts';
import * as fs from './node/fs.ts';
import * as globals from './node/globals.ts';
import * as net from './node/net.ts';
import * as os from './node/os.ts';
import * as simulatedProcess from './node/process.ts';
import * as timersPromises from './node/timers-promises.ts';

export type AgentCode = typeof Entry;

const NODE: Readonly<Record<string, unknown>> = {
  'node:child_process': childProcess,
  'node:crypto': crypto,
  'node:fs': fs,
  'node:fs/promises': fsPromises,
  'node:net': net,
  'node:os': os,
  'node:process': simulatedProcess,
  'node:timers/promises': timersPromises,
};
const real = createRequire(import.meta.url);
const required = new Map<string, unknown>();

/** @throws Error for what may not be there: nothing of a simulated process comes from outside unnoticed */
function requireSimulated(name: string): unknown {
  const simulated = NODE[name];
  if (simulated !== undefined) return simulated;
  if (!required.has(name)) required.set(name, real(name));
  return required.get(name);
}

const NAMES = Object.keys(globals);
let script: Script | undefined;
let shared: AgentCode | undefined;

/**
 * A process that starts runs its code anew. That takes half of a world's time, as nothing of it is ever compiled well; and behind
 * a run that has ended in good order the agent's modules keep nothing but what any run would have.
 * @param isAnew run it again, to see that this is so
 */
export function loadAgent(isAnew: boolean): AgentCode {
  if (!isAnew) return (shared ??= runCode());
  return runCode();
}

/** A run is over while its modules wait for something: that never comes. */
export function forgetCode(): void {
  shared = undefined;
}

function runCode(): AgentCode {
  const path = process.env['SIMULATION_AGENT'] ?? '';
  script ??= new Script(`(function (require, module, ${NAMES.join(', ')}) {${readFileSync(path, 'utf8')}\n})`, {
    filename: path,
  });
  const run = script.runInThisContext() as (...given: unknown[]) => void;
  const module = { exports: {} };
  run(requireSimulated, module, ...Object.values(globals));
  return module.exports as AgentCode;
}
