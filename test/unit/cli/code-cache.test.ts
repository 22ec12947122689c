import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { loadProgram } from '../../../src/cli/code-cache.ts';

let folder: string;
let program: string;
const cached = (): string[] => readdirSync(folder).filter((name) => name !== 'program.cjs');

beforeEach(() => {
  vi.useFakeTimers();
  folder = mkdtempSync(join(tmpdir(), 'pksigd-code-'));
  program = join(folder, 'program.cjs');
  writeFileSync(program, 'exports.answer = 1;');
});

afterEach(() => {
  vi.useRealTimers();
  rmSync(folder, { recursive: true });
});

/** A cache of another program, which V8 takes for ours as it is as long: that it is used shows. */
function leaveOther(): string {
  loadProgram(program, true);
  vi.runAllTimers();
  const [cache = ''] = cached();
  writeFileSync(program, 'exports.answer = 2;');
  return join(folder, cache);
}

test('what was compiled is written down once, and used from then on', () => {
  expect(loadProgram(program, true)).toEqual({ answer: 1 });
  expect(cached()).toEqual([]);
  vi.runAllTimers();
  const [cache = ''] = cached();
  expect(cached()).toEqual([cache]);
  expect(cache).toContain(process.version);
  const { mode, ino } = statSync(join(folder, cache));
  expect(mode & 0o022).toBe(0);
  expect(loadProgram(program, true)).toEqual({ answer: 1 });
  vi.runAllTimers();
  expect(statSync(join(folder, cache)).ino).toBe(ino);
  leaveOther();
  expect(loadProgram(program, false)).toEqual({ answer: 1 });
});

test('more that was compiled until the end is written down too; nothing after a failure', () => {
  const body = Array.from({ length: 200 }, (_, index) => `if (x === ${index}) return 'number ${index}';`).join(' ');
  writeFileSync(program, `exports.later = function later(x) { ${body} };`);
  const run = (): { later: (x: number) => string } => loadProgram(program, true) as ReturnType<typeof run>;
  const end = (status: number): void => {
    const listener = process.listeners('exit').at(-1);
    if (listener) process.off('exit', listener);
    listener?.call(process, status);
  };
  run();
  vi.runAllTimers();
  const [cache = ''] = cached();
  const size = (): number => statSync(join(folder, cache)).size;
  const first = size();
  end(0);
  expect(size()).toBe(first);
  expect(run().later(7)).toBe('number 7');
  end(1);
  expect(size()).toBe(first);
  expect(run().later(7)).toBe('number 7');
  end(0);
  expect(size()).toBeGreaterThan(first * 1.05);
});

test('only a command that stays writes', () => {
  loadProgram(program, false);
  vi.runAllTimers();
  expect(cached()).toEqual([]);
});

test.for([
  [
    'that others can write',
    (cache: string) => {
      chmodSync(cache, 0o666);
    },
  ],
  [
    'that its group can write',
    (cache: string) => {
      chmodSync(cache, 0o664);
    },
  ],
  [
    'behind a link',
    (cache: string) => {
      renameSync(cache, `${cache}.x`);
      symlinkSync(`${cache}.x`, cache);
    },
  ],
  [
    'that is no cache',
    (cache: string) => {
      writeFileSync(cache, 'no cache');
    },
  ],
  [
    // V8 would take it, and end the process
    'with a byte that changed',
    (cache: string) => {
      const bytes = readFileSync(cache);
      bytes.writeUInt8(bytes.readUInt8(bytes.length - 9) ^ 1, bytes.length - 9);
      writeFileSync(cache, bytes);
    },
  ],
  [
    'that is empty',
    (cache: string) => {
      writeFileSync(cache, '');
    },
  ],
  [
    'that is a folder',
    (cache: string) => {
      rmSync(cache);
      symlinkSync(folder, cache);
    },
  ],
] as const)('a cache %s is not used', ([, spoil]) => {
  spoil(leaveOther());
  expect(loadProgram(program, false)).toEqual({ answer: 2 });
});

test('a cache that is of no use is written anew', () => {
  writeFileSync(leaveOther(), 'no cache');
  loadProgram(program, true);
  vi.runAllTimers();
  writeFileSync(program, 'exports.answer = 3;');
  expect(loadProgram(program, false)).toEqual({ answer: 2 });
});
