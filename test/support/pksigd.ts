import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { activated, type Activation } from './activation.ts';
import { Child } from './child.ts';

/** The command's file, which loads what was built. */
export const MAIN: string = join(import.meta.dirname, '../../bin/pksigd.cjs');

const BUILT = join(import.meta.dirname, '../../dist/program/main.cjs');

export interface PksigdOptions {
  env?: Record<string, string>;
  /** What is written to stdin, which ends after it. */
  input?: string;
  /** Stands in for node. */
  launcher?: string;
  /** Starts it with sockets, as systemd does. */
  activation?: Activation;
}

/** One line of pksigd's log. */
export type LogLine = Record<string, unknown>;

/** The built command. Its home, state and runtime folders are the test's. */
export class Pksigd extends Child {
  constructor(folder: string, args: readonly string[], softhsm2Conf: string | undefined, options: PksigdOptions) {
    if (!existsSync(BUILT)) throw new Error(`no ${BUILT}: npm run build first`);
    const env: Record<string, string> = {
      HOME: folder,
      XDG_STATE_HOME: join(folder, 'state'),
      ...(softhsm2Conf === undefined ? {} : { SOFTHSM2_CONF: softhsm2Conf }),
      ...options.env,
    };
    const command = [options.launcher ?? process.execPath, MAIN, ...args];
    const [program = '', words] =
      options.activation === undefined ? [command[0], command.slice(1)] : activated(options.activation, command);
    super('pksigd', program, words, { env, cwd: folder, input: options.input });
  }

  /** The log so far: stderr's lines that are JSON. */
  get log(): LogLine[] {
    return this.lines.flatMap((line) => (line.startsWith('{') ? [JSON.parse(line) as LogLine] : []));
  }

  /** The log's lines of one kind, such as `signed`. */
  messages(msg: string): LogLine[] {
    return this.log.filter((line) => line['msg'] === msg);
  }

  /** Waits for the `times`-th line of one kind. */
  async message(msg: string, times = 1): Promise<LogLine> {
    return this.until(`"${msg}"${times > 1 ? ` (${times} times)` : ''}`, () => this.messages(msg)[times - 1]);
  }

  /**
   * The lines of signatures, once there are `times` of them. The daemon has its answer before the line is written, so
   * what a connection shows comes first: never count these lines without waiting for them.
   */
  async signed(times: number): Promise<LogLine[]> {
    await this.message('signed', times);
    return this.messages('signed');
  }

  /** Waits until it listens for a daemon that has `--management-client`. */
  async listening(): Promise<void> {
    await this.message('listening for the daemon');
  }

  /** The processes that it started: its module hosts. */
  get children(): number[] {
    return readFileSync(`/proc/${this.pid}/task/${this.pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  }
}
