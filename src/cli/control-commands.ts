import { isUtf8 } from 'node:buffer';
import { setTimeout as sleep } from 'node:timers/promises';
import { isatty } from 'node:tty';
import { asksPerson, parseSecretSource, readSecret } from '../config/secret-source.ts';
import { ControlClient, controlSocketsIn } from '../control/client.ts';
import { foldersToLookIn } from '../control/place.ts';
import { unreadableReply } from '../control/protocol.ts';
import { AgentError, errorCode } from '../errors.ts';
import type { Secret } from '../secret.ts';
import type { StatusReport } from '../status/report.ts';
import { printable, printableJson } from '../telemetry/printable.ts';
import { secretSurroundings } from './secret-surroundings.ts';
import { print } from './standard-streams.ts';
import { statusText } from './status-text.ts';

export interface ControlPlace {
  readonly control?: string;
}

export interface StatusFlags extends ControlPlace {
  readonly json?: boolean;
  readonly watch?: boolean;
}

export interface LockFlags extends ControlPlace {
  readonly passphraseSource?: string;
}

/** Milliseconds between looks of `--watch`. */
const INTERVAL = 2_000;
const STDOUT = 1;
/** Puts the cursor home; erases what is left of a line, and what is below. */
const HOME = '\u001B[H';
const ERASE_LINE = '\u001B[K';
const ERASE_BELOW = '\u001B[J';

/** A connection to the agent that was named, or to the only one that runs. @throws AgentError ERR_CONTROL_CONNECT, ERR_USAGE */
async function connect({ control }: ControlPlace): Promise<ControlClient> {
  if (control !== undefined) return await ControlClient.open(control);
  const found: { readonly path: string; readonly client: ControlClient }[] = [];
  let denied: unknown;
  for (const folder of foldersToLookIn(process.env)) {
    try {
      for (const path of controlSocketsIn(folder)) {
        try {
          found.push({ path, client: await ControlClient.open(path) });
        } catch (error) {
          denied ??= error; // one that a killed agent left behind, or another user's
        }
      }
    } catch (error) {
      denied ??= error; // another user's folder
    }
  }
  const [first, ...others] = found;
  if (!first) {
    if (denied !== undefined) throw denied as Error;
    const hint = 'is one running? give --control PATH, the socket that its own --control names';
    throw new AgentError('ERR_CONTROL_CONNECT', 'no control socket of an agent was found', { hint });
  }
  if (others.length === 0) return first.client;
  for (const { client } of found) client[Symbol.dispose]();
  const paths = found.map(({ path }) => path).join(', ');
  throw new AgentError('ERR_USAGE', 'several agents run', { hint: `give --control with one of ${paths}` });
}

/** What the agent is doing, as JSON and for people. @throws AgentError ERR_CONTROL_PROTOCOL if that can't be read */
function readReport(result: unknown): { readonly report: StatusReport; readonly text: string } {
  const report = result as StatusReport;
  try {
    return { report, text: statusText(report) };
  } catch {
    // something lacks, or is of another kind
    throw unreadableReply();
  }
}

/** `pksigd status`. */
export async function statusCommand(flags: StatusFlags): Promise<void> {
  using client = await connect(flags);
  const isWatched = flags.watch === true;
  const refreshes = isWatched && flags.json !== true && isatty(STDOUT);
  for (;;) {
    const { report, text: forPeople } = readReport(await client.request({ command: 'status' }));
    const json = printableJson(isWatched ? JSON.stringify(report) : JSON.stringify(report, null, 2));
    const text = flags.json === true ? `${json}\n` : forPeople;
    if (refreshes) print(`${HOME}${text.replaceAll('\n', `${ERASE_LINE}\n`)}${ERASE_BELOW}`);
    else print(text);
    if (!isWatched) return;
    await sleep(INTERVAL);
    if (!refreshes && flags.json !== true) print('\n');
  }
}

/** A signature may be under way: a module has its deadline, and after each step of a recovery once more. */
const FORGETTING = {
  patience: 180_000,
  why: 'signatures are still under way: it logs out of their tokens as soon as there is none',
};

/** `pksigd forget`. */
export async function forgetCommand(flags: ControlPlace): Promise<void> {
  using client = await connect(flags);
  await client.request({ command: 'forget' }, FORGETTING);
}

/** `pksigd reload`. */
export async function reloadCommand(flags: ControlPlace): Promise<void> {
  using client = await connect(flags);
  const reloaded = await client.request({ command: 'reload' });
  const { renewed } = (reloaded ?? {}) as { readonly renewed?: unknown };
  if (!Array.isArray(renewed)) return;
  for (const socket of renewed) print(`the socket had gone, and is bound anew: ${printable(String(socket))}\n`);
}

async function passphrase(source: string, what: string): Promise<Secret> {
  try {
    const secret = await readSecret(parseSecretSource(source), what, secretSurroundings());
    if (isUtf8(secret.bytes)) return secret;
    secret.destroy();
  } catch (error) {
    // no terminal: what is said then is about PINs
    if (!(error instanceof AgentError) || error.code !== 'ERR_PIN_REQUIRED' || error.hint === undefined) throw error;
    throw new AgentError(error.code, error.message, { cause: error, hint: 'give --passphrase-source' });
  }
  // in JSON other bytes are all the same one
  throw new AgentError('ERR_PIN_SOURCE', `the ${what} is not UTF-8`, { hint: 'give one of letters and digits' });
}

/** `pksigd lock`: without a passphrase whoever may use the control socket can unlock. */
export async function lockCommand({ passphraseSource, ...place }: LockFlags): Promise<void> {
  using client = await connect(place);
  if (passphraseSource === undefined) {
    await client.request({ command: 'lock' });
    return;
  }
  const first = await passphrase(passphraseSource, 'passphrase to lock the agent with');
  if (asksPerson(parseSecretSource(passphraseSource))) {
    const again = await passphrase(passphraseSource, 'the same again');
    if (!first.bytes.equals(again.bytes))
      throw new AgentError('ERR_PASSPHRASE_INCORRECT', 'the two are not the same: not locked');
  }
  await client.request({ command: 'lock', passphrase: first.reveal() });
}

/** `pksigd unlock`: asks for the passphrase if there is one. */
export async function unlockCommand({ passphraseSource, ...place }: LockFlags): Promise<void> {
  using client = await connect(place);
  if (passphraseSource === undefined) {
    try {
      await client.request({ command: 'unlock' });
      return;
    } catch (error) {
      if (errorCode(error) !== 'ERR_PASSPHRASE_INCORRECT') throw error;
    }
  }
  const secret = await passphrase(passphraseSource ?? 'prompt', 'passphrase that the agent was locked with');
  await client.request({ command: 'unlock', passphrase: secret.reveal() });
}
