// Records what real OpenVPN daemons want signed when they send whole messages, into test/fixtures/handshakes.jsonl and keys.json:
// all kinds of keys, TLS 1.0 to 1.3, key exchanges, chains of client and server. For the tests of src/signing/tls.
// node scripts/record-handshakes.mjs [PATH-OF-OPENVPN...]; each daemon's requests are added to those of the others.
import { execFileSync, spawn } from 'node:child_process';
import { createPublicKey } from 'node:crypto';
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const OUT = join(import.meta.dirname, '../test/fixtures/handshakes.jsonl');
const daemons = process.argv.length > 2 ? process.argv.slice(2) : ['/usr/sbin/openvpn'];
const folder = mkdtempSync(join(tmpdir(), 'pksigd-record-'));
const at = (name) => join(folder, name);
const openssl = (...args) => execFileSync('openssl', args, { stdio: ['ignore', 'pipe', 'ignore'] });

const ALGORITHMS = {
  rsa2048: ['RSA', '-pkeyopt', 'rsa_keygen_bits:2048'],
  rsa3072: ['RSA', '-pkeyopt', 'rsa_keygen_bits:3072'],
  p256: ['EC', '-pkeyopt', 'ec_paramgen_curve:P-256'],
  p384: ['EC', '-pkeyopt', 'ec_paramgen_curve:P-384'],
  p521: ['EC', '-pkeyopt', 'ec_paramgen_curve:P-521'],
  ed25519: ['ed25519'],
  ed448: ['ed448'],
};
/** A server's OpenSSL that knows no PSS. */
const WITHOUT_PSS = `openssl_conf = all
[all]
ssl_conf = ssl
[ssl]
system_default = tls
[tls]
SignatureAlgorithms = ECDSA+SHA256:RSA+SHA256:RSA+SHA1
`;
const CLIENTS = Object.keys(ALGORITHMS);

function makeKey(name, algorithm) {
  openssl('genpkey', '-algorithm', ...ALGORITHMS[algorithm], '-out', at(`${name}.pem`));
}

/** A certificate of `name`, signed by `issuer` (by itself: no name). */
function certify(name, subject, extensions, issuer) {
  writeFileSync(at('extensions'), extensions.join('\n'));
  openssl('req', '-new', '-key', at(`${name}.pem`), '-subj', subject, '-out', at('request'));
  const by = issuer ? ['-CA', at(`${issuer}.crt`), '-CAkey', at(`${issuer}.pem`)] : ['-signkey', at(`${name}.pem`)];
  const days = ['-days', '7300', '-extfile', at('extensions')];
  openssl('x509', '-req', '-in', at('request'), ...by, ...days, '-out', at(`${name}.crt`));
}

function bundle(name, ...parts) {
  writeFileSync(at(`${name}.crt`), parts.map((part) => readFileSync(at(`${part}.crt`), 'utf8')).join(''));
}

function makeAll() {
  openssl('dhparam', '-out', at('dh.pem'), '-dsaparam', '2048');
  writeFileSync(at('without-pss.cnf'), WITHOUT_PSS);
  const ca = ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,keyCertSign,cRLSign'];
  makeKey('ca', 'p256');
  certify('ca', '/CN=pksigd test CA', ca);
  for (const [name, issuer] of [
    ['middle1', 'ca'],
    ['middle2', 'middle1'],
    ['middle3', 'middle2'],
  ]) {
    makeKey(name, name === 'middle1' ? 'rsa2048' : 'p256');
    certify(name, `/O=pksigd/CN=${name}`, ca, issuer);
  }
  for (const algorithm of ['rsa2048', 'p256', 'ed25519']) {
    makeKey(`server-${algorithm}`, algorithm);
    const san = ['extendedKeyUsage=serverAuth', `subjectAltName=DNS:vpn.example.net,DNS:${algorithm}.example.net`];
    certify(`server-${algorithm}`, `/C=KG/O=pksigd/CN=server ${algorithm}`, san, 'ca');
  }
  makeKey('server-deep', 'p256');
  certify('server-deep', '/O=pksigd/CN=server deep', ['extendedKeyUsage=serverAuth'], 'middle3');
  bundle('server-long', 'server-deep', 'middle3', 'middle2', 'middle1');
  writeFileSync(at('server-long.pem'), readFileSync(at('server-deep.pem')));
  for (const name of CLIENTS) {
    makeKey(name, name);
    certify(name, `/CN=client ${name}`, ['extendedKeyUsage=clientAuth'], 'middle1');
    bundle(`${name}-alone`, name);
    bundle(`${name}-chain`, name, 'middle1');
    bundle(`${name}-long`, name, 'middle1', 'ca');
  }
  bundle('trusted', 'ca', 'middle1');
  bundle('trusted-more', 'ca', 'middle1', 'middle2', 'middle3');
}

/** One handshake up to the request. @returns the line of the request, or undefined if none came */
async function record(daemon, { key, tls, server, chain, trusted = 'trusted', args = [], withoutPss = false }) {
  const port = 20_000 + Math.floor(Math.random() * 10_000);
  const common = ['--dev', 'null', '--ifconfig-noexec', '--verb', '3', '--ca', at(`${trusted}.crt`), ...args];
  const versions = ['--tls-version-min', tls, '--tls-version-max', tls];
  const old = tls < '1.2' ? ['--tls-cipher', 'DEFAULT:@SECLEVEL=0', '--providers', 'legacy', 'default'] : [];
  const serverEnd = spawn(
    daemon,
    [
      ...[
        '--tls-server',
        '--local',
        '127.0.0.1',
        '--port',
        `${port}`,
        '--proto',
        'udp',
        '--dh',
        at('dh.pem'),
        ...common,
        ...versions,
        ...old,
      ],
      ...['--cert', at(`${server}.crt`), '--key', at(`${server}.pem`)],
    ],
    withoutPss ? { env: { ...process.env, OPENSSL_CONF: at('without-pss.cnf') } } : {},
  );
  const said = [];
  serverEnd.stdout.on('data', (data) => said.push(data));
  const listener = createServer();
  const socket = at(`management-${port}`);
  await new Promise((resolve) => listener.listen(socket, resolve));
  const words = key.startsWith('rsa') ? ['nopadding', 'pkcs1', 'pss'] : [];
  const client = spawn(daemon, [
    ...['--tls-client', '--nobind', '--remote', '127.0.0.1', `${port}`, 'udp', ...common, ...versions, ...old],
    ...['--management', socket, 'unix', '--management-client', '--management-hold'],
    ...['--management-external-key', ...words, 'digest'],
    ...['--cert', at(`${key}-${chain}.crt`)],
  ]);
  client.stdout.on('data', (data) => said.push(data));
  const line = await new Promise((resolve) => {
    const give = setTimeout(() => resolve(undefined), 6_000);
    listener.on('connection', (connection) => {
      let text = '';
      connection.write('version 3\n');
      connection.on('error', () => undefined);
      connection.on('data', (data) => {
        text += data.toString('latin1');
        if (/^>HOLD/m.test(text)) {
          text = text.replace(/^>HOLD.*/m, '');
          connection.write('hold release\n');
        }
        const [, request] = /^>PK_SIGN:(.*)\r\n/m.exec(text) ?? [];
        if (request === undefined) return;
        clearTimeout(give);
        resolve(request);
      });
    });
  });
  client.kill('SIGKILL');
  serverEnd.kill('SIGKILL');
  listener.close();
  if (line === undefined && process.env.SHOW) process.stderr.write(Buffer.concat(said));
  return line;
}

function* cells() {
  for (const key of CLIENTS) {
    yield { key, tls: '1.3', server: 'server-p256', chain: 'alone' };
    yield { key, tls: '1.2', server: 'server-p256', chain: key === 'p521' ? 'long' : 'chain' };
  }
  yield {
    key: 'p256',
    tls: '1.3',
    server: 'server-rsa2048',
    chain: 'chain',
    args: ['--tls-ciphersuites', 'TLS_AES_128_GCM_SHA256'],
  };
  yield {
    key: 'ed25519',
    tls: '1.3',
    server: 'server-long',
    chain: 'long',
    args: ['--tls-ciphersuites', 'TLS_CHACHA20_POLY1305_SHA256'],
  };
  yield { key: 'ed25519', tls: '1.2', server: 'server-ed25519', chain: 'alone' };
  yield { key: 'p256', tls: '1.2', server: 'server-long', chain: 'long', trusted: 'trusted-more' };
  yield { key: 'rsa2048', tls: '1.2', server: 'server-rsa2048', chain: 'alone' };
  for (const cipher of ['TLS-RSA-WITH-AES-256-GCM-SHA384', 'TLS-DHE-RSA-WITH-AES-256-GCM-SHA384'])
    yield { key: 'rsa2048', tls: '1.2', server: 'server-rsa2048', chain: 'chain', args: ['--tls-cipher', cipher] };
  yield { key: 'p384', tls: '1.2', server: 'server-p256', chain: 'alone', args: ['--tls-groups', 'X25519:P-256'] };
  yield { key: 'p384', tls: '1.2', server: 'server-p256', chain: 'alone', args: ['--tls-groups', 'P-521:P-256'] };
  yield { key: 'rsa2048', tls: '1.2', server: 'server-p256', chain: 'alone', withoutPss: true };
  for (const tls of ['1.0', '1.1'])
    for (const key of ['rsa2048', 'p256'])
      yield { key, tls, server: key === 'p256' ? 'server-p256' : 'server-rsa2048', chain: 'alone' };
}

makeAll();
const keys = Object.fromEntries(
  CLIENTS.map((name) => [
    name,
    createPublicKey(readFileSync(at(`${name}.pem`))).export({ type: 'spki', format: 'pem' }),
  ]),
);
for (const daemon of daemons) {
  const [openvpn] = /OpenVPN \S+/.exec(spawnText(daemon)) ?? ['unknown'];
  for (const cell of cells()) {
    const line = await record(daemon, cell);
    const { key, tls, server, chain, args = [] } = cell;
    const what = `${openvpn} ${key} ${tls} ${server} ${chain} ${args.join(' ')}`;
    if (line === undefined) {
      process.stderr.write(`no request: ${what}\n`);
      continue;
    }
    const [data, ...algorithm] = line.split(',');
    const entry = {
      openvpn,
      key,
      tls,
      server,
      chain,
      ...(args.length > 0 && { args: args.join(' ') }),
      algorithm: algorithm.join(','),
      publicKey: keys[key],
      data,
    };
    appendFileSync(OUT, `${JSON.stringify(entry)}\n`);
    process.stderr.write(`${algorithm.join(',')} of ${Buffer.from(data, 'base64').length} bytes: ${what}\n`);
  }
}
// the CA is wanted where a server's chain is checked
writeFileSync(join(OUT, '../handshakes-ca.pem'), readFileSync(at('ca.crt')));
rmSync(folder, { recursive: true });

function spawnText(daemon) {
  try {
    return execFileSync(daemon, ['--version'], { encoding: 'utf8' });
  } catch (error) {
    return String(error.stdout);
  }
}
