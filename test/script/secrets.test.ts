import { randomBytes } from 'node:crypto';
import { inject } from 'vitest';
import { describe, expect } from 'vitest';
import { test, type Bench } from '../support/bench.ts';

/** Secrets of the shapes that people and password generators make. */
function secrets(): string[] {
  const random = randomBytes(12);
  return [
    String(random.readUIntBE(0, 5) + 10_000_000),
    random.toString('hex'),
    random.toString('base64'),
    `/${random.toString('base64')}`,
    `s3cret-${random.toString('base64url')}.pin`,
    `${random.toString('hex')} with blanks & 'quotes'=?;`,
  ];
}

/** A command line, and its environment, in which a secret stands where it does not belong. */
type Place = (bench: Bench, secret: string) => string[] | Promise<string[]>;

const key = (): string => `pkcs11:token=pksigd;object=p256?module-path=${inject('softhsmModule')}`;
const sign = (...args: string[]): string[] => ['sign', '--key', key(), '--log-level', 'debug', ...args];
const run = (bench: Bench, ...args: string[]): string[] => [
  ...['run', '--key', key(), '--pin-source', bench.pinFile, '--log-level', 'debug'],
  ...args,
];

const PLACES: Record<string, Place> = {
  '--pin-source': (_, secret) => sign('--pin-source', secret),
  '--pin-source file:': (_, secret) => sign('--pin-source', `file:${secret}`),
  '--pin-source credential:': (_, secret) => sign('--pin-source', `credential:${secret}`),
  '--pin-source command:': (_, secret) => sign('--pin-source', `command:exit 3 # ${secret}`),
  'a misspelt option': (_, secret) => sign(`--pin-sorce=${secret}`),
  '--module-env': (_, secret) => sign('--module-env', secret),
  '--module-env PIN=': (bench, secret) => sign('--pin-source', bench.pinFile, '--module-env', `PIN=${secret}`),
  '--module-init-args': (bench, secret) => sign('--pin-source', bench.pinFile, '--module-init-args', secret),
  'pin-source of a URI': (_, secret) => ['sign', '--key', `${key()}&pin-source=${secret}`],
  'encoded pin-source of a URI': (_, secret) => ['sign', '--key', `${key()}&pin-source=${encodeURIComponent(secret)}`],
  'pin-value of a URI': (_, secret) => ['sign', '--key', `${key()}&pin-value=${secret}`],
  'pin-value of something like a URI': (_, secret) => ['sign', '--key', ` ${key()}&pin-value=${secret}`],
  'pin-value of a URI of a certificate': (bench, secret) =>
    sign('--pin-source', bench.pinFile, '--cert', `pkcs11;object=x?pin-value=${secret}`),
  'the filter of keys': (_, secret) => ['keys', `${key()}&pin-source=${secret}`],
  'the password of --management': (bench, secret) =>
    run(bench, '--management-client', '--management', bench.path('socket'), 'unix', secret),
  'the password of a .ovpn': async (bench, secret) => {
    const word = secret.replaceAll(/["\\]/g, '');
    const path = await bench.write('x.ovpn', `management m.sock unix "${word}"\nmanagement-client\n`);
    return run(bench, '--openvpn-config', path);
  },
  'the password of a .ovpn that is checked': async (bench, secret) => {
    const path = await bench.write('x.ovpn', `dev tun\nmanagement 127.0.0.1 7 "${secret}"\n`);
    return ['check', '--key', key(), '--openvpn-config', path];
  },
  'the password of --management that is checked': (_, secret) => [
    ...['check', '--key', key(), '--management', '127.0.0.1', '7', secret],
  ],
  'the password of --relay': (bench, secret) =>
    run(bench, '--management', bench.path('socket'), 'unix', '--relay', bench.path('relay'), 'unix', secret),
  'the password of pksigd management': (bench, secret) => [
    ...['management', '--management', bench.path('socket'), 'unix', secret, '--', 'version'],
  ],
};

describe.concurrent('a secret in the wrong place is not repeated', () => {
  test.for(Object.keys(PLACES))('%s', async (place, { bench }) => {
    for (const secret of secrets()) {
      const args = (await PLACES[place]?.(bench, secret)) ?? [];
      const pksigd = await bench.pksigd(args, { input: Buffer.alloc(32, 7).toString('base64') });
      await pksigd.exited;
      const shown = pksigd.lines.join('\n');
      expect(shown, pksigd.transcript).not.toBe('');
      for (const form of [secret, encodeURIComponent(secret), JSON.stringify(secret).slice(1, -1)]) {
        expect(shown.includes(form), `${args.join(' ')}\n${pksigd.transcript}`).toBe(false);
      }
    }
  });
});

test('a management password given as a word: what is said is of a password', async ({ bench }) => {
  const pksigd = await bench.pksigd(
    run(bench, '--management-client', '--management', bench.path('socket'), 'unix', 'opensesame'),
  );
  expect(await pksigd.exited).toBe(1);
  const said = pksigd.lines.join('\n');
  expect(said).toContain('management password');
  expect(said).not.toMatch(/PIN|opensesame/);
});
