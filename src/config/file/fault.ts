import { AgentError, type AgentErrorCode } from '../../errors.ts';

/** A place in a file; lines and columns from 1. */
export interface Place {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** One mistake of a configuration. */
export interface Fault {
  readonly place: Place;
  readonly message: string;
  /** Something that was named is not there, and may come. */
  readonly mayCome?: boolean;
}

/** A fault as compilers and editors write it: `FILE:LINE:COLUMN: message`. */
function formatFault({ place: { file, line, column }, message }: Fault): string {
  return `${file}:${line}:${column}: ${message}`;
}

function codeOf(faults: readonly Fault[]): AgentErrorCode {
  return faults.every(({ mayCome }) => mayCome) ? 'ERR_CONFIG_NOT_FOUND' : 'ERR_CONFIG';
}

function inOrder(one: Fault, other: Fault): number {
  const [a, b] = [one.place, other.place];
  if (a.file !== b.file) return a.file < b.file ? -1 : 1;
  return a.line - b.line || a.column - b.column;
}

/** A configuration that is not used for its mistakes: all of them, in the order of its files. */
export class ConfigurationError extends AgentError {
  readonly faults: readonly Fault[];

  /** @param path the configuration's main file */
  constructor(path: string, found: readonly Fault[]) {
    const faults = [...found].sort(inOrder);
    const count = faults.length === 1 ? 'a mistake' : `${faults.length} mistakes`;
    super(codeOf(faults), `${path} has ${count}`, { details: faults.map(formatFault) });
    this.faults = faults;
  }
}
