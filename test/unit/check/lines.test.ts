import { expect, test } from 'vitest';
import { reportLines, type LineOptions } from '../../../src/check/lines.ts';
import type { Advice } from '../../../src/check/advice.ts';
import { reported } from './reported.ts';

const OPTIONS: LineOptions = { management: undefined, listen: false, certificate: 'cert x', wasTried: true };

function linesFor(byList: Advice, options: Partial<LineOptions> = {}, atBest = byList): string[] {
  const { report, lines } = reported();
  const target = {
    advices: { byList, atBest },
    kind: { type: 'ED25519' },
    release: { major: 2, minor: 6 },
    source: 'the daemon',
  } as const;
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

test('what trying might show is said, where that would change them', () => {
  const listed: Advice = { keyArguments: ['pkcs1'], tlsVersionMax: '1.2', note: 'expect less' };
  const [first, ...lines] = linesFor(listed, { wasTried: false }, { keyArguments: ['pkcs1', 'pss'] });
  expect(first).toMatch(
    /^warn .*: expect less; that is by what its token lists, and it may do more: .* with a login tries it$/,
  );
  expect(lines).toContain('tls-version-max 1.2');
});

test('that no lines can help is no fault as long as trying might show some', () => {
  const none = { keyArguments: [], impossible: 'it signs nothing' };
  expect(linesFor(none, { wasTried: false }, { keyArguments: ['pss'] })).toEqual([
    expect.stringMatching(/^skip {2}lines: none for .*: it signs nothing: that is by what its token lists/),
  ]);
});
