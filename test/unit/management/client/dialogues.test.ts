import { afterAll, beforeAll, expect, test } from 'vitest';
import { connectManagement } from '../../../../src/management/index.ts';
import { DIALOGUES } from '../../../support/dialogues.ts';
import { FakeListener } from '../../../support/fake-daemon.ts';

let listener: FakeListener;
beforeAll(async () => {
  listener = await FakeListener.start();
});
afterAll(() => listener.stop());

test.each(DIALOGUES.map((each, index) => [index, each] as const))(
  'recording %i: $openvpn $key $tls',
  async (_, { wire }) => {
    const version = wire.map(([, text]) => /^version (\d+)$/m.exec(text)?.[1]).find((each) => each !== undefined);
    const connecting = connectManagement(listener.address, {
      clientVersion: version === undefined ? undefined : Number(version),
    });
    const daemon = await listener.next();
    const stray: string[] = [];
    let asked: (() => void) | undefined;
    const playing = (async () => {
      for (const [who, text] of wire) {
        if (who === 'daemon') daemon.say(/\r?\n$/.test(text) || !text.startsWith('>') ? text : `${text}\r\n`);
        else if (text.includes('<signature')) await daemon.hear('END\n');
        else await daemon.hear(text);
      }
      asked?.();
    })();
    const client = await connecting;
    const played = new Promise<void>((resolve) => {
      asked = resolve;
    });
    const work: Promise<unknown>[] = [playing];
    client.on('STRAY', ({ line }) => stray.push(line));
    client.on('HOLD', () => work.push(client.holdRelease()));
    client.on('PK_SIGN', () => work.push(client.pkSig(Buffer.alloc(256))));
    client.on('RSA_SIGN', () => work.push(client.rsaSig(Buffer.alloc(256))));
    await Promise.race([playing, played]);
    await Promise.all(work);
    expect(stray).toEqual([]);
    const signed = wire.some(([, text]) => text.includes('<signature'));
    expect(work.length).toBeGreaterThanOrEqual(signed ? 2 : 1);
    await client.close();
  },
);
