import { COLUMNS, type Column, type TokenSetup } from '../setup/token-bed.ts';

/** How one request was served. */
export interface Cell {
  readonly column: Column;
  readonly algorithm: string;
  readonly mechanism: string;
}

const HEAD = `# How tokens sign

What \`pksigd\` does to sign with the keys of real PKCS#11 modules, as the versions in Debian 12 are. Every cell was signed
by a token, and verified by OpenSSL; the suite of \`test/tokens\` writes this file (\`scripts/update-tokens-doc\`), and fails
when it is out of date. Mechanisms stand without their \`CKM_\`. Where something is before a plus, pksigd does that itself:
\`EMSA-PSS + RSA_X_509\` is the padding in software and a raw RSA operation in the token. A dash says why there is nothing:
it is the token that can't.
`;

const KEYS = {
  RSA: `Keys of 2048 bits, and where the token takes them of 3072 and 4096 bits. DigestInfos of SHA-1, 256, 384, 512; messages for
these, SHA-224 and MD5-SHA1. PSS with SHA-1, 224, 256, 384, 512, each with a salt as long as the hash, as long as fits, and of
no length. Blocks are those of \`management-external-key nopadding\`: a PKCS #1 block is the same signature as its DigestInfo.`,
  ECDSA:
    'Digests of 20, 32, 48 and 64 bytes, so longer and shorter ones than the curve, and messages for their hashes.',
  EdDSA: 'Messages of up to 4096 bytes.',
} as const;

const shortName = (mechanism: string): string => mechanism.replaceAll('CKM_', '');

const HASH = /hashalg=([\w-]+)/;

/** The hashes of requests that took another way than most in their cell. */
const hashesOf = (cells: readonly Cell[]): string =>
  [...new Set(cells.map(({ algorithm }) => HASH.exec(algorithm)?.[1] ?? 'no hash'))].join(', ');

function cellText(cells: readonly Cell[]): string {
  const ways = new Map<string, Cell[]>();
  for (const cell of cells) {
    const name = shortName(cell.mechanism);
    ways.set(name, [...(ways.get(name) ?? []), cell]);
  }
  const [first, ...others] = [...ways].sort(([, a], [, b]) => b.length - a.length);
  if (!first) return '';
  const exceptions = others.map(([name, served]) => `; ${name} for ${hashesOf(served)}`);
  return first[0] + exceptions.join('');
}

/** One module's row in each table. */
export function rowsOf(setup: TokenSetup, cells: readonly Cell[]): Map<string, string> {
  return new Map(
    Object.entries(COLUMNS).map(([table, columns]) => {
      const texts = columns.map((column: Column) => {
        const served = cells.filter((cell) => cell.column === column);
        return served.length > 0 ? cellText(served) : `– ${setup.lacks?.[column] ?? 'UNTESTED'}`;
      });
      return [table, `| ${[setup.name, ...texts].join(' | ')} |`];
    }),
  );
}

const CLOUD = `
## Cloud services

Their modules want an account, and were read, not run: a shim before SoftHSM (\`test/tokens/cloud.c\`) behaves as their
sources say, and \`test/tokens/cloud.test.ts\` signs with it.

- [aws-kms-pkcs11](https://github.com/JackOfMostTrades/aws-kms-pkcs11) lists RSA_PKCS and ECDSA, and does RSA_PKCS_PSS with
  SHA-256, 384 and 512 and a salt as long as the hash: pksigd finds that out by trying it once. It signs PKCS #1 of MD5-SHA1
  and SHA-1 as if it were of SHA-384, which is noticed and refused; ECDSA's r and s lack leading zeros, which are put back.
- Google's [kmsp11](https://github.com/GoogleCloudPlatform/kms-integrations) gives each key one algorithm, which
  \`pksigd keys\` and \`pksigd check\` read from the key: an RSA key for PSS with SHA-256 signs nothing else. An EC key of P-384
  signs a digest of SHA-256 with zeros before it.
`;

/** The whole of docs/TOKENS.md. */
export function document(rows: readonly Map<string, string>[]): string {
  const tables = Object.entries(COLUMNS).map(([table, columns]) =>
    [
      `\n## ${table}\n`,
      `${KEYS[table as keyof typeof KEYS]}\n`,
      `| module | ${columns.join(' | ')} |`,
      `|---${'|---'.repeat(columns.length)}|`,
      ...rows.map((row) => row.get(table) ?? ''),
      '',
    ].join('\n'),
  );
  return HEAD + tables.join('') + CLOUD;
}
