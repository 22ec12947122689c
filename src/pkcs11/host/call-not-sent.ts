import { AgentError } from '../../errors.ts';

/** The error of a call that the module never got: its host had ended, ended before the call's turn, or it was given up. */
export class CallNotSent extends AgentError {}
