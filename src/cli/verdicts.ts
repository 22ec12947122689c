import { explained, formatVerdict, type Report, type Verdict } from '../check/verdict.ts';
import type { Explain } from '../errors.ts';
import { printableJson } from '../telemetry/printable.ts';
import { coloured, type Style } from './colours.ts';
import { EXIT, exitCode } from './exit-codes.ts';
import { print } from './standard-streams.ts';

/** Prints verdicts on standard output, for people or as a JSON object a line. */
export class Verdicts {
  readonly #isJson: boolean;
  readonly #explain: Explain;
  #failed: Verdict | undefined;

  constructor(isJson: boolean, explain: Explain) {
    this.#isJson = isJson;
    this.#explain = explain;
  }

  readonly report: Report = (found) => {
    const verdict = explained(found, this.#explain);
    if (verdict.outcome === 'fail') this.#failed ??= verdict;
    const lines = this.#isJson ? [printableJson(JSON.stringify(verdict))] : withCode(verdict);
    print(`${lines.join('\n')}\n`);
  };

  /** The exit code of the first failure, if there is one. */
  get exitCode(): number {
    return this.#failed ? exitCode(this.#failed.code) : EXIT.done;
  }
}

/** How the first word of a verdict looks on a terminal: what must be seen to stands out. */
const STYLES: Readonly<Record<Verdict['outcome'], Style>> = {
  ok: 'green',
  warn: 'yellow',
  fail: ['bold', 'red'],
  skip: 'dim',
};

/** A verdict for people, with its code behind its line: `pksigd explain` says more of that. */
function withCode(verdict: Verdict): string[] {
  const [first = '', ...lines] = formatVerdict(verdict);
  const line = first.replace(verdict.outcome, (word) => coloured(STYLES[verdict.outcome], word));
  return verdict.code === undefined ? [line, ...lines] : [`${line} [${verdict.code}]`, ...lines];
}
