/**
 * Keys and certificates in PKCS#11 tokens: URIs, modules in processes of their own, sessions, PINs, signing. For keys, check
 * and cli, which come in by this door only.
 */
export type { Module } from './host/module.ts';
export type { Spawn } from './host/launch.ts';
export { ModuleHosts } from './host/module-hosts.ts';
export type { ModuleHostEvent, ModuleHostOptions } from './host/options.ts';
export type { TokenInfo } from './host/protocol.ts';
export type { SeenToken } from './host/session.ts';
export { makeKeyPair } from './enrolment/make-key-pair.ts';
export { storeCertificates } from './enrolment/store-certificates.ts';
export { findTokens, listToken, tokenForPin, type FoundToken, type ListedToken } from './inventory/inventory.ts';
export type { ListedKey } from './inventory/key-list.ts';
export { signingTable, type SigningRow } from './inventory/signing-table.ts';
export { namesTokenObject, parseTokenObject } from './helper-id.ts';
export { readTokenCertificates } from './key/certificates.ts';
export { narrowed } from './key/chosen.ts';
export { canSignBy, maySignBy } from './key/mechanisms.ts';
export { offered } from './key/offer.ts';
export { peekAtCertificate, peekAtKey } from './key/peek.ts';
export { TokenKey, type TokenKeyOptions, type TokenOptions } from './key/token-key.ts';
export { configuredModules, findLibrary, findModule, type ModuleName } from './modules/find-module.ts';
export type { PinMemory } from './pins/pin-memory.ts';
export { pinState, type PinTries } from './pins/pin-state.ts';
export { Pin, type PinOptions } from './pins/pin.ts';
export { RefusedPins, processMemory } from './pins/refused-pins.ts';
export { isSessionEvent, type TokenEvent } from './token/events.ts';
export { Tokens, type TokensOptions } from './token/tokens.ts';
export { formatPkcs11Uri, idHint, parsePkcs11Uri, pkcs11UriName, type Pkcs11Uri } from './uri.ts';
