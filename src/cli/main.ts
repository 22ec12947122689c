// What comes first in every command. Nothing that takes long is imported before it: in that time SIGUSR1 would
// open Node's debugger. For the time before see bin/pksigd.cjs.
import { fileURLToPath } from 'node:url';
import type { Spawn } from '../pkcs11/index.ts';
import { MEANINGLESS_SIGNALS } from '../signals.ts';
import { loadProgram } from './code-cache.ts';
import type { main } from './program.ts';
import { takeServiceVariables } from './service-variables.ts';

/** The file that program.ts and all that it imports is in, which the build names. */
declare const PROGRAM: string;

process.on('SIGUSR1', () => undefined);

// a folder that its own owner may not enter (UMask=0177) is of no use, and stays behind
process.umask(process.umask(0o077) & 0o077);

/** Closes a debugger that a signal or the environment's NODE_OPTIONS opened; whoever gave Node --inspect keeps it. */
function closeDebugger(): void {
  try {
    const inspector = process.getBuiltinModule('node:inspector');
    if (inspector.url() !== undefined) inspector.close();
  } catch {
    // a Node that was built without it
  }
}

/** Milliseconds: another thread takes a signal's request, and may still be about to open it when our handler is there. */
const AGAIN = [0, 20, 200, 2_000];
/** What bin/pksigd.cjs starts Node with: no debugger can be open then, and looking for one takes a tenth of Node's own start. */
const NO_DEBUGGER = '--inspect-port=0.0.0.1:65535';

if (!process.execArgv.some((word) => word === NO_DEBUGGER || /^--inspect(-brk|-wait)?(=|$)/.test(word))) {
  closeDebugger();
  for (const delay of AGAIN) setTimeout(closeDebugger, delay).unref();
}

const isRun = process.argv[2] === 'run';
if (isRun) for (const name of MEANINGLESS_SIGNALS) process.on(name, () => undefined);

/** Will the command want a module host that has this process's own environment? Only if that is sure. */
function wantsHost([command = '', ...args]: readonly string[]): boolean {
  const names = (start: string): boolean => args.some((arg) => arg.startsWith(start));
  return ['run', 'sign'].includes(command) && (names('pkcs11:') || names('--key=pkcs11:')) && !names('--module-env');
}

/** The shell in bin/pksigd.cjs keeps it from this process's Node. */
function returnExtraCertificates(environment: NodeJS.ProcessEnv): void {
  const { PKSIGD_NODE_EXTRA_CA_CERTS: kept } = environment;
  if (kept === undefined) return;
  environment['NODE_EXTRA_CA_CERTS'] = kept;
  delete environment['PKSIGD_NODE_EXTRA_CA_CERTS'];
}

async function start(): Promise<void> {
  returnExtraCertificates(process.env);
  const service = takeServiceVariables(process.env, process.pid);
  let spawn: Spawn | undefined;
  if (wantsHost(process.argv.slice(2))) {
    const { startHostEarly } = await import('../pkcs11/early-host.ts');
    spawn = startHostEarly({ execPath: process.execPath, environment: process.env });
  }
  const path = fileURLToPath(new URL(`../program/${PROGRAM}`, import.meta.url));
  const program = loadProgram(path, isRun) as { readonly main: typeof main };
  await program.main(service, spawn);
}

void start();
