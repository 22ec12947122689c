import { AgentError } from '../errors.ts';
import { Program, type ProgramEvent, type ProgramOptions, type ProgramSurroundings } from './program.ts';

/** How programs are run, whichever key they have. */
export interface ProgramsOptions extends ProgramSurroundings {
  /** This process's effective user; undefined where it is not known. */
  readonly uid: number | undefined;
  /** Milliseconds that one request may take: looked at anew at each. */
  readonly deadline: number;
  readonly onEvent?: ((event: ProgramEvent) => void) | undefined;
}

/** The programs of all keys that are open or being opened. */
export class Programs implements AsyncDisposable {
  readonly options: ProgramsOptions;
  readonly #forgets = new Set<() => Promise<void>>();
  readonly #running = new Set<Program>();
  #isClosed = false;

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

  /** Starts a process. @throws AgentError ERR_KEY_UNAVAILABLE once all were ended */
  start(own: Pick<ProgramOptions, 'name' | 'path' | 'words'>): Program {
    if (this.#isClosed) throw new AgentError('ERR_KEY_UNAVAILABLE', `${own.name} is closed`);
    const program = new Program({ ...this.options, ...own });
    this.#running.add(program);
    void program.ended.then(() => this.#running.delete(program));
    return program;
  }

  /**
   * Has all programs end that are kept, behind the requests that they have, with all that they remember: the next signature
   * starts them anew.
   */
  async forget(): Promise<void> {
    await Promise.all([...this.#forgets].map((forget) => forget()));
  }

  /** Ends every process, of keys that are still being opened, too: none outlives the agent, and each end is told. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#running].map((program) => program.end()));
  }
}
