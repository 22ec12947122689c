import type { FaultGroup } from '../fault.ts';
import { AGENTS } from './agents.ts';
import { DAEMONS } from './daemons.ts';
import { HOSTS } from './hosts.ts';
import { MACHINE } from './machine.ts';

/** All that goes wrong in docs/RELIABILITY.md, but what modules return. */
export const GROUPS: readonly FaultGroup[] = [DAEMONS, HOSTS, MACHINE, AGENTS];
