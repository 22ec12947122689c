import { expect } from 'vitest';
import { test, type Bench } from '../support/bench.ts';
import { Child } from '../support/child.ts';
import { MAIN } from '../support/pksigd.ts';

const ESCAPE = '\u001b[';

/** What a command writes on a terminal, which script(1) gives it. */
async function onTerminal(bench: Bench, words: string, env: Record<string, string>): Promise<string> {
  const command = `"${process.execPath}" "${MAIN}" ${words}`;
  const options = { env: { HOME: bench.folder, XDG_STATE_HOME: bench.path('state'), ...env } };
  const terminal = bench.adopt(new Child('pksigd on a terminal', 'script', ['-qec', command, '/dev/null'], options));
  await terminal.exited;
  return terminal.transcript;
}

const CHECK = 'check --key nowhere.pem';

test('a verdict that failed stands out on a terminal', async ({ bench }) => {
  const text = await onTerminal(bench, CHECK, { TERM: 'xterm' });
  expect(text).toMatch(/\u001b\[1m\u001b\[31mfail\u001b\[39m\u001b\[22m +key/);
});

test('headings of --help do, too', async ({ bench }) => {
  const text = await onTerminal(bench, 'run --help', { TERM: 'xterm' });
  expect(text).toContain('\u001b[1mWhat may be signed:\u001b[22m');
});

const PLAIN: [string, Record<string, string>][] = [
  ['NO_COLOR', { TERM: 'xterm', NO_COLOR: '1' }],
  ['TERM=dumb', { TERM: 'dumb' }],
  ['no TERM', {}],
];

test.for(PLAIN)('there are no colours with %s', async ([, env], { bench }) => {
  for (const words of [CHECK, 'run --help']) {
    const text = await onTerminal(bench, words, env);
    expect(text).toMatch(/fail +key|What may be signed:/);
    expect(text).not.toContain(ESCAPE);
  }
});

test('there are none where standard output is no terminal', async ({ bench }) => {
  const check = await bench.pksigd(CHECK.split(' '), { env: { TERM: 'xterm' } });
  await check.exited;
  expect(check.transcript).toMatch(/fail +key/);
  expect(check.transcript).not.toContain(ESCAPE);
});
