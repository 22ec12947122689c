import { expect } from 'vitest';
import { AgentError } from '../../src/errors.ts';

/** A parser that is fuzzed. */
export interface Target {
  readonly name: string;
  /** Parts of the paths of the files that its coverage is counted in. */
  readonly places: readonly string[];
  /** What it takes, and some of what it refuses. */
  readonly seeds: readonly Buffer[];
  /** What it knows, and no byte after another would come to. */
  readonly words?: readonly string[];
  /**
   * Reads some bytes. What is refused, is refused by an AgentError or as the parser says; anything else that is thrown is a
   * finding, and so is what is taken and does not hold.
   * @returns whether they were taken
   */
  read(bytes: Buffer, pick: (below: number) => number): boolean | Promise<boolean>;
}

/** Texts as bytes. */
export const texts = (...all: readonly string[]): Buffer[] => all.map((text) => Buffer.from(text));

/** What a parser makes of it; undefined if it refuses it, in one line. */
export function unlessRefused<Result>(parse: () => Result): Result | undefined {
  try {
    return parse();
  } catch (error) {
    refused(error);
    return undefined;
  }
}

/** Throws unless it is a refusal that a person can read. */
export function refused(error: unknown): void {
  if (!(error instanceof AgentError)) throw error;
  expect(error.message).not.toBe('');
  expect(error.code).toMatch(/^ERR_[A-Z0-9_]+$/);
}

/** The same bytes in pieces. */
export function pieces(bytes: Buffer, pick: (below: number) => number): Buffer[] {
  const cuts = Array.from({ length: pick(4) }, () => pick(bytes.length + 1)).sort((a, b) => a - b);
  return [0, ...cuts].map((from, index) => bytes.subarray(from, cuts[index] ?? bytes.length));
}
