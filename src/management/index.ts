export { formatManagementAddress, parseManagementAddress, type ManagementAddress } from './address.ts';
export { ManagementClient, type ClientOptions } from './client.ts';
export type { Notification } from './notification.ts';
export { connectSocket, ManagementListener } from './transport.ts';
