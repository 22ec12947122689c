import { Keyring } from '../agent/keyring.ts';
import { keySettings, tokenSettings, type KeyFlags } from '../config/flags.ts';
import { AgentError } from '../errors.ts';
import { base64Lines } from '../management/internal.ts';
import type { Spawn } from '../pkcs11/index.ts';
import { parseSignatureRequest } from '../signing/parse-request.ts';
import { keyKind } from '../signing/public-key.ts';
import { createSignature } from '../signing/signer.ts';
import type { LogLevel } from '../log-level.ts';
import { print, stderrLog } from './standard-streams.ts';
import { forbidCoreDumps } from './core-dumps.ts';
import { processSurroundings } from './process-surroundings.ts';

export interface SignFlags extends KeyFlags {
  readonly algorithm?: string;
  readonly logLevel: LogLevel;
}

/** Whole TLS 1.2 transcripts are some KB; nothing that a daemon sends comes near. */
const MAX_INPUT = 1024 * 1024;

async function readStdin(): Promise<string> {
  let text = '';
  for await (const chunk of process.stdin.setEncoding('latin1')) {
    text += chunk as string;
    if (text.length > MAX_INPUT) throw new AgentError('ERR_REQUEST_LENGTH', 'more than 1 MiB on standard input');
  }
  return text.replace(/\s+/g, '');
}

/** `pksigd sign`: base64 data on stdin, the signature's base64 lines on stdout. */
export async function signCommand(flags: SignFlags, spawn: Spawn | undefined): Promise<void> {
  const log = stderrLog(flags.logLevel);
  await forbidCoreDumps();
  await using keyring = new Keyring(tokenSettings(flags), processSurroundings(log, spawn));
  await using opened = await keyring.open(keySettings(flags));
  const { signer } = opened;
  const request = parseSignatureRequest(await readStdin(), flags.algorithm, keyKind(signer.publicKey));
  const { bytes, mechanism } = await createSignature(signer, request);
  log.debug({ key: signer.name, scheme: request.algorithmText, mechanism }, 'signed');
  print(`${base64Lines(bytes).join('\n')}\n`);
}
