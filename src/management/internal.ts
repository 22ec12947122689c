/**
 * What the rooms above need of this one beyond its public face, `index.ts`: who is at the other end of a socket.
 *
 * @module
 */
export { approach, checkOwnerIsKnowable } from './sockets/daemon-owner.ts';
export { whoReaches, whoReplaces } from './sockets/reach.ts';
