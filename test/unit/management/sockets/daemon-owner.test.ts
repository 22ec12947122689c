import type * as Fs from 'node:fs';
import type * as FsPromises from 'node:fs/promises';
import { chmodSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync } from 'node:fs';
import { Server, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { AgentError } from '../../../../src/errors.ts';
import {
  approach,
  checkOwnerIsKnowable,
  type DaemonOwner,
  daemonUserOf,
  judgeUsers,
  ListenerChanged,
  type OwnerVerdict,
} from '../../../../src/management/sockets/daemon-owner.ts';
import { INHERITED } from '../../../../src/management/sockets/inherited-sockets.ts';
import { FAILING } from '../../../support/failing-calls.ts';
import { PRETENDED } from '../../../support/pretended-owners.ts';

/** Whoever it is that runs this. */
const SELF = process.geteuid?.() ?? 0;
/** Somebody else, and nobody in particular: of a user namespace. */
const [OTHER, GROUP, UNMAPPED] = [SELF + 1_000, SELF + 2_000, 65_534];
/** A user of whom it can't be told at the moment whether they have a number of their own. */
const UNTOLD = SELF + 3_000;
const untold = new AgentError('ERR_MANAGEMENT_PEER', 'whether they have a number can’t be told');

vi.mock('node:fs', async (importOriginal) => {
  const fs = await importOriginal<typeof Fs>();
  const { unlessFailingSync } = await import('../../../support/failing-calls.ts');
  return { ...fs, readFileSync: unlessFailingSync((path: string) => fs.readFileSync(path, 'utf8')) };
});
vi.mock('node:fs/promises', async (importOriginal) => {
  const fs = await importOriginal<typeof FsPromises>();
  const { unlessFailing } = await import('../../../support/failing-calls.ts');
  const { pretending } = await import('../../../support/pretended-owners.ts');
  return { ...fs, stat: unlessFailing(pretending(fs.stat)), lstat: unlessFailing(pretending(fs.lstat)) };
});
vi.mock('../../../../src/management/sockets/user-namespace.ts', () => ({
  isUnmapped: (user: number) => {
    if (user === UNTOLD) throw untold;
    return user === UNMAPPED;
  },
}));

afterEach(() => {
  FAILING.clear();
  PRETENDED.clear();
  vi.restoreAllMocks();
});

const refused = (code: string, more: object = {}): unknown => expect.objectContaining({ code, ...more });
const STRANGER = refused('ERR_MANAGEMENT_PEER', { reason: 'foreign-daemon', user: OTHER });

describe('whoever insists on a user, or has a password, is told at the start where nobody can say whose a daemon is', () => {
  const listening = { listens: true, password: true };
  const usage = refused('ERR_USAGE');
  const check = (host: string, owner: Partial<DaemonOwner>, what: Partial<typeof listening>) => (): void => {
    const address = host.startsWith('/')
      ? ({ kind: 'unix', path: host } as const)
      : ({ kind: 'tcp', host, port: 7505 } as const);
    checkOwnerIsKnowable(address, { self: 5, ...owner }, { listens: false, password: false, ...what });
  };

  test('a socket of our own can be given to another user by root only', () => {
    expect(check('/run/d.sock', { user: 7 }, listening)).toThrow(usage);
    for (const owner of [{}, { user: 5 }, { user: 0 }, { user: 7, self: 0 }]) {
      expect(check('/run/d.sock', owner, listening)).not.toThrow();
    }
    // the daemon made it
    expect(check('/run/d.sock', { user: 7 }, { password: true })).not.toThrow();
    // it was given to us, as that user's
    vi.spyOn(INHERITED, 'hasPath').mockReturnValue(true);
    expect(check('/run/d.sock', { user: 7 }, listening)).not.toThrow();
  });

  test.each(['127.0.0.1', '127.255.0.1', '::1', 'localhost'])('%s tells', (host) => {
    expect(check(host, { user: 7 }, listening)).not.toThrow();
  });

  test.each(['192.0.2.1', '0.0.0.0', '::', '1127.0.0.1', '127.0.0.1.example.net', '127.0.0.1234', '::12'])(
    '%s does not',
    (host) => {
      expect(check(host, { user: 7 }, {})).toThrow(usage);
      expect(check(host, {}, listening)).toThrow(usage);
      expect(check(host, {}, { listens: true })).not.toThrow();
      expect(check(host, {}, { password: true })).not.toThrow();
    },
  );

  test('nor does a system without that table', () => {
    FAILING.set('/proc/self/net/tcp', 'ENOENT');
    expect(check('127.0.0.1', { user: 7 }, {})).toThrow(usage);
    expect(check('127.0.0.1', {}, listening)).toThrow(usage);
    expect(check('/run/d.sock', {}, listening)).not.toThrow();
  });
});

describe('a unix socket', () => {
  let folder: string;
  let path: string;
  const servers: Server[] = [];
  const listen = async (at: string): Promise<void> => {
    const server = new Server();
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(at, resolve));
  };
  beforeEach(async () => {
    folder = realpathSync(mkdtempSync(join(tmpdir(), 'pksigd-owner-')));
    path = join(folder, 'd.sock');
    await listen(path);
  });
  afterEach(() => {
    for (const server of servers.splice(0)) server.close();
    rmSync(folder, { recursive: true });
  });

  /** Whose the daemon at `at` is, and the verdict. */
  async function judged(owner: Partial<DaemonOwner>, at = path): Promise<[OwnerVerdict, number | undefined]> {
    const socket = new Socket();
    const verdict = await (await approach({ kind: 'unix', path: at }, { self: SELF, ...owner })).arrived(socket);
    return [verdict, daemonUserOf(socket)];
  }

  test('of this user, of root, or of whom is insisted on is known', async () => {
    expect(await judged({})).toEqual(['known', SELF]);
    PRETENDED.set(path, { uid: 0 });
    expect(await judged({})).toEqual(['known', 0]);
    PRETENDED.set(path, { uid: OTHER });
    expect(await judged({ user: OTHER })).toEqual(['known', OTHER]);
  });

  test('of this user is known, in folders of theirs and of root, whoever they are', async () => {
    for (let at = folder; at !== dirname(at); at = dirname(at)) PRETENDED.set(dirname(at), { uid: 0 });
    for (const at of [folder, path]) PRETENDED.set(at, { uid: OTHER });
    expect(await judged({ self: OTHER })).toEqual(['known', OTHER]);
  });

  test('is not judged where it can’t be told who a user is', async () => {
    PRETENDED.set(folder, { uid: UNTOLD });
    await expect(judged({})).rejects.toBe(untold);
  });

  test('of another user is refused', async () => {
    PRETENDED.set(path, { uid: OTHER });
    await expect(judged({})).rejects.toEqual(STRANGER);
    PRETENDED.set(path, { uid: 0 });
    await expect(judged({ user: OTHER })).rejects.toEqual(refused('ERR_MANAGEMENT_PEER', { user: 0 }));
    PRETENDED.set(path, { uid: SELF });
    await expect(judged({ user: OTHER })).rejects.toEqual(refused('ERR_MANAGEMENT_PEER', { user: SELF }));
  });

  test('of a user without a number of its own may be anybody’s', async () => {
    PRETENDED.set(path, { uid: UNMAPPED });
    expect(await judged({})).toEqual(['unknown', UNMAPPED]);
    await expect(judged({ user: UNMAPPED })).rejects.toEqual(refused('ERR_MANAGEMENT_PEER', { user: UNMAPPED }));
    PRETENDED.set(path, { uid: SELF });
    PRETENDED.set(folder, { uid: UNMAPPED });
    expect(await judged({})).toEqual(['known', SELF]);
    await expect(judged({ user: SELF })).rejects.toEqual(refused('ERR_MANAGEMENT_PEER', { user: UNMAPPED }));
  });

  test('in a folder of another user, or behind a link of theirs, can be replaced by them', async () => {
    PRETENDED.set(folder, { uid: OTHER });
    await expect(judged({})).rejects.toEqual(STRANGER);
    PRETENDED.set(path, { uid: OTHER });
    expect(await judged({ user: OTHER })).toEqual(['known', OTHER]);
    PRETENDED.clear();
    symlinkSync('d.sock', join(folder, 'link'));
    expect(await judged({}, join(folder, 'link'))).toEqual(['known', SELF]);
    PRETENDED.set(join(folder, 'link'), { uid: OTHER });
    await expect(judged({}, join(folder, 'link'))).rejects.toEqual(STRANGER);
  });

  test('in a folder that everybody may write in can be replaced, unless it is sticky', async () => {
    chmodSync(folder, 0o702);
    await expect(judged({})).rejects.toEqual(refused('ERR_MANAGEMENT_PEER', { reason: undefined }));
    chmodSync(folder, 0o1777);
    expect(await judged({})).toEqual(['known', SELF]);
  });

  test('in a folder of a group is the owner’s choice, but not of whom insists on one user', async () => {
    chmodSync(folder, 0o770);
    PRETENDED.set(folder, { gid: GROUP });
    expect(await judged({})).toEqual(['known', SELF]);
    await expect(judged({ user: SELF })).rejects.toEqual(refused('ERR_MANAGEMENT_PEER', { reason: undefined }));
    // root's group, and the one that a user has alone
    PRETENDED.set(folder, { gid: 0 });
    expect(await judged({ user: SELF })).toEqual(['known', SELF]);
    PRETENDED.set(folder, { uid: OTHER, gid: OTHER });
    PRETENDED.set(path, { uid: OTHER });
    expect(await judged({ user: OTHER })).toEqual(['known', OTHER]);
    chmodSync(folder, 0o750);
    PRETENDED.set(folder, { gid: GROUP });
    PRETENDED.delete(path);
    expect(await judged({ user: SELF })).toEqual(['known', SELF]);
  });

  test('that is another one when it is connected to is looked at again', async () => {
    const changes: (() => unknown)[] = [
      () => PRETENDED.set(path, { ino: 1 }),
      () => PRETENDED.set(path, { dev: 1 }),
      () => FAILING.set(path, 'ENOENT'),
    ];
    for (const change of changes) {
      PRETENDED.clear();
      const approached = await approach({ kind: 'unix', path }, { self: SELF });
      change();
      await expect(approached.arrived(new Socket())).rejects.toBeInstanceOf(ListenerChanged);
      // and one that is new
      if (FAILING.size > 0) {
        const absent = await approach({ kind: 'unix', path }, { self: SELF });
        FAILING.clear();
        await expect(absent.arrived(new Socket())).rejects.toBeInstanceOf(ListenerChanged);
      }
    }
  });

  test.each(['ENOENT', 'EACCES', 'ELOOP', 'ENAMETOOLONG'])(
    'that no way leads to is told by connecting (%s)',
    async (code) => {
      FAILING.set(folder, code);
      await expect(approach({ kind: 'unix', path }, { self: SELF })).resolves.toBeDefined();
    },
  );

  test('that we were given is open to nobody but root, this user, or whom is insisted on', async () => {
    const judgedUsers = async (owner: Partial<DaemonOwner>): Promise<void> => {
      await judgeUsers(path, { self: SELF, ...owner });
    };
    await judgedUsers({});
    PRETENDED.set(path, { uid: 0 });
    await judgedUsers({ user: OTHER });
    PRETENDED.set(path, { uid: OTHER });
    await judgedUsers({ user: OTHER });
    await expect(judgedUsers({})).rejects.toEqual(STRANGER);
    PRETENDED.set(path, { uid: UNMAPPED });
    await expect(judgedUsers({ user: UNMAPPED })).rejects.toEqual(refused('ERR_MANAGEMENT_PEER', { user: UNMAPPED }));
  });

  test('that we were given may be a group’s, unless one user is insisted on', async () => {
    chmodSync(path, 0o660);
    PRETENDED.set(path, { gid: GROUP });
    await judgeUsers(path, { self: SELF });
    await expect(judgeUsers(path, { self: SELF, user: SELF })).rejects.toEqual(
      refused('ERR_MANAGEMENT_PEER', { reason: undefined }),
    );
    PRETENDED.set(path, { gid: 0 });
    await judgeUsers(path, { self: SELF, user: SELF });
    chmodSync(path, 0o640);
    PRETENDED.set(path, { gid: GROUP });
    await judgeUsers(path, { self: SELF, user: SELF });
  });

  test('is found by folders and links as the kernel finds it', async () => {
    mkdirSync(join(folder, 'inner'));
    symlinkSync('..', join(folder, 'inner/up'));
    expect(await judged({}, `${folder}/inner//./up/d.sock`)).toEqual(['known', SELF]);
    chmodSync(join(folder, 'inner'), 0o777);
    await expect(judged({}, `${folder}/inner/up/d.sock`)).rejects.toEqual(refused('ERR_MANAGEMENT_PEER'));
  });
});
