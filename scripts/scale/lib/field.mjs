// A folder with tokens, real OpenVPN servers and clients, and agents; all of it goes when it is closed.
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { treeOf } from '../../bench/lib/processes.mjs';

export const CHECKOUT = fileURLToPath(new URL('../../..', import.meta.url));
export const MODULE = '/usr/lib/softhsm/libsofthsm2.so';

/** A section of a configuration file; what is undefined is left out. */
export function section(name, entries) {
  const lines = Object.entries(entries)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key} = ${JSON.stringify(value)}`);
  return `[${name}]\n${lines.join('\n')}\n`;
}

export class Field {
  folder;
  #children = new Set();

  constructor(name) {
    this.folder = mkdtempSync(join(tmpdir(), `pksigd-${name}-`));
    mkdirSync(this.at('logs'));
    mkdirSync(this.at('run'), { mode: 0o700 });
    mkdirSync(this.at('state'), { mode: 0o700 });
  }

  at(...names) {
    return join(this.folder, ...names);
  }

  /** A token `pksigd` with these keys and their certificates; its PIN is in the file `pin`. */
  makeToken(...keys) {
    writeFileSync(this.at('pin'), '12345678', { mode: 0o600 });
    const environment = { ...process.env, SOFTHSM2_MODULE: MODULE };
    execFileSync(join(CHECKOUT, 'softhsm/make-token'), [this.at('token'), this.at('pin'), ...keys], {
      env: environment,
      stdio: 'ignore',
    });
    process.env['SOFTHSM2_CONF'] = this.at('token', 'softhsm2.conf');
  }

  /** Starts a process whose output goes to logs/NAME. */
  start(name, command, args, options = {}) {
    const log = openSync(this.at('logs', name), 'a');
    const child = spawn(command, args, { cwd: this.folder, stdio: ['ignore', log, log], ...options });
    this.#children.add(child);
    child.on('exit', () => this.#children.delete(child));
    return child;
  }

  logOf(name) {
    return readFileSync(this.at('logs', name), 'utf8');
  }

  /** Lines of an agent's log. */
  linesOf(agent) {
    return this.logOf(agent)
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line));
  }

  #common() {
    const ca = this.at('token/keys/ca.crt');
    return ['--dev', 'null', '--ifconfig-noexec', '--ca', ca, '--verb', '3'];
  }

  startServer(name, port, further = []) {
    const keys = this.at('token/keys');
    const identity = ['--dh', 'none', '--cert', `${keys}/server.crt`, '--key', `${keys}/server.pem`];
    const place = ['--local', '127.0.0.1', '--port', String(port), '--proto', 'udp'];
    const args = ['--tls-server', ...this.#common(), ...identity, ...place, '--reneg-sec', '0', ...further];
    return this.start(`server-${name}`, 'openvpn', args);
  }

  /** @param renegotiate seconds @param password a file for the management interface, if it has one */
  startClient(name, port, { key, renegotiate, password, further = [] }) {
    const cert = ['--cert', this.at(`token/keys/${key}.crt`)];
    const remote = ['--remote', '127.0.0.1', String(port), 'udp', '--nobind', '--connect-retry', '1', '1'];
    const management = [this.at('run', `${name}.sock`), 'unix', ...(password === undefined ? [] : [password])];
    const external = ['--management-hold', '--management-external-key', 'nopadding', 'pkcs1', 'pss'];
    const args = ['--tls-client', ...this.#common(), ...cert, ...remote, '--reneg-sec', String(renegotiate)];
    return this.start(`client-${name}`, 'openvpn', [...args, ...further, '--management', ...management, ...external]);
  }

  /** @returns the process; the agent is the first of its tree */
  startAgent(name, configuration) {
    const file = this.at(`${name}.toml`);
    writeFileSync(file, configuration);
    return this.start(name, process.execPath, [join(CHECKOUT, 'bin/pksigd.cjs'), 'run', '--config', file]);
  }

  close() {
    for (const child of this.#children)
      for (const pid of treeOf(child.pid).toReversed()) {
        try {
          process.kill(pid, 'SIGKILL');
        } catch {
          // it has ended
        }
      }
    if (process.env['KEEP'] === undefined) rmSync(this.folder, { recursive: true, force: true });
    else console.log(this.folder);
  }
}
