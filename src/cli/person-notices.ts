import type { AgentEvent } from '../agent/events.ts';
import { AgentError, errorText } from '../errors.ts';
import { pause } from '../clock.ts';
import { type CommandOptions, type CommandSurroundings, runCommand } from '../shell-command.ts';
import { type Notice, noticeOf, settledBy } from '../telemetry/notices.ts';
import { printable } from '../telemetry/printable.ts';

/** The word for the desktop's own notifications. */
const DESKTOP = 'desktop';
/** Milliseconds that telling one thing may take. */
const DEADLINE = 10_000;
/** Milliseconds that what is under way has when the agent ends. */
const LAST_WORDS = 1_000;
/** Milliseconds for which the terminal may wait for an answer before that is told elsewhere. */
const PROMPT_PATIENCE = 3_000;
/** Milliseconds in which the same is not told again, of what stays as it is until a person comes. */
const QUIET = 600_000;
/** Texts that are remembered for that. */
const MOST_TEXTS = 100;

/** Of what is wanted now or never: no use in it a moment later. */
const FLEETING: ReadonlySet<Notice['kind']> = new Set(['touch', 'keypad']);

/** By the program of libnotify: whoever shows it may take markup in the second text, and none in the first. */
const NOTIFY_SEND = 'exec notify-send --app-name=pksigd --icon=dialog-password --category=device -- "$1" "$2"';
const FLEETING_NOTIFY_SEND = NOTIFY_SEND.replace(' -- ', ' --hint=int:transient:1 -- ');
/** Fails where no notification could be shown. */
const CAN_NOTIFY_SEND = `command -v notify-send >/dev/null || exit 127
[ -n "$DBUS_SESSION_BUS_ADDRESS" ] || [ -S "$XDG_RUNTIME_DIR/bus" ]`;
const DESKTOP_TAKES = "it takes notify-send (Debian's libnotify-bin) and the session's D-Bus";

export interface PersonNoticesOptions {
  /** `desktop`, or a command line for /bin/sh. */
  readonly notify: string;
  readonly commands: CommandSurroundings;
  /** Told when nobody can be told, once until it works again. */
  readonly warn: (text: string) => void;
}

function withoutMarkup(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

/** Tells a person what is wanted of them, by a command: one at a time, and nothing waits for it. */
export class PersonNotices implements AsyncDisposable {
  readonly #options: PersonNoticesOptions;
  readonly #end = new AbortController();
  /** What is to be told next, the last of each kind. */
  readonly #waiting = new Map<Notice['kind'], Notice>();
  /** What was told, and when. */
  readonly #told = new Map<string, { readonly kind: Notice['kind']; readonly at: number }>();
  /** What people are being asked for: how to call off that it is told, if it is to be. */
  readonly #asked: { readonly what: string; readonly callOff: () => void }[] = [];
  #telling: Promise<void> | undefined;
  #hasWarned = false;

  constructor(options: PersonNoticesOptions) {
    this.#options = options;
    if (options.notify === DESKTOP) void this.#tryDesktop();
  }

  /** Takes all events of the agent. */
  take(event: AgentEvent): void {
    if (event.type === 'secret-asked') this.#noteAsked(event);
    const settled = settledBy(event);
    if (settled !== undefined) this.#settle(settled);
    const touch = this.#waiting.get('touch');
    if (event.type === 'request-done' && touch?.tunnel === event.tunnel) this.#waiting.delete('touch');
    const notice = noticeOf(event);
    // whoever types a PIN is what is waited for
    if (notice && !(notice.kind === 'touch' && this.#asked.length > 0)) this.#tell(notice);
  }

  #noteAsked({ what, by, isOver }: Extract<AgentEvent, { readonly type: 'secret-asked' }>): void {
    if (isOver) {
      const index = this.#asked.findIndex((asked) => asked.what === what);
      for (const { callOff } of index < 0 ? [] : this.#asked.splice(index, 1)) callOff();
      return;
    }
    const tell = (): void => {
      const text = `The terminal that pksigd runs in asks for the ${what}.`;
      this.#tell({ kind: 'pin', summary: 'pksigd waits at its terminal', text });
    };
    // a window shows itself
    const callOff = by === 'prompt' ? this.#options.commands.clock.after(PROMPT_PATIENCE, tell) : () => undefined;
    this.#asked.push({ what, callOff });
  }

  #settle(settled: Notice['kind']): void {
    this.#waiting.delete(settled);
    for (const [text, { kind }] of this.#told) if (kind === settled) this.#told.delete(text);
  }

  #tell(notice: Notice): void {
    if (this.#end.signal.aborted || !this.#isNew(notice)) return;
    this.#waiting.set(notice.kind, notice);
    this.#telling ??= this.#tellAll().finally(() => {
      this.#telling = undefined;
    });
  }

  #isNew({ kind, text }: Notice): boolean {
    if (FLEETING.has(kind)) return true;
    const now = this.#options.commands.clock.now();
    const { at } = this.#told.get(text) ?? { at: Number.NEGATIVE_INFINITY };
    if (now - at < QUIET) return false;
    const [oldest] = this.#told.size < MOST_TEXTS ? [] : this.#told.keys();
    if (oldest !== undefined) this.#told.delete(oldest);
    this.#told.set(text, { kind, at: now });
    return true;
  }

  async #tellAll(): Promise<void> {
    for (;;) {
      const [notice] = this.#waiting.values();
      if (!notice || this.#end.signal.aborted) return;
      this.#waiting.delete(notice.kind);
      try {
        await this.#run(...this.#commandFor(notice));
        this.#hasWarned = false;
      } catch (error) {
        this.#warn(errorText(error));
      }
    }
  }

  #commandFor({ kind, summary, text, tunnel, key, token }: Notice): [string, CommandOptions] {
    const { notify } = this.#options;
    const line = printable(text);
    if (notify === DESKTOP) {
      const command = FLEETING.has(kind) ? FLEETING_NOTIFY_SEND : NOTIFY_SEND;
      return [command, { words: [summary, withoutMarkup(line)] }];
    }
    const variables = {
      PKSIGD_NOTICE: kind,
      ...(tunnel !== undefined && { PKSIGD_TUNNEL: printable(tunnel) }),
      ...(key !== undefined && { PKSIGD_KEY: printable(key) }),
      ...(token !== undefined && { PKSIGD_TOKEN: printable(token) }),
    };
    return [notify, { words: [line], input: `${line}\n`, variables }];
  }

  async #run(command: string, options: CommandOptions): Promise<void> {
    // what it says is nobody's, and it may leave a window open
    const limits = { deadline: DEADLINE, signal: this.#end.signal, isSilent: true };
    await runCommand(command, { ...options, ...limits }, this.#options.commands);
  }

  /** Says at the start what would be found out when it is too late. */
  async #tryDesktop(): Promise<void> {
    await this.#run(CAN_NOTIFY_SEND, {}).catch((error: unknown) => {
      this.#warn(errorText(error));
    });
  }

  #warn(why: string): void {
    if (this.#hasWarned || this.#end.signal.aborted) return;
    this.#hasWarned = true;
    const hint = this.#options.notify === DESKTOP ? `: ${DESKTOP_TAKES}` : '';
    this.#options.warn(`nobody can be told by 'notify' what is wanted of them: ${why}${hint}`);
  }

  /** Why the agent ends is told yet, if that is quick. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const { callOff } of this.#asked.splice(0)) callOff();
    for (const kind of FLEETING) this.#waiting.delete(kind);
    if (this.#telling) {
      const late = new AbortController();
      await Promise.race([this.#telling, pause(this.#options.commands.clock, LAST_WORDS, late.signal)]);
      late.abort();
    }
    this.#end.abort(new AgentError('ERR_ABORTED', 'pksigd ends'));
    await this.#telling;
  }
}
