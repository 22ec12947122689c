import type { ProgramEvent, ProgramSurroundings } from './program.ts';

/** How programs are run, whichever key they have. */
export interface ProgramsOptions extends ProgramSurroundings {
  /** This process's effective user; undefined where it is not known. */
  readonly uid: number | undefined;
  /** Milliseconds that one request may take: looked at anew at each. */
  readonly deadline: number;
  readonly onEvent?: ((event: ProgramEvent) => void) | undefined;
}

/** The programs of all keys that are open. */
export class Programs {
  readonly options: ProgramsOptions;
  readonly #forgets = new Set<() => Promise<void>>();

  constructor(options: ProgramsOptions) {
    this.options = options;
  }

  /** Adds a key's program. @param forget has it let go of secrets and end @returns its undoing */
  add(forget: () => Promise<void>): () => void {
    this.#forgets.add(forget);
    return () => {
      this.#forgets.delete(forget);
    };
  }

  /** Has all programs end that are kept, with all that they remember: the next signature starts them anew. */
  async forget(): Promise<void> {
    await Promise.all([...this.#forgets].map((forget) => forget()));
  }
}
