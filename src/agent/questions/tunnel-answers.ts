import type { AnswerSettings } from '../../config/answers.ts';
import type { SecretSurroundings } from '../../config/secret-source.ts';
import type { Clock } from '../../clock.ts';
import { AnswerMemory } from './answer-memory.ts';
import { type CommandSurroundings, runCommand } from '../../shell-command.ts';

/** What answering takes of the process that does it. */
export interface AnswerSurroundings {
  readonly commands: CommandSurroundings;
  readonly secrets: SecretSurroundings;
}

/** What a command is told about the question beside its text. */
export interface Asked {
  /** `static-challenge`, `dynamic-challenge`, `cr-text`, `web-auth`, `open-url`. */
  readonly question: string;
  readonly text: string;
  readonly variables?: Readonly<Record<string, string>>;
}

/** The answers of one tunnel: what the settings say, and what was refused before, over all of its connections. */
export class TunnelAnswers {
  readonly settings: AnswerSettings;
  readonly tunnel: string;
  readonly clock: Clock;
  readonly #around: AnswerSurroundings;
  readonly #memories = new Map<string, AnswerMemory>();
  readonly #warnings = new Set<string>();
  readonly #waiting = new Set<() => void>();

  constructor(settings: AnswerSettings, tunnel: string, around: AnswerSurroundings) {
    this.settings = settings;
    this.tunnel = tunnel;
    this.clock = around.commands.clock;
    this.#around = around;
  }

  /** What was refused of the answers for one thing, such as `Auth`. */
  memory(name: string): AnswerMemory {
    const memory = this.#memories.get(name) ?? new AnswerMemory(this.clock);
    this.#memories.set(name, memory);
    return memory;
  }

  /** What reading a secret takes; its commands end at the signal. */
  secrets(signal: AbortSignal): SecretSurroundings {
    const { secrets, commands } = this.#around;
    return {
      ...secrets,
      // a source is read again and again
      warn: (text) => {
        if (!this.#warnings.has(text)) secrets.warn(text);
        this.#warnings.add(text);
      },
      run: (command, options) =>
        runCommand(command, { ...options, variables: { PKSIGD_TUNNEL: this.tunnel }, signal }, commands),
    };
  }

  /** Runs one of the settings' commands: the text stands on its standard input. */
  run(command: string, { question, text, variables }: Asked, signal: AbortSignal, isSilent = false): Promise<Buffer> {
    const told = { PKSIGD_TUNNEL: this.tunnel, PKSIGD_QUESTION: question, ...variables };
    return runCommand(command, { input: `${text}\n`, variables: told, signal, isSilent }, this.#around.commands);
  }

  /** Resolves after so many milliseconds, when it is to be tried again, or at the signal. */
  async wait(milliseconds: number | undefined, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    let end = (): void => undefined;
    const over = new Promise<void>((resolve) => (end = resolve));
    const callOff = milliseconds === undefined ? undefined : this.clock.after(milliseconds, end);
    this.#waiting.add(end);
    signal.addEventListener('abort', end, { once: true });
    await over;
    signal.removeEventListener('abort', end);
    this.#waiting.delete(end);
    callOff?.();
  }

  /** The server has let the daemon in. */
  accept(): void {
    for (const memory of this.#memories.values()) memory.accept();
  }

  /** A person says that all may be tried again, what was refused too. */
  retry(): void {
    for (const memory of this.#memories.values()) memory.forget();
    for (const end of this.#waiting) end();
  }
}
