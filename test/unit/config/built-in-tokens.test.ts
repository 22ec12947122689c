import { expect, test } from 'vitest';
import { builtInTokens, type BuiltInTokens } from '../../../src/config/built-in-tokens.ts';
import { type PlacedLine, readOpenVpnConfig } from '../../../src/config/openvpn-config.ts';

async function read(text: string): Promise<BuiltInTokens | undefined> {
  const lines: PlacedLine[] = [];
  const config = await readOpenVpnConfig(
    '/etc/openvpn/x.ovpn',
    () => Promise.resolve(Buffer.from(text)),
    (line) => {
      lines.push(line);
    },
  );
  return builtInTokens(config, lines);
}

const PLAIN = { isTypedAtToken: false, privateMode: 0, isCertificatePrivate: false };

test('no module, no id: none of that', async () => {
  expect(await read('client\npkcs11-pin-cache 5\n')).toBeUndefined();
});

test('modules by path, by a relative path and by name, and what their neighbours say of each', async () => {
  const text = String.raw`
cd lib
pkcs11-providers /a.so ./b.so c.so
pkcs11-protected-authentication 0 1
pkcs11-private-mode 0x2 00000004
pkcs11-cert-private 0 0 1
pkcs11-pin-cache 300
pkcs11-id 'a\x20b/c/d/e/01'`;
  expect(await read(text)).toEqual({
    id: String.raw`a\x20b/c/d/e/01`,
    asksForId: false,
    modules: [
      { ...PLAIN, file: '/a.so', privateMode: 2 },
      { ...PLAIN, file: '/etc/openvpn/lib/b.so', isTypedAtToken: true, privateMode: 4 },
      { ...PLAIN, file: 'c.so', isCertificatePrivate: true },
    ],
    pinCache: 300,
  });
});

test('a further line takes the place of the words that it has, as in OpenVPN', async () => {
  const text =
    'pkcs11-providers /a /b\npkcs11-providers /c\npkcs11-id x\npkcs11-id y\nsetenv opt pkcs11-id-management\n';
  const found = await read(text);
  expect(found?.modules.map(({ file }) => file)).toEqual(['/c', '/b']);
  expect(found).toMatchObject({ id: 'y', asksForId: true });
});
