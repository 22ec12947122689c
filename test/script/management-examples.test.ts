import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { staticChallengeResponse } from '../../src/management/index.ts';
import { type FakeDaemon, FakeListener, GREETING } from '../support/fake-daemon.ts';

// docs/examples import the package by its name: npm run build first

let folder: string;
let listener: FakeListener;
let child: ChildProcess | undefined;
let out = '';

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'pksigd-examples-'));
  listener = await FakeListener.start(join(folder, 'm.sock'));
  out = '';
});
afterEach(async () => {
  child?.kill();
  await listener.stop();
  rmSync(folder, { recursive: true });
});

async function example(name: string, ...more: string[]): Promise<FakeDaemon> {
  const path = listener.address.kind === 'unix' ? listener.address.path : '';
  const script = join(import.meta.dirname, '../../docs/examples', name);
  child = spawn(process.execPath, [script, path, 'unix', ...more], { stdio: ['pipe', 'pipe', 'inherit'] });
  child.stdout?.on('data', (chunk: Buffer) => {
    out += chunk.toString();
  });
  const ended = new Promise<never>((_, reject) => {
    child?.once('exit', (code) => {
      reject(new Error(`the example ended with ${String(code)}: ${out}`));
    });
  });
  ended.catch(() => undefined);
  return Promise.race([listener.next(), ended]);
}

/** Waits for the command and answers it. */
async function answer(daemon: FakeDaemon, line: string, reply: string): Promise<void> {
  expect(await daemon.hear(`${line}\n`)).toBe(`${line}\n`);
  daemon.say(`${reply}\r\n`);
}

async function shown(text: string): Promise<void> {
  while (!out.includes(text)) await new Promise((resolve) => child?.stdout?.once('data', resolve));
}

test('gui.mjs: hold, static and dynamic challenge, a page to open, connected', async () => {
  const daemon = await example('gui.mjs');
  daemon.say(`${GREETING}>HOLD:Waiting for hold release:0\r\n`);
  child?.stdin?.write('alice\nopen sesame\n1234\nblue\n');
  await answer(daemon, 'state on', 'SUCCESS: real-time state notification set to ON');
  await answer(daemon, 'hold release', 'SUCCESS: hold release succeeded');
  daemon.say(">PASSWORD:Need 'Auth' username/password SC:0,Token PIN\r\n");
  await answer(daemon, 'username Auth alice', "SUCCESS: 'Auth' username entered, but not yet verified");
  const first = `password Auth "${staticChallengeResponse('open sesame', '1234')}"`;
  await answer(daemon, first, "SUCCESS: 'Auth' password entered, but not yet verified");
  daemon.say(">PASSWORD:Verification Failed: 'Auth' ['CRV1:R,E:c3RhdGU=:YWxpY2U=:Which colour?']\r\n");
  daemon.say(">PASSWORD:Need 'Auth' username/password\r\n");
  await answer(daemon, 'username Auth alice', "SUCCESS: 'Auth' username entered, but not yet verified");
  await answer(
    daemon,
    'password Auth "CRV1::c3RhdGU=::blue"',
    "SUCCESS: 'Auth' password entered, but not yet verified",
  );
  daemon.say('>INFOMSG:WEB_AUTH:external:https://sso.example/\r\n');
  daemon.say('>STATE:1,CONNECTED,SUCCESS,10.8.0.6,203.0.113.1,1194,,\r\n');
  await shown('CONNECTED SUCCESS 10.8.0.6');
  expect(out).toContain('Open https://sso.example/ to go on');
});

test('monitor.mjs: clients and their traffic, behind a password', async () => {
  writeFileSync(join(folder, 'pw'), 'secret\n');
  const daemon = await example('monitor.mjs', join(folder, 'pw'));
  daemon.say('ENTER PASSWORD:');
  await answer(daemon, 'secret', `SUCCESS: password is correct\r\n${GREETING.trimEnd()}`);
  await answer(daemon, 'version', 'OpenVPN Version: OpenVPN 2.6.14 x\r\nManagement Version: 5\r\nEND');
  await answer(daemon, 'nclients', 'SUCCESS: nclients=1');
  const columns = 'Common Name\tReal Address\tVirtual Address\tBytes Received\tBytes Sent\tConnected Since\tClient ID';
  const rest = [
    'HEADER\tROUTING_TABLE\tVirtual Address\tCommon Name\tReal Address\tLast Ref',
    'GLOBAL_STATS\tx\t0',
    'END',
  ];
  const table = (rows: string[]): string =>
    ['TITLE\tx', 'TIME\tx\t1', `HEADER\tCLIENT_LIST\t${columns}`, ...rows, ...rest].join('\r\n');
  const alice = 'CLIENT_LIST\talice\t203.0.113.1:5\t10.8.0.2\t1\t2\tx\t0';
  await answer(daemon, 'status 3', table([alice]));
  await answer(daemon, 'bytecount 5', 'SUCCESS: bytecount interval changed');
  daemon.say('>BYTECOUNT_CLI:0,10,20\r\n>BYTECOUNT_CLI:1,1,2\r\n');
  await answer(daemon, 'status 3', table(['CLIENT_LIST\tbob\t203.0.113.2:5\t\t1\t2\tx\t1']));
  await shown('bob: 1 bytes in, 2 out');
  expect(out.trim().split('\n')).toEqual([
    'OpenVPN 2.6.14, 1 clients',
    'alice from 203.0.113.1:5 has 10.8.0.2',
    'alice: 10 bytes in, 20 out',
    'bob from 203.0.113.2:5 has no address yet',
    'alice is gone',
    'bob: 1 bytes in, 2 out',
  ]);
});

test('authenticator.mjs: refused, asked for a code, let in', async () => {
  const daemon = await example('authenticator.mjs');
  const connect = (cid: number, password: string): string =>
    [
      `>CLIENT:CONNECT,${cid},1`,
      '>CLIENT:ENV,username=alice',
      `>CLIENT:ENV,password=${password}`,
      '>CLIENT:ENV,IV_SSO=webauth,crtext',
      '>CLIENT:ENV,END\r\n',
    ].join('\r\n');
  const response = (cid: number, code: string): string =>
    `>CLIENT:CR_RESPONSE,${cid},1,${Buffer.from(code).toString('base64')}\r\n>CLIENT:ENV,username=alice\r\n>CLIENT:ENV,END\r\n`;
  daemon.say(GREETING + connect(0, 'wrong'));
  const refused = 'client-deny 0 1 "wrong username or password" "Wrong username or password"';
  await answer(daemon, refused, 'SUCCESS: client-deny command succeeded');
  daemon.say(connect(1, 'open sesame'));
  await answer(daemon, 'client-pending-auth 1 1 CR_TEXT:R:Code: 60', 'SUCCESS: client-pending-auth command succeeded');
  daemon.say(response(1, '123456'));
  const block = 'client-auth 1 1\npush "route 10.1.0.0 255.255.0.0"\nEND';
  await answer(daemon, block, 'ERROR: client-auth command failed');
  await shown('OpenVPN refused the client-auth command');
  daemon.say(connect(2, 'open sesame'));
  await answer(daemon, 'client-pending-auth 2 1 CR_TEXT:R:Code: 60', 'SUCCESS: client-pending-auth command succeeded');
  daemon.say(response(2, '000000'));
  await answer(daemon, 'client-deny 2 1 "wrong code" "Wrong code"', 'SUCCESS: client-deny command succeeded');
  daemon.say(
    '>CLIENT:REAUTH,1,2\r\n>CLIENT:ENV,username=alice\r\n>CLIENT:ENV,password=open sesame\r\n>CLIENT:ENV,END\r\n',
  );
  await answer(daemon, 'client-auth-nt 1 2', 'SUCCESS: client-auth command succeeded');
});
