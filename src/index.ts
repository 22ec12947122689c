/**
 * pksigd as a library: understand what OpenVPN wants signed, sign it with a key in a file or in a PKCS#11 token, serve a
 * daemon. The management interface alone is `pksigd/management`.
 */
export type { KeyOptions } from './keys/key-options.ts';
export { openKey, type OpenedKey } from './keys/open-key.ts';
export { Agent } from './agent/agent.ts';
export type { Outcome } from './agent/answer.ts';
export type { AgentEvent } from './agent/events.ts';
export type { Surroundings, Terminal } from './agent/surroundings.ts';
export { type Clock, SYSTEM_CLOCK } from './clock.ts';
export { NETWORK, type Network } from './agent/tunnel.ts';
export type { KeySettings, RelaySettings, Settings, TokenSettings, TunnelSettings } from './config/settings.ts';
export { AgentError, type AgentErrorCode, type AgentErrorOptions } from './errors.ts';
export { Programs, type ProgramEvent, type ProgramsOptions } from './exec/index.ts';
export { FileKey, type KeyFileOptions } from './keyfile/key-file.ts';
export {
  ModuleHosts,
  Pin,
  RefusedPins,
  TokenKey,
  Tokens,
  formatPkcs11Uri,
  parsePkcs11Uri,
  type ModuleHostEvent,
  type ModuleHostOptions,
  type PinMemory,
  type PinOptions,
  type Pkcs11Uri,
  type TokenEvent,
  type TokenKeyOptions,
  type TokensOptions,
} from './pkcs11/index.ts';
export type { FailoverEvent } from './keys/key-copy.ts';

export { Secret } from './secret.ts';
export { parseSignatureRequest } from './signing/parse-request.ts';
export { keyKind, type KeyKind } from './signing/public-key.ts';
export type { SignatureRequest } from './signing/request.ts';
export { createSignature, type RawSignature, type Signature, type Signer } from './signing/signer.ts';
