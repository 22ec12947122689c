import { createHash, createPublicKey, generateKeyPairSync } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { Entry } from '../../../../src/audit/entry.ts';
import type { WriteOptions, Written } from '../../../../src/agent/audit/audit-log.ts';
import { type Asking, type EntryWriter, RequestRecord } from '../../../../src/agent/audit/request-record.ts';

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

const publicKey = createPublicKey(generateKeyPairSync('ed25519').privateKey);
const DATA = Buffer.from('what is signed');
const KNOWN = { publicKey, scheme: 'ED25519', context: { tls: '1.3', server: 'vpn', verified: true } };
const ASKING: Asking = {
  tunnel: 'office',
  daemon: () => ({ pid: 12, user: 1000 }),
  data: DATA.toString('base64'),
};
/** What each entry says of a request of which all is known. */
const ABOUT = {
  ...{
    tunnel: 'office',
    daemon: { pid: 12, user: 1000 },
    key: sha256(publicKey.export({ format: 'der', type: 'spki' })),
  },
  ...{ scheme: 'ED25519', data: sha256(DATA), context: KNOWN.context },
};
/** And of one of which nothing is. */
const NOTHING = { ...ABOUT, key: null, scheme: null, data: null, context: null };

/** Where entries are kept; each write is over when the test says so. */
class Writer implements EntryWriter {
  isFailing = false;
  log = 'one';
  readonly written: { entry: Entry; options: WriteOptions | undefined; settle: (error?: Error) => void }[] = [];

  write(make: (log: string) => Entry, options?: WriteOptions): Written {
    let settle: (error?: Error) => void = () => undefined;
    const done = new Promise<void>((resolve, reject) => {
      settle = (error) => {
        if (error) reject(error);
        else resolve();
      };
    });
    done.catch(() => undefined);
    this.written.push({ entry: make(this.log), options, settle });
    return { seq: 10 * this.written.length, log: this.log, done };
  }

  get entries(): Entry[] {
    return this.written.map(({ entry }) => entry);
  }
}

const isOver = async (done: Promise<unknown> | undefined): Promise<boolean> =>
  await Promise.race([Promise.resolve(done).then(() => true), new Promise<false>((end) => setImmediate(end, false))]);

describe('a request whose key is asked', () => {
  test('is written as accepted, and nobody waits for that', () => {
    const writer = new Writer();
    expect(new RequestRecord(ASKING, writer).accepted(KNOWN)).toBeUndefined();
    expect(writer.entries).toEqual([{ type: 'request', ...ABOUT, verdict: 'accepted', code: null, duration: null }]);
    expect(writer.written[0]?.options).toBeUndefined();
  });

  test('waits for that where the log could not be written last', async () => {
    const writer = new Writer();
    writer.isFailing = true;
    const done = new RequestRecord(ASKING, writer).accepted(KNOWN);
    expect(await isOver(done)).toBe(false);
    writer.written[0]?.settle(new Error('the disk is full'));
    await expect(done).rejects.toThrow('the disk is full');
  });

  test('is written with its signature, which leaves behind both entries', async () => {
    const writer = new Writer();
    const record = new RequestRecord(ASKING, writer);
    void record.accepted(KNOWN);
    const done = record.signed(KNOWN, Buffer.from('a signature'), 7);
    expect(writer.entries[1]).toEqual({
      ...{ type: 'outcome', of: 10, ...ABOUT, outcome: 'signed', code: null },
      ...{ signature: sha256(Buffer.from('a signature')), duration: 7 },
    });
    expect(writer.written[1]?.options).toEqual({ isSignature: true });
    writer.written[1]?.settle();
    expect(await isOver(done)).toBe(false);
    writer.written[0]?.settle();
    await done;
  });

  test('keeps a signature whose first entry could not be written', async () => {
    const writer = new Writer();
    const record = new RequestRecord(ASKING, writer);
    void record.accepted(KNOWN);
    const done = record.signed(KNOWN, Buffer.from('a signature'), 7);
    writer.written[1]?.settle();
    writer.written[0]?.settle(new Error('the disk is full'));
    await expect(done).rejects.toThrow('the disk is full');
  });

  test('may be signed without that first entry', async () => {
    const writer = new Writer();
    const done = new RequestRecord(ASKING, writer).signed(KNOWN, Buffer.from('a signature'), 7);
    writer.written[0]?.settle();
    await done;
    expect(writer.entries[0]).toMatchObject({ type: 'outcome', of: null, outcome: 'signed' });
  });

  test('has its place in its own log alone', async () => {
    const writer = new Writer();
    const record = new RequestRecord(ASKING, writer);
    void record.accepted(KNOWN);
    writer.log = 'two';
    const done = record.signed(KNOWN, Buffer.from('a signature'), 7);
    for (const { settle } of writer.written) settle();
    await done;
    expect(writer.entries[1]).toMatchObject({ type: 'outcome', of: null });
  });

  test.each([
    [
      { outcome: 'refused', code: 'ERR_LOCKED', durationMs: 3 } as const,
      { outcome: 'failed', code: 'ERR_LOCKED', duration: 3 },
    ],
    [{ outcome: 'failed', code: undefined, durationMs: 0 } as const, { outcome: 'failed', code: null, duration: 0 }],
    [{ outcome: 'dropped', durationMs: undefined } as const, { outcome: 'dropped', code: null, duration: null }],
  ])('that ends as %j', (ended, came) => {
    const writer = new Writer();
    const record = new RequestRecord(ASKING, writer);
    void record.accepted(KNOWN);
    record.ended(KNOWN, ended);
    expect(writer.entries[1]).toEqual({ type: 'outcome', of: 10, ...ABOUT, signature: null, ...came });
  });
});

test.each([
  [
    { outcome: 'refused', code: 'ERR_LOCKED', durationMs: 3 } as const,
    { verdict: 'refused', code: 'ERR_LOCKED', duration: 3 },
  ],
  [
    { outcome: 'failed', code: undefined, durationMs: undefined } as const,
    { verdict: 'failed', code: null, duration: null },
  ],
  [{ outcome: 'dropped', durationMs: 5 } as const, { verdict: 'dropped', code: null, duration: 5 }],
])('a request whose key is not asked, that ends as %j', (ended, came) => {
  const writer = new Writer();
  new RequestRecord({ ...ASKING, data: undefined }, writer).ended({}, ended);
  expect(writer.entries).toEqual([{ type: 'request', ...NOTHING, ...came }]);
});

test('what is known by the end is written at the end', () => {
  const writer = new Writer();
  const daemons = [
    { pid: null, user: null },
    { pid: 12, user: 1000 },
  ];
  const record = new RequestRecord({ ...ASKING, daemon: () => daemons.shift() ?? { pid: 0, user: 0 } }, writer);
  void record.accepted({});
  record.ended(KNOWN, { outcome: 'failed', code: 'ERR_KEY_TIMEOUT', durationMs: 1 });
  expect(writer.entries[0]).toMatchObject({
    daemon: { pid: null, user: null },
    key: null,
    scheme: null,
    context: null,
  });
  expect(writer.entries[1]).toMatchObject(ABOUT);
});
