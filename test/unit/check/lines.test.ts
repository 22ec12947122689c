import { expect, test } from 'vitest';
import { reportLines, type LineOptions } from '../../../src/check/lines.ts';
import type { Advice } from '../../../src/check/advice.ts';
import { reported } from './reported.ts';

const OPTIONS: LineOptions = { management: undefined, listen: false, certificate: 'cert x', wasTried: true };

function linesFor(advice: Advice, options: Partial<LineOptions> = {}): string[] {
  const { report, lines } = reported();
  const target = { advice, kind: { type: 'ED25519' }, release: { major: 2, minor: 6 }, source: 'the daemon' } as const;
  reportLines(target, { ...OPTIONS, ...options }, report);
  return lines;
}

test('all lines, quoted as OpenVPN reads them', () => {
  const options = { management: ['/run/a b.sock', 'unix'], listen: true };
  expect(linesFor({ keyArguments: ['pkcs1', 'pss'], tlsVersionMax: '1.2' }, options)).toEqual([
    'ok    lines: for ED25519 and OpenVPN 2.6 (the daemon)',
    'management "/run/a b.sock" unix',
    'management-client',
    'management-hold',
    'management-external-key pkcs1 pss',
    'cert x',
    'tls-version-max 1.2',
  ]);
});

test('without words for management: an example', () => {
  expect(linesFor({ keyArguments: [] })[1]).toBe('management /run/openvpn/pksigd.sock unix');
});

test('what is only listed is said so, and what to expect comes first', () => {
  expect(linesFor({ keyArguments: [] }, { wasTried: false })[0]).toMatch(/^ok .*: if the token can do what it lists$/);
  expect(linesFor({ keyArguments: [], note: 'expect less' }, { wasTried: false })[0]).toMatch(/^warn .*: expect less$/);
});

test('no lines can help', () => {
  expect(linesFor({ keyArguments: [], impossible: 'it is too old' })).toEqual([
    'fail  lines: none for ED25519 and OpenVPN 2.6 (the daemon): it is too old',
  ]);
});
