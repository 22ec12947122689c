import { execFile } from 'node:child_process';
import { chmod, copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect } from 'vitest';
import { test, type Bench, type KeyName } from '../support/bench.ts';
import { check, readChecked, unhurried } from '../support/check.ts';
import { addToAgent, agentEnvironment, example, startAgent } from '../support/exec-examples.ts';
import { FakeListener, GREETING, type FakeDaemon } from '../support/fake-daemon.ts';

const run = promisify(execFile);
const PROGRAM = join(import.meta.dirname, '../support/exec-program.mjs');
const DIGEST = Buffer.alloc(32, 7).toString('base64');

/** The tests' program, where nobody else can write. */
async function program(bench: Bench): Promise<string> {
  await copyFile(PROGRAM, bench.path('program.mjs'));
  await chmod(bench.path('program.mjs'), 0o755);
  return bench.path('program.mjs');
}

const encoded = (word: string): string => word.replaceAll('%', '%25').replaceAll(' ', '%20');

/** The KEY of the tests' program. */
async function testKey(bench: Bench, name: KeyName, options: object = {}): Promise<string> {
  return `exec:${await program(bench)} ${bench.recipe(`${name}.pem`)} ${encoded(JSON.stringify(options))}`;
}

async function daemonOf(bench: Bench): Promise<FakeListener> {
  return await FakeListener.start(bench.path('daemon.sock'));
}

async function served(daemon: FakeDaemon, algorithm = 'ECDSA'): Promise<string> {
  daemon.say(`>PK_SIGN:${DIGEST},${algorithm}\r\n`);
  const block = (await daemon.hearsBlock('pk-sig')).join('');
  daemon.say('SUCCESS: pk-sign command succeeded\r\n');
  return block;
}

async function greeted(listener: FakeListener): Promise<FakeDaemon> {
  const daemon = await listener.next();
  daemon.say(GREETING);
  return daemon;
}

const management = (bench: Bench): string[] => ['--management', bench.path('daemon.sock'), 'unix'];

async function verifies(bench: Bench, key: KeyName, signature: string): Promise<void> {
  await bench.write('digest', Buffer.from(DIGEST, 'base64'));
  await bench.write('signature', Buffer.from(signature, 'base64'));
  const files = ['-in', bench.path('digest'), '-sigfile', bench.path('signature')];
  await run('openssl', ['pkeyutl', '-verify', '-pubin', '-inkey', bench.recipe(`${key}.pub.pem`), ...files]);
}

describe.concurrent('the example of 20 lines', () => {
  test('is not longer, and passes the conformance test', async ({ bench }) => {
    const path = await example(bench, 'minimal');
    const lines = (await readFile(path, 'utf8')).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
    expect(lines.length).toBeLessThanOrEqual(20);
    const ask = () => check(bench, '--key', `exec:${path} ${bench.recipe('p256.pem')}`);
    let { code, of, lines: advice } = await ask();
    // a warning that it does not end within 2 s: on a busy machine it may not, once
    while (of('program').length > 1) ({ code, of, lines: advice } = await ask());
    expect(code).toBe(0);
    expect(of('program').map(({ outcome }) => outcome)).toEqual(['ok']);
    expect(of('signature').map(({ outcome, detail }) => [outcome, detail])).toEqual([
      ['ok', 'ECDSA of a digest (SHA1, SHA256, SHA384, SHA512) by exec'],
      ['ok', 'ECDSA of a message (SHA1, SHA256, SHA384, SHA512) by exec'],
    ]);
    expect(advice).toContain('management-external-key nopadding');
  });

  test('signs for a daemon, and once by hand', async ({ bench }) => {
    const key = `exec:${await example(bench, 'minimal')} ${bench.recipe('p256.pem')}`;
    const daemons = await daemonOf(bench);
    const pksigd = await bench.pksigd(['run', ...management(bench), '--key', key]);
    await verifies(bench, 'p256', await served(await greeted(daemons)));
    expect(await pksigd.message('signed')).toMatchObject({ key, scheme: 'ECDSA', mechanism: 'exec' });
    expect(await pksigd.stop()).toBe(0);
    const sign = await bench.pksigd(['sign', '--key', key, '--algorithm', 'ECDSA'], { input: DIGEST });
    expect(await sign.exited).toBe(0);
    await verifies(bench, 'p256', sign.stdout.join(''));
  });
});

describe.concurrent('a real ssh-agent', () => {
  const cells = [
    { type: 'ed25519', signs: ['ED25519 of a message'], line: 'management-external-key' },
    { type: 'ecdsa', signs: ['ECDSA of a message (SHA256)'], line: 'management-external-key nopadding digest' },
    {
      type: 'rsa',
      signs: ['RSA_PKCS1_PADDING of a message (SHA256, SHA512)'],
      line: 'management-external-key pkcs1 digest',
    },
  ];
  test.for(cells)('signs with $type', async ({ type, signs, line }, { bench }) => {
    await startAgent(bench);
    await run('ssh-keygen', ['-q', '-t', type, '-N', '', '-f', bench.path('id')]);
    const key = `exec:${await example(bench, 'ssh-agent')} ${await addToAgent(bench, bench.path('id'))}`;
    const start = async () => await bench.pksigd(['check', '--json', '--key', key], { env: agentEnvironment(bench) });
    const { code, of, lines } = await unhurried(async () => await readChecked(await start()));
    expect(code).toBe(0);
    const signed = of('signature').filter(({ outcome }) => outcome === 'ok');
    expect(signed.map(({ detail }) => detail)).toEqual(signs.map((each) => `${each} by ssh-agent`));
    expect(lines).toContain(line);
  });
});

describe.concurrent('check of a program', () => {
  test('says which schemes it lacks, and that it does not end', async ({ bench }) => {
    const options = { schemes: ['RSA_PKCS1_PADDING,hashalg=SHA256'], stays: true };
    const { code, of, lines } = await check(bench, '--key', await testKey(bench, 'rsa2048', options));
    expect(code).toBe(0);
    const said = of('program').map(({ outcome, detail }) => [outcome, detail.replace(/^.*\} /, '')]);
    expect(said).toEqual([
      ['ok', 'answers, runs once for each signature'],
      ['warn', 'does not end when its standard input does'],
    ]);
    expect(of('signature').filter(({ outcome }) => outcome === 'ok')).toHaveLength(2);
    expect(lines).toContain('management-external-key pkcs1');
  });

  test('fails with a program that signs wrongly', async ({ bench }) => {
    const { code, of } = await check(bench, '--key', await testKey(bench, 'ed25519', { faulty: true }));
    expect(code).toBe(1);
    expect(of('signature')[0]).toMatchObject({ outcome: 'fail', code: 'ERR_SIGNATURE_INVALID' });
  });

  test('leaves a PIN alone without --login', async ({ bench }) => {
    const notes = bench.path('notes');
    const key = await testKey(bench, 'ed25519', { pin: await bench.pin(), notes });
    const without = await check(bench, '--key', key, '--pin-source', bench.pinFile);
    expect(without.of('signature')[0]).toMatchObject({ outcome: 'skip' });
    expect(await readFile(notes, 'utf8')).not.toContain('try');
    const login = await check(bench, '--login', '--key', key, '--pin-source', bench.pinFile);
    expect(login.of('PIN')[0]).toMatchObject({ outcome: 'ok' });
    expect(login.of('signature')[0]).toMatchObject({ outcome: 'ok' });
    expect([without.code, login.code]).toEqual([0, 0]);
  });

  const mistakes = [
    ['that is not there', 'exec:/no/such/program', 3, 'ERR_KEY_NOT_FOUND'],
    ['without a path', 'exec:program', 2, 'ERR_USAGE'],
    ['that speaks something else', 'exec:/bin/echo hello', 2, 'ERR_EXEC_PROTOCOL'],
    ['that says nothing', 'exec:/bin/true', 1, 'ERR_EXEC_DIED'],
  ] as const;
  test.for(mistakes)('%s', async ([, key, exit, code], { bench }) => {
    const { code: status, of } = await check(bench, '--key', key);
    expect([status, of('program')[0]?.code]).toEqual([exit, code]);
  });

  test('that others can write', async ({ bench }) => {
    const key = await testKey(bench, 'p256');
    await chmod(bench.path('program.mjs'), 0o775);
    const { code, of } = await check(bench, '--key', key);
    expect([code, of('program')[0]?.code]).toEqual([2, 'ERR_KEY_PERMISSIONS']);
  });
});

describe.concurrent('run with a program', () => {
  test('by a configuration file, with arguments, policy, audit log and certificate', async ({ bench }) => {
    await mkdir(bench.path('my programs'), { mode: 0o755 });
    await program(bench);
    await copyFile(bench.path('program.mjs'), bench.path('my programs/program'));
    await chmod(bench.path('my programs/program'), 0o755);
    const certificate = await readFile(bench.recipe('p256.crt'), 'utf8');
    const options = JSON.stringify({ keep: true, schemes: ['ECDSA'], hello: { certificates: [certificate] } });
    await bench.write(
      'p.toml',
      `[audit]\nfile = "audit.log"\n[key.office]\nallow-scheme = ["ECDSA"]\n` +
        `key = { program = "my programs/program", arguments = [${JSON.stringify(bench.recipe('p256.pem'))}, ${JSON.stringify(options)}] }\n` +
        '[tunnel.t]\nmanagement = "daemon.sock unix"\n',
    );
    const daemons = await daemonOf(bench);
    const pksigd = await bench.pksigd(['run', '--config', bench.path('p.toml')]);
    const daemon = await greeted(daemons);
    daemon.say('>NEED-CERTIFICATE:pksigd\r\n');
    expect((await daemon.hearsBlock('certificate')).join('\n')).toContain(certificate.split('\n')[1]);
    daemon.say('SUCCESS: certificate command succeeded\r\n');
    const message = Buffer.from('no handshake').toString('base64');
    daemon.say(`>PK_SIGN:${message},ECDSA,hashalg=SHA256,data=message\r\n`);
    expect((await daemon.hearsBlock('pk-sig')).join('')).toBe('');
    daemon.say('SUCCESS: pk-sign command succeeded\r\n');
    expect(await pksigd.message('refused')).toMatchObject({ code: 'ERR_POLICY_CONTEXT' });
    expect(await pksigd.stop()).toBe(0);
    const shown = await bench.pksigd(['config', 'show', '--config', bench.path('p.toml')]);
    expect(await shown.exited).toBe(0);
    expect(shown.stdout.join('\n')).toContain(`exec:${bench.path('my%20programs/program')} `);
    expect(await readFile(bench.path('audit.log'), 'utf8')).toContain('ERR_POLICY_CONTEXT');
  });

  test('that dies: the copy in a file signs, and the program again when it is back', async ({ bench }) => {
    const key = `exec:${await example(bench, 'minimal')} ${bench.path('key.pem')}`;
    await copyFile(bench.recipe('p256.pem'), bench.path('key.pem'));
    const daemons = await daemonOf(bench);
    const pksigd = await bench.pksigd(['run', ...management(bench), '--key', key, '--key', bench.recipe('p256.pem')]);
    const daemon = await greeted(daemons);
    await verifies(bench, 'p256', await served(daemon));
    expect(await pksigd.message('signed')).toMatchObject({ mechanism: 'exec' });
    await writeFile(bench.path('key.pem'), 'no key');
    await verifies(bench, 'p256', await served(daemon));
    expect(await pksigd.message('signed', 2)).toMatchObject({ mechanism: 'file' });
    expect(await pksigd.message('a copy of the key failed')).toMatchObject({ key });
    expect(await pksigd.stop()).toBe(0);
  });

  test('tells what it prints, and ends it with itself', async ({ bench }) => {
    const key = await testKey(bench, 'ed25519', { keep: true, prints: ['a line \u001b[31m of its'] });
    const daemons = await daemonOf(bench);
    const pksigd = await bench.pksigd(['run', ...management(bench), '--log-level', 'debug', '--key', key]);
    await greeted(daemons);
    expect(await pksigd.message('the program says')).toMatchObject({ text: 'a line \u001b[31m of its', level: 'info' });
    expect(pksigd.lines.find((line) => line.includes('a line'))).not.toContain('\u001b');
    expect(await pksigd.stop()).toBe(0);
    const ended = pksigd.messages('program ended').at(-1);
    expect(ended).toMatchObject({ expected: true, reason: 'ended with status 0' });
  });

  test('waits for a key that is absent, with --wait-for-token', async ({ bench }) => {
    // ssh-agent's program, and no agent
    const path = await example(bench, 'ssh-agent');
    await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', bench.path('id')]);
    await daemonOf(bench);
    const args = ['run', ...management(bench), '--key', `exec:${path} ${bench.path('id.pub')}`];
    const env = agentEnvironment(bench);
    const waits = await bench.pksigd([...args, '--wait-for-token'], { env });
    await waits.message('waiting for the token');
    const agent = await startAgent(bench);
    await run('ssh-add', ['-q', bench.path('id')], { env: { ...process.env, ...env } });
    await waits.message('key ready');
    expect(await waits.stop()).toBe(0);
    await agent.stop();
    const fails = await bench.pksigd(args, { env });
    expect(await fails.exited).toBe(3);
  });
});
