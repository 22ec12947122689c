/**
 * For the rooms above, beyond the public face `index.ts`: who is at the other end of a socket, and base64 in lines.
 *
 * @module
 */
export { approach, checkOwnerIsKnowable } from './sockets/daemon-owner.ts';
export { base64Lines } from './wire/pem.ts';
export { whoReaches, whoReplaces } from './sockets/reach.ts';
