import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { PathWatches } from '../../../src/management/sockets/path-watch.ts';
import { runs } from './arbitraries.ts';

/** What a path leads to, as one number; undefined if that is nothing. */
function fileAt(path: string): number | undefined {
  try {
    return statSync(path).ino;
  } catch {
    return undefined;
  }
}

/** One who knows of a file only what the watch has him look at. */
class Seeker implements Disposable {
  readonly path: string;
  found: number | undefined;
  readonly #watch;

  constructor(watches: PathWatches, path: string) {
    this.path = path;
    this.#watch = watches.watch(path, () => {
      this.#look();
    });
  }

  async settle(): Promise<void> {
    while (await this.#watch.renew()) this.#look();
  }

  #look(): void {
    this.found = fileAt(this.path);
  }

  [Symbol.dispose](): void {
    this.#watch[Symbol.dispose]();
  }
}

/** Waits until all that happened so far was told: what happens last has been. */
class Barrier implements Disposable {
  readonly #path: string;
  readonly #watch;
  #tell: () => void = () => undefined;
  #count = 0;

  constructor(watches: PathWatches, folder: string) {
    this.#path = join(folder, 'barrier');
    this.#watch = watches.watch(this.#path, () => {
      this.#tell();
    });
  }

  async pass(): Promise<void> {
    await this.#watch.renew();
    const told = new Promise<void>((resolve) => (this.#tell = resolve));
    this.#count += 1;
    writeFileSync(`${this.#path}-next`, `${this.#count}`);
    renameSync(`${this.#path}-next`, this.#path);
    await told;
  }

  [Symbol.dispose](): void {
    this.#watch[Symbol.dispose]();
  }
}

const NAMES = ['a', 'b', 'sock'];
const place = fc.array(fc.constantFrom(...NAMES), { minLength: 1, maxLength: 4 }).map((names) => names.join('/'));
const target = fc.oneof(place, fc.constantFrom('..', '.', '../a', '../../b', 'a/../b', '../sock'));

/** Changes something, by full paths; the world is where they are in. */
type Change = (world: string) => void;

const change: fc.Arbitrary<Change> = fc.oneof(
  place.map<Change>((at) => (world) => mkdirSync(within(world, at), { recursive: true })),
  place.map<Change>((at) => (world) => {
    mkdirSync(dirname(within(world, at)), { recursive: true });
    writeFileSync(within(world, at), '');
  }),
  place.map<Change>((at) => (world) => {
    rmSync(within(world, at), { recursive: true });
  }),
  fc.tuple(place, place).map<Change>(([from, to]) => (world) => {
    renameSync(within(world, from), within(world, to));
  }),
  fc.tuple(place, target, fc.boolean()).map<Change>(([at, to, isAbsolute]) => (world) => {
    symlinkSync(isAbsolute ? join(world, to) : to, within(world, at));
  }),
);

/** @throws Error if links lead out of the world: there nothing is ours */
function within(world: string, at: string): string {
  const path = join(world, at);
  let parent = dirname(path);
  while (lstatSync(parent, { throwIfNoEntry: false }) === undefined) parent = dirname(parent);
  if (!`${realpathSync(parent)}/`.startsWith(`${world}/`)) throw new Error(`${path} is not in ${world}`);
  return path;
}

function apply(change: Change, world: string): void {
  try {
    change(world);
  } catch {
    // there is nothing there, or something else
  }
}

/** Makes folders and a file, whatever is in their way. */
function make(world: string, path: string): void {
  const parts = path.slice(world.length + 1).split('/');
  for (const [index] of parts.entries()) {
    const at = join(world, ...parts.slice(0, index + 1));
    const isLast = index === parts.length - 1;
    if (!isLast && lstatSync(at, { throwIfNoEntry: false })?.isDirectory() === true) continue;
    rmSync(at, { recursive: true, force: true });
    if (isLast) writeFileSync(at, '');
    else mkdirSync(at);
  }
}

test('whatever is done to folders, files and links, each change of what a path leads to is found', async () => {
  const watches = new PathWatches();
  const paths = fc.uniqueArray(place, { minLength: 1, maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(paths, fc.array(fc.array(change, { maxLength: 6 }), { maxLength: 8 }), async (all, bursts) => {
      const root = realpathSync(mkdtempSync(join(tmpdir(), 'pksigd-fuzz-')));
      mkdirSync(join(root, 'world'));
      const world = join(root, 'world');
      const seekers = all.map((path) => new Seeker(watches, join(world, path)));
      const barrier = new Barrier(watches, root);
      try {
        for (const burst of [[], ...bursts]) {
          for (const each of burst) {
            // some while others are told, some before
            if (burst.length % 2 === 0) await new Promise((resolve) => setImmediate(resolve));
            apply(each, world);
          }
          await barrier.pass();
          for (const seeker of seekers) {
            await seeker.settle();
            expect(seeker.found, seeker.path).toBe(fileAt(seeker.path));
          }
        }
        for (const { path } of seekers) {
          make(world, path);
          await barrier.pass();
          for (const seeker of seekers) {
            await seeker.settle();
            expect(seeker.found, seeker.path).toBe(fileAt(seeker.path));
          }
          expect(fileAt(path)).toBeDefined();
        }
      } finally {
        for (const seeker of [...seekers, barrier]) seeker[Symbol.dispose]();
        rmSync(root, { recursive: true });
      }
      expect(watches.size).toBe(0);
    }),
    { numRuns: Math.ceil(runs / 3) },
  );
});
