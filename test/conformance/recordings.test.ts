import { describe, expect } from 'vitest';
import { test, type Bench } from '../support/bench.ts';
import { DIALOGUES, isRequest, requestOf, type Dialogue, type Request } from '../support/dialogues.ts';
import { FakeDaemon } from '../support/fake-daemon.ts';
import { opensslVerifies } from '../support/openssl.ts';

const BLOCK = /^((?:pk|rsa)-sig)\n<signature of the request>\nEND\n$/;

/** Plays the daemon's part of a dialogue: the request that was made, and pksigd's answer to it. */
async function play(bench: Bench, dialogue: Dialogue): Promise<{ request: Request; answer: string[] }> {
  // the recorder's client spoke before it was greeted: nobody need do that
  const greeting = dialogue.wire.findIndex(([who]) => who === 'daemon');
  const wire = [...dialogue.wire.slice(greeting, greeting + 1), ...dialogue.wire.toSpliced(greeting, 1)];
  const daemon = await FakeDaemon.open(bench.path('management'));
  let request: Request | undefined;
  let answer: string[] | undefined;
  for (const [who, text] of wire) {
    const [, header] = BLOCK.exec(text) ?? [];
    if (who === 'daemon' && isRequest(text)) {
      request = await requestOf(bench, dialogue, text);
      daemon.say(request.line);
    } else if (who === 'daemon') daemon.say(text);
    else if (header === undefined) await daemon.hears(text.trimEnd());
    else answer = await daemon.hearsBlock(header);
  }
  daemon.close();
  if (request === undefined || answer === undefined) throw new Error('a dialogue without a request');
  return { request, answer };
}

/** Of most messages only the length is recorded. */
const ANY = ['--context', 'off'];

test('seven builds of OpenVPN are recorded', () => {
  expect(new Set(DIALOGUES.map(({ openvpn }) => openvpn)).size).toBe(7);
});

const keys = [...new Set(DIALOGUES.map(({ key }) => key))];
const cells = keys.flatMap((key) => (['file', 'SoftHSM'] as const).map((home) => ({ key, home })));

describe.concurrent('every recorded daemon gets a signature that openssl verifies', () => {
  test.for(cells)('$key from $home', async ({ key, home }, { bench }) => {
    const place = [bench.path('management'), 'unix', '--management-client'];
    const pksigd = await bench.pksigd(['run', '--management', ...place, '--key', bench.key(key, home), ...ANY]);
    await pksigd.listening();
    for (const dialogue of DIALOGUES.filter((recorded) => recorded.key === key)) {
      const what = `${dialogue.openvpn}, TLS ${dialogue.tls}, '${dialogue.managementExternalKey}', ${dialogue.tbs}`;
      const { request, answer } = await play(bench, dialogue);
      const signature = Buffer.from(answer.join(''), 'base64');
      expect(await opensslVerifies(bench, key, request.algorithm, request.data, signature), what).toBe(true);
      expect(
        answer.every((line) => line.length <= 64),
        what,
      ).toBe(true);
    }
  });
});
