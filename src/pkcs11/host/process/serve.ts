import { readSync, writeSync } from 'node:fs';
import { encodeFrame, FrameDecoder } from '../frames.ts';
import type { HostCalls, HostRequest } from '../protocol.ts';
import { Cryptoki } from './cryptoki.ts';
import { untilDone } from './until-done.ts';

// Requests come on standard input, replies leave on descriptor 3; standard output and error are the vendor module's own,
// and end in the agent's log.
const REQUESTS = 0;
const REPLIES = 3;
function writeAll(bytes: Buffer): void {
  for (let offset = 0; offset < bytes.length; ) offset += untilDone(() => writeSync(REPLIES, bytes, offset));
}

/** Answers requests, one after the other, until there are no more. */
export async function serve(): Promise<void> {
  const cryptoki = new Cryptoki();
  const decoder = new FrameDecoder();
  const buffer = Buffer.alloc(64 * 1024);
  // deadlines of calls count from now on
  writeAll(encodeFrame({ id: 0, result: null }));
  for (;;) {
    const length = untilDone(() => readSync(REQUESTS, buffer));
    if (length === 0) return;
    const chunk = buffer.subarray(0, length);
    const frames = decoder.push(chunk);
    chunk.fill(0); // it may have been a PIN
    for (const { header, payload } of frames) {
      const { id, call, params } = header as HostRequest;
      const onLogin = (): void => {
        writeAll(encodeFrame({ id, loggedIn: true }));
      };
      const answer =
        call === 'load'
          ? await cryptoki.load(params as HostCalls['load']['params'])
          : cryptoki.call(call, params, payload, onLogin);
      const signature = 'result' in answer && Buffer.isBuffer(answer.result) ? answer.result : undefined;
      writeAll(signature ? encodeFrame({ id, result: null }, signature) : encodeFrame({ id, ...answer }));
      cryptoki.whileIdle();
    }
  }
}
