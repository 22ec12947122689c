import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, chownSync, existsSync, lstatSync, mkdirSync, renameSync, symlinkSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { describe, expect } from 'vitest';
import { freePort, ownAddress, test, type Bench } from '../support/bench.ts';
import { ManagementUser } from '../support/management-user.ts';
import { canBeOther, OTHER_USER, otherConnects, otherListens } from '../support/other-user.ts';
import type { Pksigd } from '../support/pksigd.ts';

const GREETING = ">INFO:OpenVPN Management Interface Version 5 -- type 'help' for more info\r\n";
const DIGEST = createHash('sha256').update('what a TLS client signs').digest('base64');
const REQUEST = `>PK_SIGN:${DIGEST},ECDSA\r\n`;
const SECRET = 'open sesame';

interface Place {
  host: string;
  port: number;
}

async function freePlace(): Promise<Place> {
  const host = ownAddress();
  return { host, port: await freePort(host) };
}

function run(bench: Bench, words: readonly string[], ...more: string[]): Promise<Pksigd> {
  return bench.pksigd(['run', '--management', ...words, '--key', bench.recipe('p256.pem'), ...more]);
}

async function listen(bench: Bench, { host, port }: Place, ...more: string[]): Promise<Pksigd> {
  const password = more[0]?.startsWith('--') === false ? more.splice(0, 1) : [];
  const pksigd = await run(bench, [host, `${port}`, ...password], '--management-client', ...more);
  await pksigd.listening();
  await pksigd.message('key ready');
  return pksigd;
}

function daemonAt({ host, port }: Place): Promise<ManagementUser> {
  return ManagementUser.open({ kind: 'tcp', host, port });
}

async function isSigned(daemon: ManagementUser): Promise<void> {
  daemon.say(GREETING + REQUEST);
  await daemon.hear(/pk-sig\n[A-Za-z0-9+/=\n]+END\n/);
}

/** Waits until its connection is closed, in whatever way. */
async function isGone({ ended, socket }: ManagementUser): Promise<void> {
  if (!ended) await new Promise((resolve) => socket.once('close', resolve));
}

async function isTurnedAway(daemon: ManagementUser): Promise<void> {
  daemon.say(GREETING + REQUEST);
  await isGone(daemon);
  expect(daemon.all).not.toContain('pk-sig');
}

/** A scripted daemon of this user, who listens. */
async function daemonListens(path: string, said: Set<string>): Promise<Server> {
  const server = createServer((socket: Socket) => {
    socket.on('error', () => undefined);
    socket.on('data', (data) => said.add(data.toString()));
    socket.write(GREETING + REQUEST);
  });
  server.listen(path);
  await once(server, 'listening');
  return server;
}

describe.concurrent('daemons over TCP', () => {
  test('one at a time: a second one is turned away, the next one served', async ({ bench }) => {
    const place = await freePlace();
    const pksigd = await listen(bench, place);
    const first = await daemonAt(place);
    await isSigned(first);
    await isTurnedAway(await daemonAt(place));
    expect(await pksigd.message('a daemon was turned away')).toMatchObject({
      level: 'warn',
      code: 'ERR_MANAGEMENT_LIMIT',
      error: expect.stringContaining('another daemon is connected already'),
    });
    await isSigned(first);
    first.close();
    await pksigd.message('disconnected from the daemon');
    const third = await daemonAt(place);
    await isSigned(third);
    third.close();
  });

  test('--max-daemons: so many', async ({ bench }) => {
    const place = await freePlace();
    await listen(bench, place, '--max-daemons', '2');
    const daemons = [await daemonAt(place), await daemonAt(place)];
    for (const daemon of daemons) await isSigned(daemon);
    await isTurnedAway(await daemonAt(place));
    for (const daemon of daemons) daemon.close();
  });

  test('a relay has one daemon, on a unix socket too', async ({ bench }) => {
    const path = bench.path('d.sock');
    const relay = ['--relay', bench.path('r.sock'), 'unix', '--relay-keep'];
    const pksigd = await run(bench, [path, 'unix'], '--management-client', ...relay);
    await pksigd.listening();
    const first = await ManagementUser.open({ kind: 'unix', path });
    await isSigned(first);
    await isTurnedAway(await ManagementUser.open({ kind: 'unix', path }));
    await isSigned(first);
    first.close();
  });

  test('any number on a unix socket', async ({ bench }) => {
    const path = bench.path('d.sock');
    const pksigd = await run(bench, [path, 'unix'], '--management-client');
    await pksigd.listening();
    const daemons = await Promise.all(Array.from({ length: 5 }, () => ManagementUser.open({ kind: 'unix', path })));
    for (const daemon of daemons) await isSigned(daemon);
    for (const daemon of daemons) daemon.close();
  });

  test('who says nothing keeps nobody out, and thousands write no thousands of lines', async ({ bench }) => {
    const place = await freePlace();
    const pksigd = await listen(bench, place);
    const silent = await Promise.all(Array.from({ length: 200 }, () => daemonAt(place)));
    const daemon = await daemonAt(place);
    await isSigned(daemon);
    const late = await Promise.all(Array.from({ length: 300 }, () => daemonAt(place)));
    await Promise.all(late.map(isGone));
    await isSigned(daemon);
    for (const each of [...silent, ...late, daemon]) each.close();
    await pksigd.stop();
    const lines = pksigd.messages('a daemon was turned away');
    expect(lines.length).toBeLessThan(20);
    const told = lines.filter(({ code }) => code === 'ERR_MANAGEMENT_LIMIT').map(({ count }) => Number(count ?? 1));
    expect(told.reduce((sum, count) => sum + count)).toBe(300);
  });

  test('what others can reach is warned of', async ({ bench }) => {
    const [local, named] = [await freePlace(), await freePlace()];
    const said = 'every user of this host can connect here, or take the port first';
    await (await listen(bench, local)).message(`${said}: name --management-user, or use a unix socket`);
    const insisting = await listen(bench, named, '--management-user', `${process.getuid?.() ?? 0}`);
    expect(insisting.transcript).not.toContain(said);
  });
});

describe.concurrent('refused at the start', () => {
  const self = `${process.getuid?.() ?? 0}`;
  test.for([
    [['0.0.0.0', '7505', 'pw', '--management-client'], /a management password would be sent to whoever connects/],
    [['192.0.2.1', '7505', '--management-user', self], /192\.0\.2\.1:7505 is not a loopback address/],
    [['0.0.0.0', '7505', '--management-client', '--management-user', self], /is not a loopback address/],
    [['d.sock', 'unix', '--management-user', 'no such user'], /there is no user 'no such user'/],
    [['d.sock', 'unix', '--max-daemons', '2'], /--max-daemons is for daemons that connect/],
    [['127.0.0.1', '7505', '--management-client', '--max-daemons', '0'], /--max-daemons/],
    [['d.sock', 'unix', '--management-client', '--max-daemons', '2', '--relay', 'r', 'unix'], /relays one daemon/],
  ] as const)('%s', async ([words, said], { bench }) => {
    await bench.write('pw', `${SECRET}\n`);
    const pksigd = await run(bench, words);
    expect(await pksigd.exited).toBe(2);
    expect(pksigd.stderr.join('\n')).toMatch(said);
  });
});

describe.concurrent('--management-user', () => {
  test('another user’s socket is not signed for, whoever it really belongs to', async ({ bench }) => {
    const path = bench.path('d.sock');
    const said = new Set<string>();
    const server = await daemonListens(path, said);
    const pksigd = await run(bench, [path, 'unix'], '--management-user', `${OTHER_USER}`);
    expect(await pksigd.message('the daemon is not served')).toMatchObject({
      error: expect.stringMatching(/belongs to user \d+, not user 65534: .*--management-user/),
    });
    expect([...said]).toEqual([]);
    server.close();
  });

  test('another user’s port likewise', async ({ bench }) => {
    const place = await freePlace();
    const server = createServer((socket) => socket.on('error', () => undefined));
    await once(server.listen(place), 'listening');
    const pksigd = await run(bench, [place.host, `${place.port}`], '--management-user', `${OTHER_USER}`);
    expect(await pksigd.message('the daemon is not served')).toMatchObject({
      error: expect.stringContaining('not user 65534'),
    });
    server.close();
  });

  test('a daemon of another user that connects is turned away, this user’s served', async ({ bench }) => {
    const [theirs, own] = [await freePlace(), await freePlace()];
    const pksigd = await listen(bench, theirs, '--management-user', `${OTHER_USER}`);
    await isTurnedAway(await daemonAt(theirs));
    expect(await pksigd.message('a daemon was turned away')).toMatchObject({ code: 'ERR_MANAGEMENT_PEER' });
    await listen(bench, own, '--management-user', `${process.getuid?.() ?? 0}`);
    const daemon = await daemonAt(own);
    await isSigned(daemon);
    daemon.close();
  });
});

describe.concurrent('a folder in which others can write', () => {
  test.for([
    ['itself', 'open/d.sock'],
    ['behind a link', 'link/d.sock'],
    ['above', 'open/inner/d.sock'],
  ] as const)('%s: nothing is signed', async ([, name], { bench }) => {
    mkdirSync(bench.path('open'));
    mkdirSync(bench.path('open/inner'));
    symlinkSync('open', bench.path('link'));
    chmodSync(bench.path('open'), 0o777);
    const said = new Set<string>();
    const server = await daemonListens(bench.path(name), said);
    const pksigd = await run(bench, [bench.path(name), 'unix']);
    expect(await pksigd.message('the daemon is not served')).toMatchObject({
      error: expect.stringMatching(/^everybody can put another socket in the place of .*, by .*open: /),
    });
    expect([...said]).toEqual([]);
    // with the sticky bit, nobody can remove what belongs to somebody else
    chmodSync(bench.path('open'), 0o1777);
    await pksigd.message('signed');
    await pksigd.stop();
    server.close();
  });
});

describe.runIf(canBeOther).concurrent('a second user', () => {
  test('gets neither password nor signature by connecting', async ({ bench }) => {
    const place = await freePlace();
    const pksigd = await listen(bench, place, await bench.write('pw', `${SECRET}\n`));
    const other = bench.adopt(otherConnects(place, `ENTER PASSWORD:${GREETING}${REQUEST}`, 20));
    await other.logged(/all closed/);
    expect(other.transcript).not.toContain('got');
    expect(await pksigd.message('a daemon was turned away')).toMatchObject({
      code: 'ERR_MANAGEMENT_PEER',
      error: expect.stringMatching(/belongs to user 65534, neither root nor the user of this process/),
    });
    const daemon = await daemonAt(place);
    daemon.say('ENTER PASSWORD:');
    await daemon.hear(`${SECRET}\n`);
    daemon.say('SUCCESS: password is correct\r\n');
    await isSigned(daemon);
    daemon.close();
  });

  test('does not push the daemon out, however often it comes', async ({ bench }) => {
    const place = await freePlace();
    const pksigd = await listen(bench, place);
    const other = bench.adopt(otherConnects(place, GREETING + REQUEST, 1_000));
    await pksigd.message('a daemon was turned away');
    const daemon = await daemonAt(place);
    await isSigned(daemon);
    await other.logged(/all closed/);
    expect(other.transcript).not.toContain('got');
    await isSigned(daemon);
    daemon.close();
  });

  test('is served if named', async ({ bench }) => {
    const place = await freePlace();
    await listen(bench, place, '--management-user', 'nobody');
    const other = bench.adopt(otherConnects(place, GREETING + REQUEST));
    await other.logged(/pk-sig/);
    other.kill();
  });

  test('gets the socket that is for it, and nobody else', async ({ bench }) => {
    chmodSync(bench.folder, 0o755);
    const [theirs, own] = [bench.path('theirs.sock'), bench.path('own.sock')];
    const pksigd = await run(bench, [theirs, 'unix'], '--management-client', '--management-user', 'nobody');
    await pksigd.listening();
    await (await run(bench, [own, 'unix'], '--management-client')).listening();
    expect(lstatSync(theirs)).toMatchObject({ uid: OTHER_USER, mode: 0o140600 });
    await bench.adopt(otherConnects(theirs, GREETING + REQUEST)).logged(/pk-sig/);
    await bench.adopt(otherConnects(own, GREETING + REQUEST)).logged(/error EACCES/);
  });

  test.for(['unix', 'TCP'] as const)('that listens first, over %s', async (kind, { bench }) => {
    chmodSync(bench.folder, 0o755);
    mkdirSync(bench.path('theirs'));
    chownSync(bench.path('theirs'), OTHER_USER, OTHER_USER);
    const place = await freePlace();
    const path = bench.path('theirs/d.sock');
    const words = kind === 'unix' ? [path, 'unix'] : [place.host, `${place.port}`];
    const other = bench.adopt(otherListens(kind === 'unix' ? path : place, `ENTER PASSWORD:${GREETING}${REQUEST}`));
    await other.logged(/listening/);
    const pksigd = await run(bench, [...words, await bench.write('pw', `${SECRET}\n`)]);
    expect(await pksigd.message('the daemon is not served')).toMatchObject({
      error: expect.stringContaining('--management-user 65534'),
    });
    await pksigd.stop();
    expect(other.transcript).not.toContain('got');
    const check = await bench.pksigd(['check', '--management', ...words, '--key', bench.recipe('p256.pem')]);
    expect(await check.exited).toBe(1);
    expect(check.transcript).toMatch(/^fail {2}.*--management-user 65534/m);
    const command = await bench.pksigd(['management', '--management', ...words, '--', 'pid']);
    expect(await command.exited).toBe(1);
    expect(other.transcript).not.toContain('got');
    await run(bench, [...words, bench.path('pw'), '--management-user', 'nobody']);
    await other.logged(/pk-sig/);
  });

  test('in a folder that everybody can write: even a socket of the right user may be replaced', async ({ bench }) => {
    chmodSync(bench.folder, 0o777);
    const path = bench.path('d.sock');
    const other = bench.adopt(otherListens(path, GREETING + REQUEST));
    await other.logged(/listening/);
    const pksigd = await run(bench, [path, 'unix'], '--management-user', 'nobody');
    await pksigd.message('the daemon is not served');
    await pksigd.stop();
    expect(other.transcript).not.toContain('got');
    chmodSync(bench.folder, 0o700);
  });
});

describe.concurrent('a socket of ours', () => {
  test('is removed at the end, one that took its place is not', async ({ bench }) => {
    const [path, relay] = [bench.path('d.sock'), bench.path('r.sock')];
    const words = [path, 'unix', '--management-client', '--relay', relay, 'unix'];
    const first = await run(bench, words);
    await first.listening();
    await first.stop();
    expect([path, relay].map((each) => existsSync(each))).toEqual([false, false]);
    const second = await run(bench, words);
    await second.listening();
    for (const each of [path, relay]) renameSync(each, `${each}.old`);
    const third = await run(bench, words);
    await third.listening();
    await second.stop();
    const daemon = await ManagementUser.open({ kind: 'unix', path });
    await isSigned(daemon);
    daemon.close();
    expect(existsSync(relay)).toBe(true);
  });

  test('of two that start at once one gets the path', async ({ bench }) => {
    const path = bench.path('d.sock');
    const killed = await run(bench, [path, 'unix'], '--management-client');
    await killed.listening();
    killed.kill('SIGKILL');
    await killed.exited;
    const both = await Promise.all([0, 1].map(() => run(bench, [path, 'unix'], '--management-client')));
    const loser = await Promise.race(both.map(async (each) => [each, await each.exited] as const));
    expect(loser[1]).toBe(1);
    expect(loser[0].transcript).toContain('in use');
    const daemon = await ManagementUser.open({ kind: 'unix', path });
    await isSigned(daemon);
    daemon.close();
  });
});

test('many daemons at one agent are no reason for a warning', async ({ bench }) => {
  const path = bench.path('management');
  const pksigd = await run(bench, [path, 'unix'], '--management-client');
  await pksigd.message('key ready');
  const daemons = await Promise.all(Array.from({ length: 12 }, () => ManagementUser.open({ kind: 'unix', path })));
  for (const daemon of daemons) await isSigned(daemon);
  expect(pksigd.log.filter(({ level }) => level === 'warn')).toEqual([]);
  for (const { socket } of daemons) socket.destroy();
});
