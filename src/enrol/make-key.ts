import { lstat } from 'node:fs/promises';
import { AgentError } from '../errors.ts';
import { writeNewFile } from '../disk/new-file.ts';
import { FileKey } from '../keyfile/key-file.ts';
import { newKeyPem } from '../keyfile/new-key-file.ts';
import { backendOf, FILE_BACKEND, TOKEN_BACKEND, tokenOptions, type Opening } from '../keys/backends.ts';
import { askingAgain } from '../keys/pins.ts';
import { findModule, formatPkcs11Uri, namesTokenObject, makeKeyPair, parseTokenObject } from '../pkcs11/index.ts';
import { Secret, withoutPinAttributes } from '../secret.ts';
import type { KeyKind } from '../signing/public-key.ts';
import type { Signer } from '../signing/signer.ts';

/** A key that was made, open. */
export interface MadeKey extends AsyncDisposable {
  /** The KEY that names it, and no other. */
  readonly key: string;
  readonly signer: Signer;
  /** Where the private half is, in words. */
  readonly where: string;
}

export interface MakingOptions {
  readonly opening: Opening;
  /** A key file is to have a passphrase, which a person types or which is read from where it is. */
  readonly passphrase: 'none' | 'typed' | 'read';
}

async function makeInToken(text: string, kind: KeyKind, { opening }: MakingOptions): Promise<MadeKey> {
  const uri = parseTokenObject(text);
  const options = tokenOptions(opening, uri);
  const modulePath = await findModule(uri, options.defaultModule);
  const user = await askingAgain(opening.options, uri.pinSource, () => options.tokens.open(uri, modulePath, options));
  try {
    const made = await makeKeyPair(user, uri, kind);
    const key = formatPkcs11Uri(made.uri);
    const signer = await TOKEN_BACKEND.openKey(key, opening);
    return {
      key,
      signer,
      where: made.isKept ? 'made by the token, which does not give it away' : 'made by the token',
      [Symbol.asyncDispose]: async () => {
        await signer[Symbol.asyncDispose]();
        await user[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    await user[Symbol.asyncDispose]();
    throw error;
  }
}

/** Before anybody types a passphrase for it. */
async function refuseExisting(path: string): Promise<void> {
  const isThere = await lstat(path).then(
    () => true,
    () => false,
  );
  if (isThere) throw existing(path);
}

function existing(path: string): AgentError {
  const text = `there is a file ${path} already`;
  return new AgentError('ERR_KEY_EXISTS', text, { hint: 'name the new key otherwise', reason: 'key-exists' });
}

/** A key file that can't be written. */
function notWritten(path: string, error: unknown): AgentError {
  if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return existing(path);
  const why = error instanceof Error ? error.message : String(error);
  return new AgentError('ERR_KEY_FILE', `can't write the key file: ${withoutPinAttributes(why)}`, { cause: error });
}

/** The passphrase of a new key file. A mistake in typing it would lock everybody out: typed, it is asked for twice. */
async function newPassphrase(path: string, { opening, passphrase }: MakingOptions): Promise<Secret | undefined> {
  if (passphrase === 'none') return undefined;
  const { askSecret } = opening.options;
  const secret = await askSecret(`new passphrase of ${path}`, undefined, 'ask');
  try {
    if (secret.length === 0) throw new AgentError('ERR_PIN_SOURCE', `an empty passphrase for ${path}: no key was made`);
    if (passphrase === 'read') return new Secret(secret.bytes);
    const again = await askSecret(`new passphrase of ${path} again`, undefined, 'ask');
    try {
      if (again.bytes.equals(secret.bytes)) return new Secret(secret.bytes);
    } finally {
      again.destroy();
    }
    throw new AgentError('ERR_PIN_INCORRECT', `the passphrases of ${path} are not the same: no key was made`);
  } finally {
    secret.destroy();
  }
}

async function makeInFile(path: string, kind: KeyKind, options: MakingOptions): Promise<MadeKey> {
  await refuseExisting(path);
  const passphrase = await newPassphrase(path, options);
  try {
    const pem = await newKeyPem(kind, passphrase);
    try {
      await writeNewFile(path, pem, 0o600);
    } catch (error) {
      throw notWritten(path, error);
    } finally {
      pem.fill(0);
    }
    // as it is on the disk now
    const signer = await FileKey.open(path, passphrase && { passphrase: () => Promise.resolve(passphrase) });
    const where = passphrase ? 'in a file, encrypted' : 'in a file, not encrypted';
    return { key: path, signer, where, [Symbol.asyncDispose]: () => signer[Symbol.asyncDispose]() };
  } finally {
    passphrase?.destroy();
  }
}

/**
 * Makes a key where a KEY says, and opens it.
 * @throws AgentError ERR_KEY_EXISTS, ERR_KEY_*, ERR_TOKEN_*, ERR_MODULE_*, ERR_PIN_*
 */
export async function makeKey(text: string, kind: KeyKind, options: MakingOptions): Promise<MadeKey> {
  const backend = backendOf(text);
  if (backend === TOKEN_BACKEND) return await makeInToken(text, kind, options);
  if (backend === FILE_BACKEND) return await makeInFile(text, kind, options);
  throw new AgentError('ERR_KEY_UNSUPPORTED', `no key can be made at ${backend.publicName(text)}`, {
    hint: 'make it by its own tools; a request for a key that is there can be made here',
  });
}

/** A KEY for a new key that leaves out where it is: on the token that another KEY names, by the same module. */
export function withMissingParts(text: string, other: string): string {
  if (!namesTokenObject(text) || !namesTokenObject(other)) return text;
  const { object, id, type, ...place } = parseTokenObject(other);
  const uri = parseTokenObject(text);
  const namesToken = [uri.token, uri.manufacturer, uri.model, uri.serial, uri.slotId].some(
    (part) => part !== undefined,
  );
  const { modulePath, moduleName, pinSource } = place;
  const query =
    (uri.modulePath ?? uri.moduleName)
      ? {}
      : { ...(modulePath !== undefined && { modulePath }), ...(moduleName !== undefined && { moduleName }) };
  return formatPkcs11Uri(
    namesToken ? { ...query, ...(pinSource !== undefined && { pinSource }), ...uri } : { ...place, ...query, ...uri },
  );
}
