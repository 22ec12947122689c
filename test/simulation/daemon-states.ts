import { kernel } from './kernel.ts';

/** So many are kept. */
const KEPT = 100;
/** Fields behind the time and the state. */
const DETAILS = 6;

/** What a daemon tells of its tunnel: `>STATE:`. */
export class States {
  readonly lines: string[] = [];
  readonly #tell: (line: string) => void;
  #now = '';

  /** @param tell is given each but the first */
  constructor(tell: (line: string) => void) {
    this.#tell = tell;
    this.#add('CONNECTING', []);
  }

  get now(): string {
    return this.#now;
  }

  change(state: string, ...details: readonly string[]): void {
    this.#tell(this.#add(state, details));
  }

  #add(state: string, details: readonly string[]): string {
    this.#now = state;
    const rest = Array.from({ length: DETAILS }, (_, index) => details[index] ?? '');
    const line = [Math.floor(kernel().wall / 1000), state, ...rest].join(',');
    this.lines.push(line);
    if (this.lines.length > KEPT) this.lines.shift();
    return line;
  }
}
