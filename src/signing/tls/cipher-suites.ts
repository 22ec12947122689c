/** How a session's secret comes about, as far as messages depend on it. */
export type KeyExchange = 'RSA' | 'DHE' | 'ECDHE';

/**
 * The cipher suites of TLS 1.0 to 1.2 in which a server has a certificate and may ask for the client's (IANA's registry), by
 * key exchange. Those without (anonymous, PSK, SRP), of static Diffie-Hellman, and of TLS 1.3 are left out.
 */
const SUITES: Readonly<Record<KeyExchange, readonly number[]>> = {
  RSA: [
    ...[0x0001, 0x0002, 0x0004, 0x0005, 0x0007, 0x0009, 0x000a, 0x002f, 0x0035, 0x003b, 0x003c, 0x003d, 0x0041, 0x0084],
    ...[0x0096, 0x009c, 0x009d, 0x00ba, 0x00c0, 0xc03c, 0xc03d, 0xc050, 0xc051, 0xc07a, 0xc07b, 0xc09c, 0xc09d, 0xc0a0],
    0xc0a1,
  ],
  DHE: [
    ...[0x0012, 0x0013, 0x0015, 0x0016, 0x0032, 0x0033, 0x0038, 0x0039, 0x0040, 0x0044, 0x0045, 0x0067, 0x006a, 0x006b],
    ...[0x0087, 0x0088, 0x0099, 0x009a, 0x009e, 0x009f, 0x00a2, 0x00a3, 0x00bd, 0x00be, 0x00c3, 0x00c4, 0xc042, 0xc043],
    ...[0xc044, 0xc045, 0xc052, 0xc053, 0xc056, 0xc057, 0xc07c, 0xc07d, 0xc080, 0xc081, 0xc09e, 0xc09f, 0xc0a2, 0xc0a3],
    0xccaa,
  ],
  ECDHE: [
    ...[0xc006, 0xc007, 0xc008, 0xc009, 0xc00a, 0xc010, 0xc011, 0xc012, 0xc013, 0xc014, 0xc023, 0xc024, 0xc027, 0xc028],
    ...[0xc02b, 0xc02c, 0xc02f, 0xc030, 0xc048, 0xc049, 0xc04c, 0xc04d, 0xc05c, 0xc05d, 0xc060, 0xc061, 0xc072, 0xc073],
    ...[0xc076, 0xc077, 0xc086, 0xc087, 0xc08a, 0xc08b, 0xc0ac, 0xc0ad, 0xc0ae, 0xc0af, 0xcca8, 0xcca9],
  ],
};

const EXCHANGES: ReadonlyMap<number, KeyExchange> = new Map(
  Object.entries(SUITES).flatMap(([exchange, codes]) => codes.map((code) => [code, exchange as KeyExchange] as const)),
);

/** Undefined for a suite in which a client shows no certificate, and one that is not known. */
export function keyExchangeOf(suite: number): KeyExchange | undefined {
  return EXCHANGES.get(suite);
}

/** How long a point is in the groups that are known (RFC 8422 section 5.4, RFC 7027). */
const POINT_BYTES: ReadonlyMap<number, number> = new Map([
  [22, 65], // secp256k1
  [23, 65], // secp256r1
  [24, 97], // secp384r1
  [25, 133], // secp521r1
  [26, 65], // brainpoolP256r1
  [27, 97], // brainpoolP384r1
  [28, 129], // brainpoolP512r1
  [29, 32], // x25519
  [30, 56], // x448
]);

/** Can a point of this length be one of the group? Of a group that is not known any can. */
export function isPointLength(group: number, length: number): boolean {
  return length === (POINT_BYTES.get(group) ?? length);
}
