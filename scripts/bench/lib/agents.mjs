// The agents that are compared: each starts with a key at a socket, and connects there or listens.
import { join } from 'node:path';
import { CHECKOUT } from './workshop.mjs';

export const C = 'C';
export const VERIFYING_C = 'C, verifies';
export const PKSIGD = 'pksigd';
export const OTHER = 'other pksigd';

/** All agents of a run by name; another checkout's pksigd if one is named. */
export function agents(against) {
  return {
    [C]: cAgent([]),
    [VERIFYING_C]: cAgent(['--verify']),
    [PKSIGD]: pksigd(CHECKOUT),
    ...(against === undefined ? {} : { [OTHER]: pksigd(against) }),
  };
}

export function cAgent(flags) {
  return (workshop, { home, key, socket, listen = false }) =>
    workshop.start(workshop.path('agent'), [
      ...flags,
      ...[listen ? '--listen' : '--connect', socket],
      ...(home === 'file' ? ['--key', workshop.keyFile(key)] : inToken(workshop, key)),
    ]);
}

function inToken(workshop, key) {
  const where = ['--module', workshop.module, '--token', 'pksigd', '--pin-file', workshop.pinFile];
  return [...where, '--object', key, '--public', workshop.keyFile(key, 'pub.pem')];
}

/** As users start it. */
export function pksigd(checkout) {
  return (workshop, { home, key, socket, listen = false, daemons = 1, more = [] }) =>
    workshop.start(join(checkout, 'bin/pksigd.cjs'), [
      ...['run', '--management', socket, 'unix', '--key', keyArgument(workshop, home, key)],
      ...(listen ? ['--management-client', '--max-daemons', `${daemons}`] : []),
      ...more,
    ]);
}

export function keyArgument(workshop, home, key) {
  if (home === 'file') return workshop.keyFile(key);
  return `pkcs11:token=pksigd;object=${key}?module-path=${workshop.module}&pin-source=file:${workshop.pinFile}`;
}
