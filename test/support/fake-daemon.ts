export { FakeDaemon, FakeListener, GREETING } from '../../src/testing/fake-daemon.ts';
