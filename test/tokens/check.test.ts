import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { unhurriedLines } from '../support/check.ts';
import { Child } from '../support/child.ts';
import { clientConfig, OPENVPN } from '../support/openvpn.ts';
import { MAIN } from '../support/pksigd.ts';
import { faultSetup, type FaultBed } from './setup/fault.ts';
import { openScSetup } from './setup/piv.ts';

// numbers of PKCS#11 v3.1, pkcs11t.h
const CKF = { KEYPAD: 0x100, COUNT_LOW: 0x10000, FINAL_TRY: 0x20000, LOCKED: 0x40000 } as const;
/** RSA_PKCS_PSS, RSA_X_509, and what hashes by itself. */
const BEYOND_PKCS1 = [0xd, 0x3, 0x6, 0xe, 0x40, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47] as const;
const DIGESTS = [0x1, 0x3, 0xd] as const;
const DEVICE_ERROR = 0x30;
const PIN = 4;

describe.skipIf(faultSetup.unavailable() !== undefined)('pksigd check on a module that fails', () => {
  let bed: FaultBed;

  beforeEach(async () => {
    bed = await faultSetup.start();
  });
  afterEach(async () => {
    await bed.stop();
  });

  const keyOf = (name: 'rsa2048' | 'p256', pinFile = bed.pinFile): string =>
    `pkcs11:${bed.key(name).uri}?module-path=${bed.modulePath}&pin-source=file:${pinFile}`;

  /** The verdicts, and how often C_Login and C_Sign were called. */
  async function checkOnce(name: 'rsa2048' | 'p256', args: readonly string[], pinFile = bed.pinFile) {
    const before = await bed.calls();
    const pksigd = await bed.bench.pksigd(['check', '--key', keyOf(name, pinFile), ...args], {
      env: { ...bed.environment },
    });
    const code = await pksigd.exited;
    const pin = bed.pin ?? '';
    expect(pksigd.transcript.includes(pin), pksigd.transcript.replaceAll(pin, '[PIN]')).toBe(false);
    const calls = (await bed.calls()).slice(before.length).map((call) => call.split(' ')[0]);
    return {
      code,
      lines: pksigd.stdout,
      stderr: pksigd.stderr,
      /** The lines of one check. */
      of: (what: string) => pksigd.stdout.filter((line) => line.slice(6).startsWith(`${what}:`)),
      logins: calls.filter((call) => call === 'C_Login').length,
      signatures: calls.filter((call) => call === 'C_Sign').length,
    };
  }

  const check = (...given: Parameters<typeof checkOnce>): ReturnType<typeof checkOnce> =>
    unhurriedLines(
      () => checkOnce(...given),
      ({ lines }) => lines,
    );

  test('a wrong PIN uses one try, once, and only with --login', async () => {
    const wrong = await bed.bench.write('wrong', '00000000\n');
    const unasked = await check('p256', [], wrong);
    expect(unasked).toMatchObject({ code: 0, logins: 0, signatures: 0 });
    const first = await check('p256', ['--login'], wrong);
    expect(first).toMatchObject({ code: PIN, logins: 1, signatures: 0 });
    expect(first.of('PIN')).toContainEqual(expect.stringMatching(/^fail .*refused the PIN .*CKR_PIN_INCORRECT/));
    for (const args of [['--login'], []]) {
      const again = await check('p256', args, wrong);
      expect(again).toMatchObject({ code: PIN, logins: 0 });
      expect(again.of('PIN')).toContainEqual(expect.stringMatching(/^fail .*refused this PIN before/));
    }
    // a login shows no more, and is not advised
    for (const { lines, stderr } of [first, await check('p256', [], wrong), await check('p256', ['--login'], wrong)]) {
      expect(lines.filter((line) => line.includes('--login'))).toEqual([]);
      expect(lines).toContainEqual(expect.stringMatching(/^skip {2}key: .*: the PIN is what is wrong: see above$/));
      expect(stderr).toEqual([]);
    }
    expect(unasked.lines).toContainEqual(expect.stringMatching(/^skip {2}key: .*: give --login$/));
    expect(await check('p256', ['--login'])).toMatchObject({ code: 0, logins: 1 });
  });

  test('no line of the log stands between the verdicts', async () => {
    await bed.fault('C_GetTokenInfo', { setFlags: CKF.COUNT_LOW });
    for (const args of [['--login'], ['--login', '--json']]) {
      const { code, lines, stderr } = await check('p256', args);
      expect({ code, stderr }).toEqual({ code: 0, stderr: [] });
      expect(lines.filter((line) => line.includes('few tries are left'))).toHaveLength(1);
    }
  });

  test('a token of one session is enough, also with a PIN that is wrong', async () => {
    await bed.fault('C_OpenSession', { sessions: 1 });
    const wrong = await check('rsa2048', ['--login'], await bed.bench.write('wrong', '00000000\n'));
    expect(wrong, wrong.lines.join('\n')).toMatchObject({ code: PIN, logins: 1 });
    expect(wrong.lines).not.toContainEqual(expect.stringContaining('SESSION_COUNT'));
    const checked = await check('rsa2048', ['--login']);
    expect(checked, checked.lines.join('\n')).toMatchObject({ code: 0, logins: 1 });
    expect(checked.lines).toContain('management-external-key nopadding pkcs1 pss');
  });

  test.each([
    ['locked', CKF.LOCKED, [], PIN, /^fail .* is locked: unlock it/],
    ['with one try left', CKF.FINAL_TRY, [], PIN, /^fail .* one try .*--use-final-pin-try/],
    ['with few tries left', CKF.COUNT_LOW, [], 0, /^warn .*few tries/],
    ['with a keypad', CKF.KEYPAD, [], 0, /^warn .*keypad/],
  ] as const)('a PIN %s is told from the flags', async (_, setFlags, args, code, line) => {
    await bed.fault('C_GetTokenInfo', { setFlags });
    const checked = await check('p256', args);
    expect(checked).toMatchObject({ code, logins: 0, signatures: 0 });
    expect(checked.of('PIN')).toEqual([expect.stringMatching(line)]);
    // what needs no PIN is checked all the same
    expect(checked.of('certificate')[0]).toMatch(/^ok .* is the key's/);
    expect(checked.of('lines')).toHaveLength(1);
    if (code === PIN) expect(await check('p256', ['--login', ...args])).toMatchObject({ code, logins: 0 });
  });

  test('the last try is used if that is asked for', async () => {
    await bed.fault('C_GetTokenInfo', { setFlags: CKF.FINAL_TRY });
    expect(await check('p256', ['--login', '--use-final-pin-try'])).toMatchObject({ code: 0, logins: 1 });
  });

  test('a slow signature is warned of, and not made for every hash', async () => {
    await bed.fault('C_Sign', { times: 1, delay: 3_100 });
    const checked = await checkOnce('p256', ['--login']);
    expect(checked).toMatchObject({ code: 0, signatures: 1 });
    expect(checked.of('signature')).toEqual([expect.stringMatching(/^warn .*CKM_ECDSA took [\d.]+ s: .*touch/)]);
    expect(checked.lines).toContain('management-external-key nopadding');
  });

  test('a token that fails at signing', async () => {
    await bed.fault('C_Sign', { rv: DEVICE_ERROR });
    const checked = await check('p256', ['--login']);
    expect(checked.code).toBe(1);
    expect(checked.of('signature')).toEqual([expect.stringMatching(/^fail .*CKR_DEVICE_ERROR/)]);
    // of what the key can do nothing is known then
    expect(checked.of('lines')).toEqual([expect.stringMatching(/^skip/)]);
  });

  test('only PKCS #1 v1.5: lines for TLS 1.2, known before a login and after', async () => {
    await bed.fault('C_GetMechanismList', { hide: BEYOND_PKCS1 });
    const before = await check('rsa2048', []);
    const after = await check('rsa2048', ['--login']);
    expect(after.of('signature')).toContainEqual(expect.stringMatching(/^warn .*no RSA_PKCS1_PSS_PADDING of a digest/));
    for (const { code, lines } of [before, after]) {
      expect(code).toBe(0);
      expect(lines).toEqual(expect.arrayContaining(['management-external-key pkcs1', 'tls-version-max 1.2']));
    }
  });

  test('a token that hashes itself is sent messages', async () => {
    await bed.fault('C_GetMechanismList', { hide: DIGESTS });
    const { bench } = bed;
    const management = ['--management', bench.path('management'), 'unix', '--management-client'];
    const { code, lines } = await check('rsa2048', ['--login', ...management]);
    expect(code).toBe(0);
    expect(lines).toContain('management-external-key pkcs1 pss digest');
    // and such lines connect
    const server = await bench.server();
    const config = await clientConfig(
      bench,
      lines.slice(lines.findIndex((line) => line.startsWith('management '))),
      server,
    );
    const pksigd = await bench.pksigd(['run', '--openvpn-config', config, '--key', keyOf('rsa2048')], {
      env: { ...bed.environment },
    });
    await pksigd.listening();
    const client = bench.adopt(new Child('openvpn client', OPENVPN, ['--config', config]));
    await client.logged(/Initialization Sequence Completed/);
    expect((await pksigd.message('signed'))['mechanism']).toBe('CKM_SHA256_RSA_PKCS_PSS');
  });

  test('a module that dies is a verdict too', async () => {
    await bed.fault('C_GetSlotList', { crash: true });
    const checked = await check('p256', ['--login', '--management', 'here', '123456']);
    expect(checked.of('token')).toEqual([expect.stringMatching(/^fail /)]);
    expect(checked.of('lines')).toHaveLength(1);
    // the first one that failed says how it ends
    expect(checked.code).toBe(2);
  });
});

test.skipIf(openScSetup.unavailable() !== undefined)('a key that wants its PIN with each signature', async () => {
  const bed = await openScSetup.start();
  try {
    const key = `pkcs11:id=%02?module-path=${bed.modulePath}&pin-source=file:${bed.pinFile}`;
    const args = [MAIN, 'check', '--login', '--key', key];
    const pksigd = bed.bench.adopt(new Child('pksigd', bed.launcher, args, { env: bed.moduleEnvironment }));
    expect(await pksigd.exited, pksigd.transcript).toBe(0);
    expect(pksigd.stdout).toContainEqual(expect.stringMatching(/^ok {4}key: .*RSA-2048, wants the PIN with each/));
    expect(pksigd.stdout).toContain('management-external-key nopadding pkcs1 pss');
    expect(pksigd.transcript).not.toContain(bed.pin);
  } finally {
    await bed.stop();
  }
});
