import type { ModuleHost } from './module-host.ts';

/** A logged-in session: what searching for objects takes. */
export interface Session {
  readonly host: ModuleHost;
  readonly session: string;
}
