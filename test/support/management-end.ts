export { ManagementEnd } from '../../src/testing/management-end.ts';
