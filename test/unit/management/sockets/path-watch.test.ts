import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  watch,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type PathWatch, PathWatches, type WatchFolder } from '../../../../src/management/sockets/path-watch.ts';

let folder: string;
let open: string[];
let watches: PathWatches;

/** As `node:fs`, and `open` has the folders that are watched. */
const counted: WatchFolder = (path, options, onEvent) => {
  const watcher = watch(path, options, onEvent);
  open.push(path);
  const close = watcher.close.bind(watcher);
  watcher.close = () => {
    open.splice(open.indexOf(path), 1);
    close();
  };
  return watcher;
};

/** What the system tells of folders, by their paths. */
const events = new Map<string, (type: string, name: string | null) => void>();
const told: WatchFolder = (path, options, onEvent) => {
  // a watch keeps no process alive
  expect(options).toStrictEqual({ persistent: false });
  events.set(path, onEvent);
  return counted(path, options, onEvent);
};

beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'pksigd-watch-')));
  open = [];
  watches = new PathWatches(counted);
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

/** One who waits for a path. */
class Waiter implements Disposable {
  readonly path: string;
  readonly watch: PathWatch;
  /** How often something was told. */
  times = 0;
  #wake: () => void = () => undefined;
  #taken = 0;

  constructor(path: string, from: PathWatches = watches) {
    this.path = path;
    this.watch = from.watch(path, () => {
      this.times += 1;
      this.#wake();
    });
  }

  /** Waits until something was told that was not waited for yet, then looks at the way as it is now. */
  async hears(): Promise<void> {
    while (this.times === this.#taken) await new Promise<void>((resolve) => (this.#wake = resolve));
    await this.settle();
  }

  /** Looks at the way as it is now. */
  async settle(): Promise<void> {
    this.#taken = this.times;
    await this.watch.renew();
  }

  [Symbol.dispose](): void {
    this.watch[Symbol.dispose]();
  }
}

async function waiter(...names: string[]): Promise<Waiter> {
  const waiting = new Waiter(join(folder, ...names));
  expect(await waiting.watch.renew()).toBe(true);
  expect(waiting.watch.isWhole).toBe(true);
  return waiting;
}

/** Lets all events come that are due: another one behind them has come. */
async function allCame(): Promise<void> {
  using last = await waiter('the-last');
  writeFileSync(last.path, '');
  await last.hears();
}

/** Makes a file, and waits until it is told. */
async function isHeard(waiting: Waiter, path = waiting.path): Promise<void> {
  await allCame();
  await waiting.settle();
  const before = waiting.times;
  writeFileSync(path, '');
  await waiting.hears();
  expect(waiting.times).toBeGreaterThan(before);
}

describe('a path is heard of', () => {
  test('when its file is made, removed, made again, and changes its mode', async () => {
    using waiting = await waiter('sock');
    await isHeard(waiting);
    chmodSync(waiting.path, 0o600);
    await waiting.hears();
    unlinkSync(waiting.path);
    await waiting.hears();
    await isHeard(waiting);
    writeFileSync(join(folder, 'other'), '');
    await allCame();
    await waiting.watch.renew();
    renameSync(join(folder, 'other'), waiting.path);
    await waiting.hears();
  });

  test('when no folder is there yet', async () => {
    using waiting = await waiter('a', 'b', 'c', 'sock');
    for (const part of ['a', 'a/b', 'a/b/c']) {
      mkdirSync(join(folder, part));
      await waiting.hears();
    }
    await isHeard(waiting);
  });

  test('when its folders are made faster than they are looked at', async () => {
    using waiting = await waiter('a', 'b', 'c', 'sock');
    mkdirSync(join(folder, 'a/b/c'), { recursive: true });
    await waiting.hears();
    await isHeard(waiting);
  });

  test('when its folder is replaced by rename', async () => {
    mkdirSync(join(folder, 'run'));
    mkdirSync(join(folder, 'new'));
    using waiting = await waiter('run', 'sock');
    renameSync(join(folder, 'run'), join(folder, 'old'));
    renameSync(join(folder, 'new'), join(folder, 'run'));
    await waiting.hears();
    await isHeard(waiting);
    expect(open).not.toContain(join(folder, 'old'));
  });

  test('when an ancestor is moved away and another made, at any depth', async () => {
    for (const part of ['a', 'a/b', 'a/b/c']) {
      mkdirSync(join(folder, 'a/b/c'), { recursive: true });
      using waiting = await waiter('a', 'b', 'c', 'sock');
      renameSync(join(folder, part), join(folder, 'away'));
      mkdirSync(join(folder, 'a/b/c'), { recursive: true });
      await waiting.hears();
      await isHeard(waiting);
      rmSync(join(folder, 'away'), { recursive: true });
      rmSync(join(folder, 'a'), { recursive: true });
    }
  });

  test('when its folder is removed and made again, many times', async () => {
    using waiting = await waiter('run', 'sock');
    for (let times = 0; times < 50; times += 1) {
      mkdirSync(dirname(waiting.path));
      await waiting.hears();
      await isHeard(waiting);
      rmSync(dirname(waiting.path), { recursive: true });
      await waiting.hears();
    }
    await allCame();
    expect(open.length).toBe(watches.size);
  });

  test('through links: to its folder, to an ancestor, of its own', async () => {
    mkdirSync(join(folder, 'one/run'), { recursive: true });
    mkdirSync(join(folder, 'two/run'), { recursive: true });
    symlinkSync('one', join(folder, 'up'));
    symlinkSync('../up/run', join(folder, 'two/link'));
    symlinkSync(join(folder, 'two/link/real'), join(folder, 'sock'));
    using waiting = await waiter('sock');
    await isHeard(waiting, join(folder, 'one/run/real'));
    // the link in the middle leads elsewhere
    unlinkSync(join(folder, 'up'));
    symlinkSync('two', join(folder, 'up'));
    await waiting.hears();
    await isHeard(waiting, join(folder, 'two/run/real'));
    expect(open).not.toContain(join(folder, 'one/run'));
    // and so does its own
    renameSync(join(folder, 'sock'), join(folder, 'sock-before'));
    await waiting.hears();
    await isHeard(waiting);
    expect(open).not.toContain(join(folder, 'two/run'));
  });

  test('through a link whose target is made later, and one that led round', async () => {
    symlinkSync('later/run', join(folder, 'run'));
    using waiting = await waiter('run', 'sock');
    mkdirSync(join(folder, 'later/run'), { recursive: true });
    await waiting.hears();
    await isHeard(waiting);
    symlinkSync('round', join(folder, 'round'));
    using other = await waiter('round', 'sock');
    unlinkSync(join(folder, 'round'));
    mkdirSync(join(folder, 'round'));
    await other.hears();
    await isHeard(other);
  });

  test('where ".." follows a link: it leads up from where the link leads', async () => {
    mkdirSync(join(folder, 'far/away/run'), { recursive: true });
    symlinkSync('far/away/run', join(folder, 'link'));
    using waiting = new Waiter(`${folder}/link/../sock`);
    await waiting.watch.renew();
    await isHeard(waiting, join(folder, 'far/away/sock'));
  });

  test('when a file was where its folder is to be', async () => {
    writeFileSync(join(folder, 'run'), '');
    using waiting = await waiter('run', 'sock');
    unlinkSync(join(folder, 'run'));
    mkdirSync(join(folder, 'run'));
    await waiting.hears();
    await isHeard(waiting);
  });

  test('when it has the name of its folder', async () => {
    mkdirSync(join(folder, 'openvpn'));
    using waiting = await waiter('openvpn', 'openvpn');
    await isHeard(waiting);
    rmSync(dirname(waiting.path), { recursive: true });
    await waiting.hears();
    await allCame();
    mkdirSync(dirname(waiting.path));
    await waiting.hears();
    await isHeard(waiting);
  });
});

describe('those who wait in one folder', () => {
  test('share its watch, and hear of their own only', async () => {
    const all = await Promise.all(Array.from({ length: 1_000 }, (_, number) => waiter('run', `${number}`)));
    mkdirSync(join(folder, 'run'));
    await Promise.all(all.map((each) => each.hears()));
    expect(new Set(open).size).toBe(open.length);
    expect(open).toContain(join(folder, 'run'));
    const before = all.map(({ times }) => times);
    const [third] = all.slice(3);
    if (third) await isHeard(third);
    await allCame();
    const told = all.flatMap(({ times }, number) => (times > (before[number] ?? 0) ? [number] : []));
    expect(told).toEqual([3]);
    for (const each of all) each[Symbol.dispose]();
    expect([open, watches.size]).toEqual([[], 0]);
  });

  test('and come there by different ways: a link that is changed takes nothing from who does not use it', async () => {
    mkdirSync(join(folder, 'real'));
    symlinkSync('real', join(folder, 'link'));
    using direct = await waiter('real', 'a');
    using linked = await waiter('link', 'b');
    unlinkSync(join(folder, 'link'));
    await linked.hears();
    await isHeard(direct);
    await allCame();
    expect(linked.times).toBe(1);
  });
});

describe('what changed', () => {
  test('is all of the way, where it is the root', async () => {
    using waiting = new Waiter(join(folder, 'sock'), new PathWatches(told));
    expect(waiting.watch.isWhole).toBe(false);
    await waiting.watch.renew();
    expect(open).toContain(folder);
    events.get('/')?.('rename', null);
    expect([open, waiting.times]).toEqual([[], 1]);
    await waiting.hears();
    expect(waiting.watch.isWhole).toBe(true);
    await isHeard(waiting);
  });

  test('is no folder whose name begins alike', async () => {
    for (const name of ['run', 'run2']) mkdirSync(join(folder, name));
    symlinkSync('../run2/sock', join(folder, 'run/link'));
    const some = new PathWatches(told);
    using direct = new Waiter(join(folder, 'run2/sock'), some);
    using linked = new Waiter(join(folder, 'run/link'), some);
    for (const each of [direct, linked]) await each.watch.renew();
    events.get(folder)?.('rename', 'run');
    expect([linked.times, direct.times]).toEqual([1, 0]);
    expect(open).toContain(join(folder, 'run2'));
    expect(open).not.toContain(join(folder, 'run'));
  });
});

describe('what is watched no more', () => {
  test('leaves nothing open, and is told nothing', async () => {
    for (let times = 0; times < 300; times += 1) {
      const waiting = await waiter('sock');
      waiting[Symbol.dispose]();
      if (times % 100 === 0) writeFileSync(waiting.path, `${times}`);
      expect(await waiting.watch.renew()).toBe(false);
      expect(waiting.times).toBe(0);
    }
    expect([open, watches.size]).toEqual([[], 0]);
  });

  test('also in the middle of a look', async () => {
    const waiting = new Waiter(join(folder, 'sock'));
    const looking = waiting.watch.renew();
    waiting[Symbol.dispose]();
    expect(await looking).toBe(false);
    expect([open, watches.size]).toEqual([[], 0]);
  });
});

describe('a folder that can not be watched', () => {
  const failing = (code: string, isBad: (path: string) => boolean): WatchFolder => {
    return (path, options, onEvent) => {
      if (isBad(path)) throw Object.assign(new Error(`${code}: watch`), { code });
      return counted(path, options, onEvent);
    };
  };

  test.for(['ENOSPC', 'EMFILE', 'EACCES'])('leaves the watch in pieces (%s), until it can be', async (code) => {
    let isExhausted = true;
    mkdirSync(join(folder, 'run'));
    const some = new PathWatches(failing(code, (path) => isExhausted && path === join(folder, 'run')));
    using waiting = new Waiter(join(folder, 'run', 'sock'), some);
    await waiting.watch.renew();
    expect(waiting.watch.isWhole).toBe(false);
    isExhausted = false;
    // the others are watched: this one tells that the folder is another
    chmodSync(join(folder, 'run'), 0o750);
    await waiting.hears();
    expect(waiting.watch.isWhole).toBe(true);
    await isHeard(waiting);
  });

  test('not even the root', async () => {
    const none = new PathWatches(failing('ENOSPC', () => true));
    using waiting = new Waiter(join(folder, 'sock'), none);
    expect(await waiting.watch.renew()).toBe(false);
    expect(waiting.watch.isWhole).toBe(false);
  });

  test('any more: its error is told, and it is watched anew', async () => {
    let failLast: (error: Error) => void = () => undefined;
    const some = new PathWatches((path, options, onEvent) => {
      const watcher = counted(path, options, onEvent);
      failLast = (error) => watcher.emit('error', error);
      return watcher;
    });
    using waiting = new Waiter(join(folder, 'sock'), some);
    await waiting.watch.renew();
    failLast(new Error('EIO: read'));
    await waiting.hears();
    expect(waiting.watch.isWhole).toBe(true);
    expect(open.filter((path) => path === folder)).toHaveLength(1);
    await isHeard(waiting);
  });

  test('for a while, since more happens in it than can be heard', async () => {
    let now = 0;
    const some = new PathWatches(told, () => now);
    using waiting = new Waiter(join(folder, 'sock'), some);
    await waiting.watch.renew();
    for (let second = 0; second < 10; second += 1) {
      now += 1_000;
      for (let each = 0; each < 9_000; each += 1) events.get(folder)?.('change', `other${each}`);
    }
    now += 1_000;
    for (let each = 0; each < 10_000; each += 1) events.get(folder)?.('change', each % 2 === 0 ? 'a' : 'b');
    expect(waiting.times).toBe(0);
    // the one that is too many, and what comes of it is not heard any more
    for (let each = 0; each < 5_000; each += 1) events.get(folder)?.('change', each % 2 === 0 ? 'a' : 'b');
    expect(waiting.times).toBe(1);
    await waiting.hears();
    expect(waiting.watch.isWhole).toBe(false);
    expect(open).not.toContain(folder);
    now += 10_000;
    chmodSync(folder, 0o750);
    await waiting.hears();
    expect(waiting.watch.isWhole).toBe(true);
    await isHeard(waiting);
  });
});
