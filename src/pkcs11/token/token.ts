import { pause, type Clock } from '../../clock.ts';
import { AgentError, errorCode } from '../../errors.ts';
import type { Module } from '../host/module.ts';
import type { TokenInfo } from '../host/protocol.ts';
import type { SeenToken } from '../host/session.ts';
import type { Pkcs11Uri } from '../uri.ts';
import { BRIEF } from './recovery.ts';

/** Whether a URI's attributes of tokens fit a token. */
function matchesToken(uri: Pkcs11Uri, token: TokenInfo): boolean {
  return (
    (uri.token === undefined || uri.token === token.label) &&
    (uri.manufacturer === undefined || uri.manufacturer === token.manufacturer) &&
    (uri.model === undefined || uri.model === token.model) &&
    (uri.serial === undefined || uri.serial === token.serial) &&
    (uri.slotId === undefined || uri.slotId === slotNumber(token.slot))
  );
}

/** A slot's handle is CK_SLOT_ID as it lies in memory: little-endian on every platform that Node runs on here. */
function slotNumber(slot: string): number {
  const bytes = Buffer.from(slot, 'hex');
  return bytes.length < 4 ? bytes.readUIntLE(0, bytes.length) : bytes.readUInt32LE(0);
}

/** Whether a URI's attributes of modules fit a module: it is asked only if there are some. */
async function matchesLibrary(uri: Pkcs11Uri, host: Module): Promise<boolean> {
  const { libraryManufacturer: manufacturer, libraryDescription: description, libraryVersion: version } = uri;
  if (manufacturer === undefined && description === undefined && version === undefined) return true;
  const library = await host.call('library', {}, BRIEF);
  return (
    (manufacturer === undefined || manufacturer === library.manufacturer) &&
    (description === undefined || description === library.description) &&
    (version === undefined || (version.major === library.major && version.minor === library.minor))
  );
}

/** Whether a URI's attributes of slots fit a token's slot: it is asked for only if there are some. */
async function matchesSlot(uri: Pkcs11Uri, host: Module, { slot }: TokenInfo): Promise<boolean> {
  const { slotManufacturer: manufacturer, slotDescription: description } = uri;
  if (manufacturer === undefined && description === undefined) return true;
  const info = await host.call('slot', { slot }, BRIEF);
  return (
    (manufacturer === undefined || manufacturer === info.manufacturer) &&
    (description === undefined || description === info.description)
  );
}

/**
 * The tokens of a module, and those of them that a URI fits.
 * @throws AgentError ERR_TOKEN_*, ERR_MODULE_*
 */
export async function fittingTokens(
  uri: Pkcs11Uri,
  host: Module,
): Promise<{ readonly present: readonly TokenInfo[]; readonly fitting: readonly SeenToken[] }> {
  for (;;) {
    const { epoch } = host;
    const { tokens: present } = await host.call('tokens', {});
    const fitting: SeenToken[] = [];
    const candidates = (await matchesLibrary(uri, host)) ? present.filter((token) => matchesToken(uri, token)) : [];
    for (const info of candidates) if (await matchesSlot(uri, host, info)) fitting.push({ info, host, epoch });
    // else the slots that were asked about may have been others' by then
    if (host.epoch === epoch) return { present, fitting };
  }
}

/** What names a token among all others. */
export function identityOf({ label, manufacturer, model, serial }: TokenInfo): Pkcs11Uri {
  return { token: label, manufacturer, model, serial };
}

/**
 * The token that a URI names, among those that are there now.
 * @throws AgentError ERR_TOKEN_ABSENT, ERR_TOKEN_AMBIGUOUS
 */
export async function findToken(host: Module, uri: Pkcs11Uri): Promise<SeenToken> {
  const { present: tokens, fitting: found } = await fittingTokens(uri, host);
  const [token] = found;
  if (found.length > 1) {
    const names = found.map(({ info: { label, serial } }) => `'${label}' (serial ${serial})`).join(', ');
    throw new AgentError('ERR_TOKEN_AMBIGUOUS', `the pkcs11 URI fits several tokens: ${names}`, {
      hint: 'add token= or serial=',
    });
  }
  if (token) return token;
  const present = tokens.map(({ label }) => `'${label}'`).join(', ');
  const wanted = uri.token === undefined ? 'no token that the pkcs11 URI fits' : `no token '${uri.token}'`;
  throw new AgentError('ERR_TOKEN_ABSENT', `${wanted} in module ${host.modulePath}`, {
    hint: present === '' ? 'there is none at all' : `there is ${present}`,
  });
}

/** Milliseconds that a token gets to show itself, and between looks. */
const APPEARANCE = 2_000;
const LOOK_INTERVAL = 250;

/**
 * Looks for something for two seconds. Modules show nothing at the first look when two processes start at once (SoftHSM),
 * or while a reader wakes up.
 * @param look resolves to undefined, or rejects with ERR_TOKEN_ABSENT, if it is not there
 * @param again is called before each further look
 */
export async function lookAgain<Found>(
  look: () => Promise<Found>,
  again: () => Promise<void>,
  isThere: (found: Found) => boolean,
  clock: Clock,
): Promise<Found> {
  const end = clock.now() + APPEARANCE;
  for (;;) {
    const isLast = clock.now() >= end;
    try {
      const found = await look();
      if (isLast || isThere(found)) return found;
    } catch (error) {
      if (isLast || errorCode(error) !== 'ERR_TOKEN_ABSENT') throw error;
    }
    await pause(clock, LOOK_INTERVAL);
    await again();
  }
}
