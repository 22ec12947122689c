import { readFile } from 'node:fs/promises';
import { describe, expect } from 'vitest';
import { test, type Bench, type KeyHome, type KeyName } from '../support/bench.ts';
import type { LogLine, Pksigd } from '../support/pksigd.ts';

const COMPLETE = 'management m unix\nmanagement-hold\n';
const ALL = 'management-external-key nopadding pkcs1 pss\n';

/** Starts `run` on a configuration, with no daemon there. */
async function started(bench: Bench, text: string, key: readonly string[]): Promise<Pksigd> {
  const config = await bench.write('x.ovpn', text);
  return await bench.pksigd(['run', '--openvpn-config', config, '--log-level', 'debug', ...key]);
}

const keyOf = (bench: Bench, name: KeyName, home: KeyHome): string[] => [
  '--key',
  bench.key(name, home),
  ...(home === 'file' ? ['--cert', bench.recipe(`${name}.crt`)] : []),
];

/** What was said of the configuration, without what is well, when the last check has been made. */
async function complaints(pksigd: Pksigd): Promise<LogLine[]> {
  await pksigd.message('key ready');
  await pksigd.until('the last check', () =>
    pksigd.log.find(({ msg }) => /^config: .*management-external-key /.test(String(msg))),
  );
  return pksigd.log.filter(({ level, msg }) => level !== 'debug' && /^config: |is of another key/.test(String(msg)));
}

describe.concurrent('run says once what check says', () => {
  test('no pss', async ({ bench }) => {
    const certificate = `cert ${bench.recipe('rsa2048.crt')}\n`;
    const text = `${COMPLETE}${certificate}management-external-key nopadding pkcs1\n`;
    const pksigd = await started(bench, text, keyOf(bench, 'rsa2048', 'SoftHSM'));
    expect(await complaints(pksigd)).toEqual([
      expect.objectContaining({
        level: 'error',
        code: 'ERR_CONFIG',
        msg: expect.stringMatching(/lacks pss: handshakes fail: write 'management-external-key nopadding pkcs1 pss'/),
      }),
    ]);
    pksigd.kill();
    expect(await pksigd.exited).toBe(0);
  });

  test('a key in the .ovpn, before the token has been looked at', async ({ bench }) => {
    const text = `${COMPLETE}${ALL}cert x\nkey client.key\n`;
    const pksigd = await started(bench, text, [
      '--key',
      'pkcs11:token=absent',
      '--wait-for-token',
      '--module',
      '/nonexistent',
    ]);
    await pksigd.until('the complaint', () =>
      pksigd.log.find(({ msg }) => String(msg).startsWith('config: key contradicts')),
    );
    await pksigd.exited;
  });

  test('another certificate', async ({ bench }) => {
    const text = `${COMPLETE}${ALL}cert ${bench.recipe('p384.crt')}\n`;
    const pksigd = await started(bench, text, keyOf(bench, 'rsa2048', 'file'));
    expect(await complaints(pksigd)).toContainEqual(
      expect.objectContaining({ level: 'error', code: 'ERR_CERTIFICATE_MISMATCH' }),
    );
  });

  test('an inline certificate, and nothing wrong', async ({ bench }) => {
    const certificate = await readFile(bench.recipe('rsa2048.crt'), 'utf8');
    const pksigd = await started(
      bench,
      `${COMPLETE}${ALL}<cert>\n${certificate}</cert>\n`,
      keyOf(bench, 'rsa2048', 'file'),
    );
    expect(await complaints(pksigd)).toEqual([]);
    expect(pksigd.log).toContainEqual(
      expect.objectContaining({ level: 'debug', msg: expect.stringMatching(/^cert of the .ovpn: .* is the key's/) }),
    );
  });

  test('and check says the same', async ({ bench }) => {
    const text = `${COMPLETE}management-external-key nopadding\ncert ${bench.recipe('rsa2048.crt')}\nkey client.key\ntls-version-max 1.2\n`;
    const key = keyOf(bench, 'rsa2048', 'file');
    const pksigd = await started(bench, text, key);
    const said = (await complaints(pksigd)).map(({ msg }) => msg);
    const check = await bench.pksigd(['check', '--json', '--openvpn-config', bench.path('x.ovpn'), ...key]);
    await check.exited;
    const faults = check.stdout
      .map((line) => JSON.parse(line) as { what: string; outcome: string; detail: string; hint?: string })
      .filter(({ what, outcome }) => what === 'config' && outcome !== 'ok')
      .map(({ what, detail, hint }) => `${what}: ${detail}${hint === undefined ? '' : `: ${hint}`}`);
    expect(said.toSorted()).toEqual(faults.toSorted());
    expect(said).toHaveLength(2);
  });
});
