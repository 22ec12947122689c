/**
 * What the rooms above need of this one beyond its public face, `index.ts`: who is at the other end of a socket,
 * and what is left of our own.
 *
 * @module
 */
export { BoundServer } from './sockets/bound-server.ts';
export { approach, checkOwnerIsKnowable } from './sockets/daemon-owner.ts';
export { whoReaches, whoReplaces } from './sockets/reach.ts';
