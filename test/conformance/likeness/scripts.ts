import { ARRIVALS } from './arrivals.ts';
import type { Script } from './dialogue.ts';
import { QUESTIONS } from './questions.ts';
import { SIGNALS } from './signals.ts';
import { SIGNATURES } from './signatures.ts';

/** Each is played with a real daemon, and with the simulated one. */
export const SCRIPTS: readonly Script[] = [...ARRIVALS, ...QUESTIONS, ...SIGNATURES, ...SIGNALS];
