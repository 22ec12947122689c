// The agents that are compared. Each is a function that makes the command line for a key and a socket.
import { join, resolve } from 'node:path';
import { CHECKOUT } from './workshop.mjs';

export const C = 'C';
export const VERIFYING_C = 'C, verifies';
export const PKSIGD = 'pksigd';
export const OTHER = 'other pksigd';

/** All agents of a run by name; another checkout's pksigd if one is named. */
export function agents(against) {
  return { [C]: cAgent(), [VERIFYING_C]: cAgent('--verify'), ...pksigds(against) };
}

/** This checkout's pksigd, and the other's. */
export function pksigds(against, ...flags) {
  return {
    [PKSIGD]: pksigd(CHECKOUT, ...flags),
    ...(against === undefined ? {} : { [OTHER]: pksigd(resolve(against), ...flags) }),
  };
}

export function cAgent(...flags) {
  return (workshop, { home, key, socket, listen = false }) => [
    workshop.path('agent'),
    ...flags,
    ...[listen ? '--listen' : '--connect', socket],
    ...(home === 'file' ? ['--key', workshop.keyFile(key)] : inToken(workshop, key)),
  ];
}

function inToken(workshop, key) {
  const where = ['--module', workshop.module, '--token', 'pksigd', '--pin-file', workshop.pinFile];
  return [...where, '--object', key, '--public', workshop.keyFile(key, 'pub.pem')];
}

/** As users start it. */
export function pksigd(checkout, ...flags) {
  return (workshop, { home, key, socket, listen = false, connections = 1 }) => [
    join(checkout, 'bin/pksigd.cjs'),
    ...['run', '--management', socket, 'unix', '--key', keyArgument(workshop, home, key)],
    ...(listen ? ['--management-client', '--max-daemons', `${connections}`] : []),
    ...flags,
  ];
}

function keyArgument(workshop, home, key) {
  if (home === 'file') return workshop.keyFile(key);
  return `pkcs11:token=pksigd;object=${key}?module-path=${workshop.module}&pin-source=file:${workshop.pinFile}`;
}
