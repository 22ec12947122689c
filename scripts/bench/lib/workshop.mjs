// A folder with all that one run of a benchmark needs: programs, keys, sockets; and the processes that it started.
import { execFileSync, spawn } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

export const CHECKOUT = join(import.meta.dirname, '../../..');
const SOURCES = join(CHECKOUT, 'scripts/bench');
const HEADERS = join(CHECKOUT, 'node_modules/pkcs11js/includes/pkcs11');
const NEEDED = {
  cc: 'gcc libc6-dev',
  openssl: 'openssl',
  openvpn: 'openvpn',
  taskset: 'util-linux',
  'softhsm2-util': 'softhsm2',
  'pkcs11-tool': 'opensc',
};

export class Workshop {
  #children = new Set();
  #names = 0;
  pin = '123456';

  /**
   * @param cpu the CPU on which all that is measured runs, or several as `taskset` names them
   * @param keys names of keys to make, as softhsm/make-token has them
   * @param node the Node that pksigd runs with
   * @param realtime whether what is measured goes before everything else that runs on this machine; root may
   */
  constructor({ cpu = defaultCpu(), keys, node = process.execPath, realtime = false }) {
    this.cpu = cpu;
    /** What makes the scheduler put a program ahead of all else on this machine. */
    this.ahead = realtime ? ['chrt', '--rr', '1'] : [];
    this.node = node;
    this.folder = mkdtempSync(join(tmpdir(), 'pksigd-bench-'));
    this.env = environment(this.folder, node);
    mkdirSync(this.env.XDG_STATE_HOME);
    try {
      checkNeeded(this.env);
      this.#compile('daemon', []);
      this.#compile('agent', ['-I', HEADERS, '-lcrypto', '-lpthread', '-ldl']);
      this.pinFile = join(this.folder, 'pin');
      writeFileSync(this.pinFile, `${this.pin}\n`, { mode: 0o600 });
      const words = [join(this.folder, 'token'), this.pinFile, ...keys];
      execFileSync(join(CHECKOUT, 'softhsm/make-token'), words, { env: this.env });
      this.module = execFileSync(join(CHECKOUT, 'softhsm/module'), { encoding: 'utf8' }).trim();
    } catch (error) {
      rmSync(this.folder, { recursive: true, force: true });
      throw error;
    }
    for (const signal of ['SIGINT', 'SIGTERM'])
      process.once(signal, () => void this.close().finally(() => process.exit(1)));
  }

  #compile(name, options) {
    const words = ['-O2', '-o', join(this.folder, name), join(SOURCES, `${name}.c`), ...options];
    execFileSync('cc', words, { stdio: ['ignore', 'inherit', 'inherit'] });
  }

  path(name) {
    return join(this.folder, name);
  }

  /** A path in the folder that nobody had yet. */
  fresh(name) {
    this.#names += 1;
    return this.path(`${this.#names}-${name}`);
  }

  /** A key's file, beside its `.pub.pem` and `.crt`. */
  keyFile(name, ending = 'pem') {
    return this.path(`token/keys/${name}.${ending}`);
  }

  /** Starts a program on the run's CPU. What it says of itself goes to a file, `child.log`. */
  start(command, { stdio = ['ignore', 'ignore'], cpu = this.cpu } = {}) {
    const log = this.fresh('log');
    const file = openSync(log, 'w');
    const [input, output] = stdio;
    const child = spawn('taskset', ['-c', `${cpu}`, ...this.ahead, ...command], {
      env: this.env,
      cwd: this.folder,
      stdio: [input, output === 'log' ? file : output, file],
    });
    closeSync(file);
    child.log = log;
    child.gone = new Promise((resolve) => child.once('exit', resolve));
    this.#children.add(child);
    child.gone.then(() => this.#children.delete(child));
    return child;
  }

  /** Ends a process that was started here: asks first, by a signal if nothing else is told. */
  async stop(child, ask = () => child.kill()) {
    ask();
    const timer = setTimeout(() => child.kill('SIGKILL'), 5000);
    await child.gone;
    clearTimeout(timer);
  }

  async close() {
    await Promise.all([...this.#children].map((child) => this.stop(child)));
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export function logOf(child) {
  return readFileSync(child.log, 'utf8').split('\n').slice(-12).join('\n');
}

/** Those that this process may use, as `taskset` names them: 0-3, or 0,2. */
export function allCpus() {
  const [, list] = /^Cpus_allowed_list:\s*(\S+)/m.exec(readFileSync('/proc/self/status', 'latin1'));
  return list;
}

/** The last: the first has most of the machine's own work. */
function defaultCpu() {
  return /\d+$/.exec(allCpus())[0];
}

function environment(folder, node) {
  const env = { ...process.env };
  // both change how Node starts
  delete env.NODE_EXTRA_CA_CERTS;
  delete env.NODE_OPTIONS;
  env.PATH = [dirname(node), env.PATH, '/usr/sbin'].join(':');
  env.SOFTHSM2_CONF = join(folder, 'token/softhsm2.conf');
  env.XDG_STATE_HOME = join(folder, 'state');
  return env;
}

function checkNeeded(env) {
  const missing = Object.entries(NEEDED).filter(([command]) => !isThere(command, env));
  const packages = missing.map(([, name]) => name);
  if (!compiles('#include <openssl/evp.h>')) packages.push('libssl-dev');
  if (packages.length === 0) return;
  throw new Error(`the benchmark needs more: scripts/setup and scripts/bench/setup install it (${packages.join(' ')})`);
}

function isThere(command, env) {
  try {
    execFileSync('sh', ['-c', 'command -v "$1"', 'sh', command], { env, stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

function compiles(source) {
  try {
    execFileSync('cc', ['-fsyntax-only', '-x', 'c', '-'], { input: source, stdio: ['pipe', 'ignore', 'ignore'] });
    return true;
  } catch {
    return false;
  }
}
