import { expect, test } from 'vitest';
import {
  COMMANDS,
  encodeNotification,
  LineDecoder,
  NotificationAssembler,
  parseLine,
  parseStatus,
  replyShape,
} from '../../../src/management/index.ts';
import { ReplyMatcher } from '../../../src/management/connection/reply-matcher.ts';
import { random, SECONDS, SEED } from '../../support/fuzz.ts';
import { Hangs } from '../../support/hangs.ts';

/** What daemons say, to be broken into pieces and put together wrongly. */
const CORPUS = [
  ">INFO:OpenVPN Management Interface Version 5 -- type 'help' for more info\r\n",
  'ENTER PASSWORD:',
  'SUCCESS: password is correct\r\n',
  '>HOLD:Waiting for hold release:0\r\n',
  '>PK_SIGN:r9SmREr5OhmfAALFCwkfEdp=,RSA_PKCS1_PSS_PADDING,hashalg=SHA256,saltlen=digest\r\n',
  '>CLIENT:CONNECT,0,1\r\n>CLIENT:ENV,n_clients=0\r\n>CLIENT:ENV,END\r\n',
  '>CLIENT:ADDRESS,0,10.8.0.2,1\r\n',
  '>UPDOWN:UP\r\n>UPDOWN:ENV,dev=tun0\r\n',
  ">PASSWORD:Need 'Auth' username/password SC:1,PIN\r\n",
  ">PASSWORD:Verification Failed: 'Auth' ['CRV1:R,E:x:Y3Ix:PIN']\r\n",
  '>STATE:1700000000,CONNECTED,SUCCESS,10.8.0.6,203.0.113.1,1194,,,fd00::6\r\n',
  '>INFOMSG:WEB_AUTH:proxy=[::1];8080;;,hidden:https://x/\r\n',
  ">NEED-OK:Need 'x' confirmation MSG:y\r\n",
  ">PKCS11ID-ENTRY:'1', ID:'x', BLOB:'y'\r\n",
  'TITLE\tOpenVPN\r\nTIME\tx\t1\r\nHEADER\tCLIENT_LIST\tCommon Name\r\nCLIENT_LIST\tx\r\nEND\r\n',
  'SUCCESS: pk-sign command succeeded\r\n',
  'ERROR: The pk-sig command is not currently available\r\n',
  "ERROR: unknown command [END], enter 'help' for more options\r\n",
  'OpenVPN Version: OpenVPN 2.6.14\r\nManagement Version: 5\r\nEND\r\n',
].map((text) => Buffer.from(text));

function piece(pick: (below: number) => number): Buffer {
  const one = Buffer.from(CORPUS[pick(CORPUS.length)] ?? '');
  switch (pick(9)) {
    case 0:
      return one.subarray(0, pick(one.length + 1));
    case 1:
      return one.subarray(pick(one.length + 1));
    case 2:
      one[pick(one.length)] = pick(256);
      return one;
    case 3:
      return Buffer.from(Array.from({ length: pick(64) }, () => pick(256)));
    case 4:
      return Buffer.alloc(pick(12_000), pick(256));
    case 5:
      return Buffer.concat([one, one.subarray(0, pick(one.length))]);
    default:
      return one;
  }
}

test(`decoder, assembler and replies on broken streams, for ${SECONDS} s, seed ${SEED}`, {
  timeout: SECONDS * 1000 + 300_000,
}, () => {
  const pick = random(SEED);
  const names = Object.keys(COMMANDS);
  const end = Date.now() + SECONDS * 1000;
  let streams = 0;
  let most = 0;
  const before = process.memoryUsage().heapUsed;
  using hangs = new Hangs(`the decoder, seed ${SEED}`);
  do {
    const cutAt = [100, 8191, 10_239][pick(3)] ?? 100;
    const decoder = new LineDecoder({ cutAt });
    const assembler = new NotificationAssembler();
    const queue = new ReplyMatcher();
    let out = 0;
    for (let step = pick(40); step > 0; step -= 1) {
      if (pick(3) === 0) {
        const line = `${names[pick(names.length)] ?? ''} ${['', 'all', 'on all', '3', '"'][pick(5)] ?? ''}`;
        const shape = replyShape(line, pick(8));
        const claims = pick(2) === 0 ? /pk-sig|pk-sign/ : undefined;
        const stop = queue.push({
          shape,
          says: /x/,
          claims,
          body: pick(2) === 0 ? ['a b', ''] : undefined,
          done: () => undefined,
        });
        if (pick(4) === 0) stop();
      }
      const bytes = piece(pick);
      hangs.begin(bytes);
      decoder.push(bytes, (line) => {
        if (line.kind === 'prompt') return;
        out += line.text.length;
        expect(Buffer.byteLength(line.text, 'latin1')).toBeLessThanOrEqual(cutAt);
        if (line.text.startsWith('>')) {
          assembler.push(line.text, line.kind === 'truncated', ({ notification }) => encodeNotification(notification));
        } else {
          queue.take(line.text);
          parseLine(line.text);
        }
      });
    }
    // streams end after any number of steps: what is kept of a line is never more than one
    expect(Buffer.byteLength(decoder.end() ?? '', 'latin1')).toBeLessThan(cutAt);
    assembler.end(({ notification }) => encodeNotification(notification));
    try {
      parseStatus(piece(pick).toString().split('\r\n'));
    } catch (error) {
      expect(error).toMatchObject({ code: 'ERR_MANAGEMENT_PROTOCOL' });
    }
    streams += 1;
    most = Math.max(most, out);
    // measured seldom, as it takes its time
    if (streams % 1000 === 0) expect(process.memoryUsage().heapUsed - before).toBeLessThan(512 * 1024 * 1024);
  } while (Date.now() < end);
  process.stderr.write(`fuzz: ${streams} streams, the longest gave ${most} characters, seed ${SEED}\n`);
});
