import { isAbsolute, resolve } from 'node:path';
import type { OpenVpnConfig, PlacedLine } from './openvpn-config.ts';

/** A module of `pkcs11-providers`, and what its neighbours say of it. */
export interface BuiltInModule {
  /** As OpenVPN hands it to dlopen: a path, or a library's bare name. */
  readonly file: string;
  /** `pkcs11-protected-authentication`: the PIN is typed at the token. */
  readonly isTypedAtToken: boolean;
  /** `pkcs11-private-mode`: 0, or of 1 (sign), 2 (sign with recovery), 4 (decrypt), 8 (unwrap) the sum. */
  readonly privateMode: number;
  /** `pkcs11-cert-private`: certificates are seen after a login only. */
  readonly isCertificatePrivate: boolean;
}

/** How a configuration has OpenVPN itself use a token, by pkcs11-helper. */
export interface BuiltInTokens {
  /** `pkcs11-id`: pkcs11-helper's id of the certificate. */
  readonly id: string | undefined;
  /** `pkcs11-id-management`: a management client is asked for it. */
  readonly asksForId: boolean;
  /** Empty: those of p11-kit, where OpenVPN was built for that. */
  readonly modules: readonly BuiltInModule[];
  /** `pkcs11-pin-cache`, in seconds. */
  readonly pinCache: number | undefined;
}

/** Each line's words take the place of those before, word by word, as in add_option (options.c). */
function wordsOf(name: string, lines: readonly PlacedLine[]): string[] {
  const all: string[] = [];
  for (const { words } of lines.filter((line) => line.words[0] === name))
    for (const [index, word] of words.slice(1).entries()) all[index] = word;
  return all;
}

/**
 * How a configuration has OpenVPN itself use a token; undefined if it does not.
 * @param all the lines of the configuration, as they were told when it was read
 */
export function builtInTokens({ folder }: OpenVpnConfig, all: readonly PlacedLine[]): BuiltInTokens | undefined {
  const lines = all.filter(({ words: [name = ''] }) => name.startsWith('pkcs11-'));
  const [id] = wordsOf('pkcs11-id', lines);
  const asksForId = lines.some(({ words: [name] }) => name === 'pkcs11-id-management');
  const files = wordsOf('pkcs11-providers', lines);
  if (id === undefined && !asksForId && files.length === 0) return undefined;
  const [typed, modes, secret] = ['protected-authentication', 'private-mode', 'cert-private'].map((name) =>
    wordsOf(`pkcs11-${name}`, lines),
  );
  const isOn = (word: string | undefined): boolean => Number.parseInt(word ?? '0', 10) !== 0;
  const [pinCache] = wordsOf('pkcs11-pin-cache', lines);
  return {
    id,
    asksForId,
    modules: files.map((file, index) => ({
      file: isAbsolute(file) || !file.includes('/') ? file : resolve(folder, file),
      isTypedAtToken: isOn(typed?.[index]),
      privateMode: Number.parseInt(modes?.[index] ?? '0', 16) || 0,
      isCertificatePrivate: isOn(secret?.[index]),
    })),
    pinCache: pinCache === undefined ? undefined : Number.parseInt(pinCache, 10),
  };
}
