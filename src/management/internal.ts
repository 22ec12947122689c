/**
 * For the rooms above, beyond the public face `index.ts`: who is at the other end of a socket, when one appears, what is left
 * of our own sockets, and base64 in lines.
 *
 * @module
 */
export { socketPathFault } from './sockets/address.ts';
export { endWithin } from './sockets/end-within.ts';
export { BoundServer } from './sockets/bound-server.ts';
export { INHERITED } from './sockets/inherited-sockets.ts';
export { closed, type Listening, listenAt, ownAccess } from './sockets/listen.ts';
export { realPath } from './sockets/real-path.ts';
export { approach, checkOwnerIsKnowable } from './sockets/daemon-owner.ts';
export { PathWatches, type PathWatch, type WatchPath } from './sockets/path-watch.ts';
export { isLocal, whoReaches, whoReplaces } from './sockets/reach.ts';
export { base64Lines } from './wire/pem.ts';
