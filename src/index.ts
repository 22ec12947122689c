/**
 * pksigd as a library: understand what OpenVPN wants signed, sign it with a key in a file or in a PKCS#11 token, serve a
 * daemon. The management interface alone is `pksigd/management`.
 */
export { openKey, type KeyOptions, type OpenedKey } from './agent/open-key.ts';
export type { Log } from './agent/log.ts';
export { Tunnel, type TokenRemovalAction, type TunnelOptions } from './agent/tunnel.ts';
export { AgentError, type AgentErrorCode, type AgentErrorOptions } from './errors.ts';
export { FileKey, type KeyFileOptions } from './keyfile/key-file.ts';
export type { ModuleHostEvent, ModuleHostOptions } from './pkcs11/module-host.ts';
export { ModuleHosts } from './pkcs11/module-hosts.ts';
export { Pin, type PinOptions } from './pkcs11/pin.ts';
export type { PinMemory } from './pkcs11/pin-memory.ts';
export { RefusedPins } from './pkcs11/refused-pins.ts';
export type { TokenEvent } from './pkcs11/events.ts';
export type { FailoverEvent } from './agent/failover-key.ts';
export { TokenKey, type TokenKeyOptions } from './pkcs11/token-key.ts';

export { formatPkcs11Uri, parsePkcs11Uri, type Pkcs11Uri } from './pkcs11/uri.ts';
export { Secret } from './secret.ts';
export { parseSignatureRequest } from './signing/parse-request.ts';
export { keyKind, type KeyKind } from './signing/public-key.ts';
export type { SignatureRequest } from './signing/request.ts';
export { createSignature, type RawSignature, type Signature, type Signer } from './signing/signer.ts';
