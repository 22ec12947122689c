import { execFile } from 'node:child_process';
import { chmod, copyFile, mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Bench } from './bench.ts';
import { Child } from './child.ts';

const run = promisify(execFile);
const EXAMPLES = join(import.meta.dirname, '../../docs/examples/exec');

/** A program of docs/examples/exec, copied to where nobody else can write. */
export async function example(bench: Bench, name: string): Promise<string> {
  const folder = bench.path('examples');
  await mkdir(folder, { recursive: true, mode: 0o755 });
  await copyFile(join(EXAMPLES, name), join(folder, name));
  await chmod(join(folder, name), 0o755);
  return join(folder, name);
}

/** A real ssh-agent, at {@link agentSocket}. */
export async function startAgent(bench: Bench): Promise<Child> {
  const agent = bench.adopt(new Child('ssh-agent', 'ssh-agent', ['-D', '-a', bench.path('agent')]));
  await agent.logged(/SSH_AUTH_SOCK=/);
  return agent;
}

/** The environment in which that agent is found. */
export function agentEnvironment(bench: Bench): Record<string, string> {
  return { SSH_AUTH_SOCK: bench.path('agent') };
}

/** Has the agent sign with a private key, and writes down its public key. @returns that file's path */
export async function addToAgent(bench: Bench, key: string): Promise<string> {
  const env = { ...process.env, ...agentEnvironment(bench) };
  await run('ssh-add', ['-q', key], { env });
  const { stdout } = await run('ssh-add', ['-L'], { env });
  return await bench.write('agent.pub', stdout.trim().split('\n').at(-1) ?? '');
}

/** A $PATH on which the examples find Python 3 and nothing else. */
export async function onlyPython(bench: Bench): Promise<string> {
  const { stdout } = await run('/bin/sh', ['-c', 'command -v python3']);
  const folder = bench.path('only-python');
  await mkdir(folder, { recursive: true });
  await symlink(stdout.trim(), join(folder, 'python3'));
  return folder;
}

/** Puts a stand-in of a program where it is found first. @returns the $PATH for that */
export async function standIn(bench: Bench, name: string): Promise<string> {
  const folder = bench.path('stand-ins');
  await mkdir(folder, { recursive: true });
  const script = join(import.meta.dirname, 'stand-ins', `${name}.mjs`);
  await writeFile(join(folder, name), `#!/bin/sh\nexec '${process.execPath}' '${script}' "$@"\n`, { mode: 0o755 });
  return `${folder}:${process.env['PATH'] ?? ''}`;
}
