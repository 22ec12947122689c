import { describe, expect, test } from 'vitest';
import { AgentError } from '../../../src/errors.ts';
import { Gate } from '../../../src/agent/gate.ts';
import { Relay } from '../../../src/management/index.ts';
import { HOLD, ACKNOWLEDGED, LAST_OF_ALL, PATIENTLY, request, block, type Bed, bed } from './daemon-bed.ts';

describe("the daemon's own state", () => {
  const ON = 'SUCCESS: real-time state notification set to ON\r\n';
  const states = ({ events }: Bed): string[] =>
    events.flatMap((event) => (event.type === 'daemon-state' ? [`${event.state} ${event.since}`] : []));

  test('is asked for when the hold is released, once a connection', async () => {
    const all = await bed();
    const { daemon, openKey } = all;
    openKey();
    daemon.say(HOLD);
    await daemon.hear('hold release\n');
    daemon.say('SUCCESS: hold release succeeded\r\n');
    await daemon.hear('state on 1\n');
    daemon.say(
      `${ON}1700000000,CONNECTING,,,,,,,\r\nEND\r\n>STATE:1700000001,CONNECTED,SUCCESS,10.8.0.2,192.0.2.1\r\n`,
    );
    await expect.poll(() => states(all), PATIENTLY).toContain('CONNECTED 1700000001000');
    // what the reply says is older
    expect(states(all).at(-1)).toBe('CONNECTED 1700000001000');
    daemon.say(HOLD);
    expect(await daemon.hear('hold release\n')).not.toContain('state');
  });

  test('is asked for behind the first signature, of a daemon that has no hold', async () => {
    const { daemon, openKey, signer } = await bed();
    openKey();
    daemon.say(request('x'));
    (await signer.call(0)).finish();
    await daemon.hear('END\n');
    daemon.say(ACKNOWLEDGED);
    await daemon.hear('state on 1\n');
  });

  test('is asked for after a while, of a daemon that wants nothing', async () => {
    const { daemon, clock } = await bed();
    clock.pass(10);
    await daemon.hear('state on 1\n');
  });

  test('is not asked for behind a relay, and heard all the same', async () => {
    const relay = await Relay.listen({ address: { kind: 'tcp', host: '127.0.0.1', port: 0 } });
    const all = await bed(relay);
    all.clock.pass(10);
    all.daemon.say(`>STATE:1700000000,WAIT,,,\r\n${LAST_OF_ALL}`);
    await expect.poll(() => states(all), PATIENTLY).toEqual(['WAIT 1700000000000']);
    expect(all.daemon.received).not.toContain('state');
    await relay[Symbol.asyncDispose]();
  });

  test('a daemon that does not tell it gets its signature at once', async () => {
    const { daemon, clock, openKey, signer } = await bed();
    openKey();
    clock.pass(10);
    await daemon.hear('state on 1\n');
    daemon.say(request('x'));
    (await signer.call(0)).finish();
    await daemon.hear(block('x'));
  });
});

describe('a gate that is closed', () => {
  const locked = (): AgentError => new AgentError('ERR_LOCKED', 'the agent is locked');
  const refused = { type: 'request-done', outcome: { outcome: 'refused', code: 'ERR_LOCKED' } };

  test('every request is refused at once, without the key; none when it is open again', async () => {
    const gate = new Gate();
    gate.close(locked());
    const { daemon, events, signer, openKey } = await bed(undefined, [gate]);
    daemon.say(request('x'));
    await daemon.hear('pk-sig\nEND\n');
    await expect.poll(() => events.at(-1), PATIENTLY).toMatchObject(refused);
    expect(signer.calls).toEqual([]);
    gate.open();
    openKey();
    daemon.say(ACKNOWLEDGED);
    await daemon.hear('state on 1\n');
    daemon.say(request('y'));
    (await signer.call(0)).finish();
    await daemon.hear(block('y'));
  });

  test('what the key is asked for already is refused at once, and its signature does not leave', async () => {
    const gate = new Gate();
    const { daemon, events, signer, openKey } = await bed(undefined, [gate]);
    openKey();
    daemon.say(request('x'));
    const call = await signer.call(0);
    gate.close(locked());
    await daemon.hear('pk-sig\nEND\n');
    await expect.poll(() => events.at(-1), PATIENTLY).toMatchObject(refused);
    call.finish();
    gate.open();
    daemon.say(ACKNOWLEDGED);
    await daemon.hear('state on 1\n');
    daemon.say(request('y'));
    (await signer.call(1)).finish();
    await daemon.hear(block('y'));
  });
});

describe('a daemon that asks again and again for what it does not get', () => {
  const REFUSED = 'pk-sig\nEND\n';
  async function flood({ daemon }: Bed, times: number): Promise<void> {
    for (let time = 0; time < times; time++) {
      daemon.say(request('x').replace('ED25519', 'NONE'));
      await daemon.hear(REFUSED);
      daemon.say(ACKNOWLEDGED);
      if (time === 0) await daemon.hear('state on 1\n');
    }
  }

  test('is answered once a second in the end', async () => {
    const all = await bed(undefined, [], undefined, 'paced');
    const { clock, daemon, events, openKey } = all;
    openKey();
    await flood(all, 501);
    const done = (): number => events.filter(({ type }) => type === 'request-done').length;
    await expect.poll(done, PATIENTLY).toBe(501);
    daemon.say(request('x').replace('ED25519', 'NONE'));
    // what comes behind it waits, too
    daemon.say('>FATAL:nobody reads this yet\r\n');
    clock.pass(0.9);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(done()).toBe(501);
    clock.pass(0.2);
    await daemon.hear(REFUSED);
  });

  test('does not keep the agent from ending', async () => {
    const all = await bed(undefined, [], undefined, 'paced');
    const { daemon, openKey, stop, served } = all;
    openKey();
    await flood(all, 502 - 1);
    daemon.say(request('x').replace('ED25519', 'NONE'));
    await new Promise((resolve) => setTimeout(resolve, 50));
    stop.abort();
    await served;
  });
});
