import { describe, expect, test } from 'vitest';
import { Relay } from '../../../src/management/index.ts';
import { ManagementUser } from '../../support/management-user.ts';

import { HOLD, ACKNOWLEDGED, MANY, LAST_OF_ALL, PATIENTLY, request, block, type Bed, bed } from './daemon-bed.ts';

describe('requests of one connection', () => {
  test('are answered one after the other, in order, however many come at once', async () => {
    const { daemon, signer, openKey } = await bed();
    openKey();
    const texts = Array.from({ length: 50 }, (_, index) => `request ${index}`);
    daemon.say(texts.map(request).join(''));
    for (const [index, text] of texts.entries()) {
      const call = await signer.call(index);
      expect(signer.calls).toHaveLength(index + 1);
      call.finish();
      await daemon.hear(block(text));
    }
  });

  test('are dropped with it: of a thousand that wait none reaches the key', async () => {
    const { daemon, signer, openKey, served, logged } = await bed();
    openKey();
    daemon.say(Array.from({ length: 1000 }, (_, index) => request(`request ${index}`)).join(''));
    const { signal, finish } = await signer.call(0);
    daemon.socket.destroy();
    await served;
    expect(signal?.aborted).toBe(true);
    finish();
    expect(signer.calls).toHaveLength(1);
    expect(logged.filter(({ text }) => text.startsWith('dropped'))).toHaveLength(1);
  });

  test('of a daemon that was restarted while it waited: the new one is answered, the old one is not', async () => {
    const { daemon, signer, openKey, clock } = await bed();
    openKey();
    daemon.say(request('old'));
    const old = await signer.call(0);
    clock.pass(1);
    daemon.say(request('new'));
    const renewed = await signer.call(1);
    expect(old.signal?.aborted).toBe(true);
    old.finish();
    renewed.finish();
    expect(await daemon.hear('END\n')).toBe(block('new'));
    daemon.say(ACKNOWLEDGED);
  });

  test.each([
    ['is held again', HOLD],
    ['connects anew', '>STATE:1780000000,RECONNECTING,SIGUSR1,,,,,\r\n'],
  ])('of a daemon that %s: nobody signs for it any more', async (_, word) => {
    const { daemon, signer, openKey, logged } = await bed();
    openKey();
    daemon.say(request('old'));
    const old = await signer.call(0);
    daemon.say(word + request('new'));
    const renewed = await signer.call(1);
    expect(old.signal?.aborted).toBe(true);
    expect(logged.filter(({ text }) => text.startsWith('dropped'))).toHaveLength(1);
    old.finish();
    renewed.finish();
    expect(await daemon.hear('END\n')).toContain(block('new'));
  });

  test('an answer that is never acknowledged is no reason not to give the next', async () => {
    const { daemon, signer, openKey } = await bed();
    openKey();
    for (let index = 0; index < 100; index += 1) {
      daemon.say(request(`request ${index}`));
      (await signer.call(index)).finish();
      await daemon.hear(block(`request ${index}`));
    }
  });

  test('what is being signed when the agent is to stop is still answered', async () => {
    const { daemon, signer, openKey, stop, served } = await bed();
    openKey();
    daemon.say(request('last'));
    const last = await signer.call(0);
    stop.abort();
    last.finish();
    await daemon.hear(block('last'));
    daemon.say(ACKNOWLEDGED);
    expect((await served).by).toBe('client');
  });

  test('a daemon that goes on asking when the agent is to stop gets no more answers', async () => {
    const { daemon, signer, openKey, stop, served } = await bed();
    openKey();
    daemon.say(request('last') + request('one more'));
    const last = await signer.call(0);
    stop.abort();
    daemon.say(request('two more'));
    last.finish();
    await daemon.hear(block('last'));
    daemon.say(ACKNOWLEDGED + request('three more'));
    expect((await served).by).toBe('client');
    expect(signer.calls).toHaveLength(1);
  });

  test('a daemon that is restarted during a stop gets no answer to what it asked before', async () => {
    const { daemon, signer, openKey, stop, served, clock } = await bed();
    openKey();
    daemon.say(request('old'));
    const old = await signer.call(0);
    stop.abort();
    clock.pass(1);
    daemon.say(request('new'));
    expect((await served).by).toBe('client');
    expect(old.signal?.aborted).toBe(true);
    expect(signer.calls).toHaveLength(1);
  });

  test('a line that was cut and is no request gets no answer', async () => {
    const { daemon, signer, openKey } = await bed();
    openKey();
    daemon.say('>LOG:1,I,'.padEnd(10_239, 'x'));
    daemon.say(request('next'));
    (await signer.call(0)).finish();
    expect(await daemon.hear('END\n')).toBe(block('next'));
  });
});

describe('a flood', () => {
  test('of holds is one hold', async () => {
    const { daemon, openKey, signer } = await bed();
    daemon.say('>HOLD:Waiting for hold release:300\r\n'.repeat(MANY));
    daemon.say(HOLD);
    daemon.say(request('behind them'));
    openKey();
    (await signer.call(0)).finish();
    await daemon.hear('END\n');
    // the release may come before or behind the signature
    expect(`${daemon.received}hold release\n`.match(/hold release/g)?.length).toBeLessThanOrEqual(2);
  });

  test('of holds while the key is not ready is released once', async () => {
    const { daemon, openKey, logged } = await bed();
    daemon.say(HOLD.repeat(MANY));
    daemon.say(LAST_OF_ALL);
    await expect.poll(() => logged.length, PATIENTLY).toBeGreaterThan(0);
    openKey();
    await daemon.hear('hold release\n');
    daemon.say('>NEED-CERTIFICATE:x\r\n');
    expect(await daemon.hear('certificate\n')).toBe('certificate\n');
  });

  test('of questions for the certificate gets one answer', async () => {
    const { daemon, openKey, logged } = await bed();
    daemon.say('>NEED-CERTIFICATE:x\r\n'.repeat(MANY));
    daemon.say(HOLD);
    daemon.say(LAST_OF_ALL);
    await expect.poll(() => logged.length, PATIENTLY).toBeGreaterThan(0);
    openKey();
    const heard = await daemon.hear('hold release\n');
    expect(heard.match(/certificate\n/g)).toHaveLength(1);
  });
});

describe('what keeps the daemon from being served is told', () => {
  test('a key that is not ready', async () => {
    const { daemon, clock, logged, openKey } = await bed();
    daemon.say(HOLD);
    daemon.say(LAST_OF_ALL);
    await expect.poll(() => logged.length, PATIENTLY).toBe(1);
    clock.pass(20);
    const waits = logged.filter(({ text }) => text.includes('waits for the key'));
    expect(waits.map(({ level }) => level)).toEqual(['warn', 'warn', 'warn']);
    openKey();
    await daemon.hear('hold release\n');
    expect(logged.at(-1)?.text).toContain('the key is ready');
  });

  test.each([
    [">PASSWORD:Need 'Auth' username/password\r\n", 'asks for a password'],
    [">NEED-OK:Need 'token-insertion-request' confirmation MSG:x\r\n", 'asks a question'],
    [">NEED-STR:Need 'name' input MSG:x\r\n", 'asks a question'],
    ['>REMOTE:vpn.example.com,1194,udp\r\n', 'asks a question'],
    ['>PROXY:1,UDP,vpn.example.com\r\n', 'asks a question'],
  ])('a question that nobody answers: %j', async (question, text) => {
    const { daemon, clock, logged } = await bed();
    daemon.say(question);
    await expect.poll(() => logged.length, PATIENTLY).toBe(1);
    clock.pass(20);
    expect(logged.map((line) => [line.level, line.text.includes(text)])).toEqual([
      ['warn', true],
      ['warn', true],
      ['warn', true],
    ]);
  });

  test.each([
    ['PASSWORD', ">PASSWORD:Need 'Auth' password\r\n", 'for a password', 'password Auth x'],
    ['NEED-OK', ">NEED-OK:Need 'card' confirmation MSG:x\r\n", 'a question', 'needok card ok'],
  ] as const)('a question that no client of the relay answers: %s', async (type, question, text, command) => {
    const reply = 'SUCCESS: it is taken\r\n';
    await using relay = await Relay.listen({ address: { kind: 'tcp', host: '127.0.0.1', port: 0 }, rights: 'operate' });
    const { client, daemon, clock, logged } = await bed(relay);
    daemon.say(question);
    await expect.poll(() => relay.isAsking(client, type), PATIENTLY).toBe(true);
    const warnings = (): Bed['logged'] => logged.filter(({ level }) => level === 'warn');
    const until = async (times: number): Promise<void> => {
      await expect
        .poll(() => {
          clock.pass(1);
          return warnings().length;
        }, PATIENTLY)
        .toBe(times);
    };
    await until(1);
    expect(warnings()[0]).toMatchObject({ text: expect.stringContaining(text) as string, fields: { seconds: 15 } });
    await until(2);

    const user = await ManagementUser.open(relay.address);
    await user.hear(question);
    user.say(`${command}\n`);
    await daemon.hear(`${command}\n`);
    daemon.say(reply);
    await expect.poll(() => logged.at(-1)?.text, PATIENTLY).toBe('the daemon goes on');
    clock.pass(600);
    expect(warnings()).toHaveLength(2);
    user.close();
  });

  test('a daemon’s last words in UTF-8, behind a relay too', async () => {
    await using relay = await Relay.listen({ address: { kind: 'tcp', host: '127.0.0.1', port: 0 } });
    const { daemon, logged } = await bed(relay);
    daemon.say(Buffer.from('>FATAL:größer als möglich\r\n').toString('latin1'));
    const line = { level: 'error', text: 'the daemon ended', fields: { text: 'größer als möglich' } };
    await expect.poll(() => logged[0], PATIENTLY).toMatchObject(line);
  });

  test('a hold that is released again and again, and no signature asked for', async () => {
    const { daemon, openKey, clock, logged } = await bed();
    openKey();
    const warnings = (): Bed['logged'] => logged.filter(({ level }) => level === 'warn');
    for (let times = 0; times < 3; times += 1) {
      clock.pass(4);
      expect(warnings()).toEqual([]);
      daemon.say(HOLD);
      await daemon.hear('hold release\n');
      daemon.say('SUCCESS: hold release succeeded\r\n');
    }
    clock.pass(4);
    expect(warnings()).toHaveLength(1);
    expect(warnings()[0]?.fields).toMatchObject({ hint: expect.stringContaining('pksigd check') as string });
  });

  test('a long pause in the hold', async () => {
    const { daemon, logged } = await bed();
    daemon.say('>HOLD:Waiting for hold release:30\r\n');
    await expect.poll(() => logged[0], PATIENTLY).toMatchObject({ level: 'warn', fields: { waitSeconds: 30 } });
  });

  test('a daemon that takes no signature until it is restarted', async () => {
    const { daemon, openKey, signer, logged } = await bed();
    openKey();
    daemon.say(request('x'));
    (await signer.call(0)).finish();
    await daemon.hear('END\n');
    daemon.say('ERROR: The pk-sig command is not currently available\r\n');
    await expect.poll(() => logged.map(({ text }) => text), PATIENTLY).toContain('the daemon takes no signature');
  });
});
