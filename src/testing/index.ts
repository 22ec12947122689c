/**
 * For tests of what works with OpenVPN's management interface, pksigd among it: a daemon that says what the test wants.
 *
 * @module
 */
export { FakeDaemon, FakeListener, GREETING } from './fake-daemon.ts';
export type { ManagementEnd } from './management-end.ts';
