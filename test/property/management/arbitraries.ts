import fc from 'fast-check';
import type { Environment, InfoMessage, Notification, StateEntry } from '../../../src/management/index.ts';
import { Secret } from '../../../src/secret.ts';

/** Raised where more time is: PROPERTY_RUNS=100000. */
export const runs: number = Number.parseInt(process.env['PROPERTY_RUNS'] ?? '300', 10);

const letters = Array.from('abcXYZ019 _-./:;,=\'"\\[]()<>@#üß😀');
/** Text of a line: anything but line ends, in which the protocol's own signs are frequent. */
export const text: fc.Arbitrary<string> = fc.string({ unit: fc.constantFrom(...letters), maxLength: 40 });
const without = (signs: string): fc.Arbitrary<string> =>
  text.map((each) =>
    Array.from(each)
      .filter((c) => !signs.includes(c))
      .join(''),
  );
const word: fc.Arbitrary<string> = fc.string({
  unit: fc.constantFrom(...Array.from('abcXYZ019_-')),
  minLength: 1,
  maxLength: 12,
});
const count: fc.Arbitrary<number> = fc.oneof(fc.nat(), fc.constant(0), fc.constant(Number.MAX_SAFE_INTEGER));
const maybe = <T>(some: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(some, { nil: undefined });

const environment: fc.Arbitrary<Environment> = fc
  .array(fc.tuple(fc.oneof(word, fc.constantFrom('__proto__', 'constructor', 'tls_id_0')), text), { maxLength: 6 })
  .map((entries) => {
    const env = Object.create(null) as Record<string, string>;
    for (const [name, value] of entries) env[name] = value;
    return env;
  });

const field = without(',').filter((each) => each !== '');
const state: fc.Arbitrary<StateEntry> = fc.record({
  time: count,
  name: word,
  detail: maybe(text.filter((each) => each !== '')),
  tunIPv4: maybe(field),
  remoteAddress: maybe(field),
  remotePort: maybe(count),
  localAddress: maybe(field),
  localPort: maybe(count),
  tunIPv6: maybe(field),
});

const infoMessage: fc.Arbitrary<InfoMessage> = fc.oneof(
  fc.record({
    kind: fc.constant('WEB_AUTH' as const),
    flags: fc.array(word, { maxLength: 3 }),
    proxy: maybe(
      fc.record({
        host: fc.oneof(fc.ipV4(), fc.ipV6(), word),
        port: fc.nat(65535),
        user: maybe(text.filter((each) => each !== '')),
        password: maybe(text.filter((each) => each !== '')),
      }),
    ),
    url: fc.webUrl(),
  }),
  fc.record({ kind: fc.constant('OPEN_URL' as const), url: text }),
  fc.record({ kind: fc.constant('CR_TEXT' as const), echo: fc.boolean(), responseRequired: fc.boolean(), text }),
  fc.record({ kind: fc.constant('OTHER' as const), text: word }),
);

const base64 = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes).toString('base64'));
const type = <T extends string>(name: T): { type: fc.Arbitrary<T> } => ({ type: fc.constant(name) });
const mode = <M extends string>(name: M): { type: fc.Arbitrary<'CLIENT'>; mode: fc.Arbitrary<M> } => ({
  ...type('CLIENT'),
  mode: fc.constant(name),
});

/** Every notification that a daemon can send. */
export const notification: fc.Arbitrary<Notification> = fc.oneof(
  fc.record({ ...type('BYTECOUNT'), bytesIn: count, bytesOut: count }),
  fc.record({ ...type('BYTECOUNT_CLI'), cid: count, bytesIn: count, bytesOut: count }),
  fc.record({ ...mode('CONNECT'), cid: count, kid: count, env: environment }),
  fc.record({ ...mode('REAUTH'), cid: count, kid: count, env: environment }),
  fc.record({ ...mode('ESTABLISHED'), cid: count, env: environment }),
  fc.record({ ...mode('DISCONNECT'), cid: count, env: environment }),
  fc.record({ ...mode('ADDRESS'), cid: count, address: without(','), primary: fc.boolean() }),
  fc.record({ ...mode('CR_RESPONSE'), cid: count, kid: count, response: text, env: environment }),
  fc.record({ ...type('ECHO'), time: count, text }),
  fc.record({ ...type('FATAL'), text }),
  fc.record({ ...type('HOLD'), text: without(':'), waitSeconds: maybe(count) }),
  fc.record({ ...type('INFO'), text }),
  fc.record({ ...type('INFOMSG'), message: infoMessage }),
  fc.record({ ...type('LOG'), time: count, flags: fc.constantFrom('', 'I', 'W', 'ND'), text }),
  fc.record({ ...type('NEED-OK'), name: without("'"), text }),
  fc.record({ ...type('NEED-STR'), name: without("'"), text }),
  fc.record({ ...type('NEED-CERTIFICATE'), hint: text }),
  fc.record({ ...type('NOTIFY'), severity: word, notice: word, text }),
  fc.record({
    ...type('PASSWORD'),
    form: fc.constant('need' as const),
    name: without("'"),
    wants: fc.constantFrom('password' as const, 'username/password' as const, 'username' as const),
    staticChallenge: maybe(fc.record({ echo: fc.boolean(), concat: fc.boolean(), text })),
  }),
  fc.tuple(without("'"), maybe(text), fc.boolean()).map(([name, reason, bare]): Notification => {
    const named = !bare || reason === undefined;
    return { type: 'PASSWORD', form: 'failed', name: named ? name : undefined, reason };
  }),
  text.map((token): Notification => ({ type: 'PASSWORD', form: 'auth-token', token: new Secret(token) })),
  fc.record({ type: fc.constantFrom('PK_SIGN' as const, 'RSA_SIGN' as const), data: base64, algorithm: maybe(text) }),
  fc.record({ ...type('PKCS11ID-COUNT'), count }),
  fc.record({ ...type('PKCS11ID-ENTRY'), index: count, entry: maybe(fc.record({ id: without("'"), blob: base64 })) }),
  fc.record({ ...type('PROXY'), index: count, protocol: fc.constantFrom('UDP' as const, 'TCP' as const), host: text }),
  fc.record({ ...type('REMOTE'), host: without(','), port: without(','), protocol: text }),
  state.map((entry): Notification => ({ type: 'STATE', ...entry })),
  fc.record({ ...type('UPDOWN'), mode: fc.constantFrom('UP' as const, 'DOWN' as const), env: environment }),
  word.map((name): Notification => ({ type: 'UNKNOWN', line: `X-${name}` })),
);
