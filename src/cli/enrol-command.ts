import { resolve } from 'node:path';
import type { X509Certificate } from 'node:crypto';
import { Keyring } from '../agent/keyring.ts';
import { checkSetup } from '../check/setup.ts';
import { formatVerdict, type Verdict } from '../check/verdict.ts';
import { keySettings, tokenSettings, type KeyFlags } from '../config/flags.ts';
import { importCertificate } from '../enrol/import-certificate.ts';
import { KEY_TYPES, USUAL_KEY_TYPE, type KeyTypeName } from '../enrol/key-types.ts';
import { makeKey, withMissingParts, type MakingOptions } from '../enrol/make-key.ts';
import { namesFor, requestPem } from '../enrol/make-request.ts';
import { certificateBeside, checkRequestFile, writeRequest } from '../enrol/output-files.ts';
import { AgentError } from '../errors.ts';
import { backendOf, FILE_BACKEND, openingOf, type Opening } from '../keys/backends.ts';
import type { LogLevel } from '../log-level.ts';
import { ownUser } from '../own-user.ts';
import { keyKind, keyKindName, type KeyKind } from '../signing/public-key.ts';
import type { Signer } from '../signing/signer.ts';
import { printableJson } from '../telemetry/printable.ts';
import { forbidCoreDumps } from './core-dumps.ts';
import { commandLineHint } from './hints.ts';
import { installedRelease } from './installed-release.ts';
import { sightOf } from './policy-sight.ts';
import { processSurroundings } from './process-surroundings.ts';
import { print, stderrLog, writeStderr } from './standard-streams.ts';
import { Verdicts } from './verdicts.ts';

export interface EnrolFlags extends Omit<KeyFlags, 'key'> {
  readonly key: string;
  readonly keyType?: KeyTypeName;
  readonly subject?: string;
  readonly san?: readonly string[];
  readonly template?: string;
  readonly out?: string;
  readonly renew?: boolean;
  readonly newKey?: string;
  readonly import?: string;
  readonly ca?: string;
  readonly json?: boolean;
  readonly logLevel: LogLevel;
}

const MAKING = 'making the key, which takes some tokens minutes…';

/** @throws AgentError ERR_USAGE for options that do not go together */
function checkFlags({ renew = false, newKey, keyType, cert, ca, import: issued }: EnrolFlags): void {
  const refuse = (text: string, hint: string): never => {
    throw new AgentError('ERR_USAGE', text, { hint });
  };
  if (newKey !== undefined && !renew) refuse('--new-key is for --renew', 'without it --key says where the key is made');
  if (renew && newKey === undefined && keyType !== undefined) refuse('--renew makes no key', 'give --new-key, too');
  if (ca !== undefined && issued === undefined)
    refuse('--ca is for --import', 'the chain is looked at when it is there');
  if (cert !== undefined && issued === undefined && !renew) refuse('a key that is made has no --cert', 'leave it out');
}

/** Shell words that mean what they say. */
const word = (text: string): string => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`);

/** A request that is ready, and of which key. */
interface Requested {
  readonly key: string;
  readonly signer: Signer;
  readonly pem: Buffer;
  /** Further lines about the key. */
  readonly verdicts: readonly Verdict[];
}

/** The certificate of a key that is there: the one given, with the key, or where `--import` keeps that of a file. */
async function certificateOf(
  opening: Opening,
  signer: Signer,
  { key, cert: given }: EnrolFlags,
): Promise<X509Certificate | undefined> {
  if (given !== undefined) return (await backendOf(given).readCertificates(given, opening))[0];
  const [own] = signer.certificates;
  if (own || backendOf(key) !== FILE_BACKEND) return own;
  return await certificateBeside(key, signer.publicKey);
}

async function requestNew(
  key: string,
  kind: KeyKind,
  names: Parameters<typeof requestPem>[1],
  options: MakingOptions,
): Promise<Requested> {
  await using made = await makeKey(key, kind, options);
  const detail = `${made.key}: ${keyKindName(kind)}, ${made.where}`;
  return {
    key: made.key,
    signer: made.signer,
    pem: await requestPem(made.signer, names),
    verdicts: [{ outcome: 'ok', what: 'key', detail }],
  };
}

async function request(flags: EnrolFlags, options: MakingOptions): Promise<Requested> {
  const { opening } = options;
  const { key, newKey, renew = false, keyType, subject, san, template } = flags;
  const wanted = { subject, alternativeNames: san, template };
  if (!renew) {
    const names = await namesFor(wanted, undefined);
    return await requestNew(key, KEY_TYPES[keyType ?? USUAL_KEY_TYPE], names, options);
  }
  await using signer = await backendOf(key).openKey(key, opening);
  const names = await namesFor(wanted, await certificateOf(opening, signer, flags));
  const kind = keyKind(signer.publicKey);
  if (newKey === undefined) {
    const detail = `${signer.name}: ${keyKindName(kind)}, the one that is there`;
    return { key, signer, pem: await requestPem(signer, names), verdicts: [{ outcome: 'ok', what: 'key', detail }] };
  }
  const newKind = keyType === undefined ? kind : KEY_TYPES[keyType];
  const requested = await requestNew(withMissingParts(newKey, key), newKind, names, options);
  const detail = `${signer.name} stays, and goes on to sign until --key names the new one`;
  return { ...requested, verdicts: [...requested.verdicts, { outcome: 'ok', what: 'old key', detail }] };
}

async function makeRequest(flags: EnrolFlags, keyring: Keyring): Promise<void> {
  const { out, json = false } = flags;
  if (out !== undefined) await checkRequestFile(out);
  const settings = keySettings({ ...flags, key: [flags.key], cert: undefined });
  const opening = openingOf(keyring.options(settings));
  const source = keyring.secrets.asksPerson(undefined) ? 'typed' : 'read';
  const options: MakingOptions = { opening, passphrase: flags.pinSource === undefined ? 'none' : source };
  const { key, signer, pem, verdicts } = await keyring.waiting(settings, MAKING, () => request(flags, options));
  if (out !== undefined) await writeRequest(out, pem);
  if (json) {
    const type = keyKindName(keyKind(signer.publicKey));
    const document = { key, type, request: pem.toString('latin1'), ...(out !== undefined && { out: resolve(out) }) };
    print(`${printableJson(JSON.stringify(document, null, 2))}\n`);
    return;
  }
  const next = `have it signed, then: pksigd enrol --key ${word(key)} --import FILE`;
  const all: Verdict[] = [
    ...verdicts,
    { outcome: 'ok', what: 'request', detail: out ?? 'on standard output' },
    { outcome: 'ok', what: 'next', detail: next },
  ];
  writeStderr(
    all
      .flatMap(formatVerdict)
      .map((line) => `${line}\n`)
      .join(''),
  );
  if (out === undefined) print(pem.toString('latin1'));
}

async function takeIn(flags: EnrolFlags, certificate: string, keyring: Keyring): Promise<void> {
  const { key, cert: file, ca: authorities, json = false } = flags;
  const verdicts = new Verdicts(json, commandLineHint);
  const settings = keySettings({ ...flags, key: [key], cert: undefined });
  const now = Date.now();
  await keyring.waiting(settings, 'reading the key…', async () => {
    const opening = openingOf(keyring.options(settings));
    const options = { key, certificate, file, authorities, opening, now };
    await using imported = await importCertificate(options, verdicts.report);
    if (!imported) return;
    const setup = {
      ...keyring.options({ ...settings, certificate: imported.certificate }),
      login: true,
      management: undefined,
      managementWords: undefined,
      directives: undefined,
      configCertificate: undefined,
      sight: sightOf(settings.policy),
      installedRelease,
      user: ownUser().name,
      answersPasswords: false,
      now,
    };
    await checkSetup(setup, verdicts.report);
  });
  process.exitCode = verdicts.exitCode;
}

/** `pksigd enrol`: makes a key and a request for its certificate; with `--import` takes the certificate in. */
export async function enrolCommand(flags: EnrolFlags): Promise<void> {
  checkFlags(flags);
  await forbidCoreDumps();
  await using keyring = new Keyring(tokenSettings(flags), processSurroundings(stderrLog(flags.logLevel)));
  if (flags.import === undefined) await makeRequest(flags, keyring);
  else await takeIn(flags, flags.import, keyring);
}
