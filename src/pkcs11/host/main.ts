// The module host: a process that loads one PKCS#11 module for the agent and dies with it. Requests come on standard
// input, replies leave on descriptor 3; standard output and error are the vendor module's own, and end in the agent's log.
import { readSync, writeSync } from 'node:fs';
import { encodeFrame, FrameDecoder } from '../frames.ts';
import type { HostRequest } from '../protocol.ts';
import { Cryptoki } from './cryptoki.ts';

const REQUESTS = 0;
const REPLIES = 3;

// A terminal's Ctrl-C and systemd's stop reach every process of the group: the agent must be able to finish the request
// at hand. The end of our input is what ends us.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);

function writeAll(bytes: Buffer): void {
  for (let offset = 0; offset < bytes.length; ) offset += writeSync(REPLIES, bytes, offset);
}

const cryptoki = new Cryptoki();
const decoder = new FrameDecoder();
const buffer = Buffer.alloc(64 * 1024);
// deadlines of calls count from now on
writeAll(encodeFrame({ id: 0, result: null }));
for (;;) {
  const length = readSync(REQUESTS, buffer);
  if (length === 0) break;
  const chunk = buffer.subarray(0, length);
  const frames = decoder.push(chunk);
  chunk.fill(0); // it may have been a PIN
  for (const { header, payload } of frames) {
    const { id, call, params } = header as HostRequest;
    const answer = await cryptoki.call(call, params, payload, () => {
      writeAll(encodeFrame({ id, loggedIn: true }));
    });
    const signature = 'result' in answer && Buffer.isBuffer(answer.result) ? answer.result : undefined;
    writeAll(signature ? encodeFrame({ id, result: null }, signature) : encodeFrame({ id, ...answer }));
  }
}
// no C_Finalize here: modules are known to hang in it. An agent that has the time asks for it, with a deadline
process.exit(0);
