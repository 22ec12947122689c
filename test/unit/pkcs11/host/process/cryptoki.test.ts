// Handles of sessions: modules give them anew. SoftHSM begins at 1 again when it is initialized, OpenSC takes the address of
// memory that the session of a pulled card has freed.
import { beforeEach, expect, test, vi } from 'vitest';
import { Cryptoki } from '../../../../../src/pkcs11/host/process/cryptoki.ts';
import type { HostCalls } from '../../../../../src/pkcs11/host/protocol.ts';

/** What the module was called for, with the slot of the session that its handle stands for. */
let calls: string[];
/** The slots of open sessions; a session's handle is its place. */
let sessions: (number | undefined)[];

vi.mock('pkcs11js', () => {
  const slotOf = (handle: Buffer, method: string): string => {
    const slot = sessions[handle[0] ?? 0];
    if (slot !== undefined) return String(slot);
    const error = Object.assign(new Error('CKR_SESSION_HANDLE_INVALID'), { code: 0xb3, method });
    error.name = 'Pkcs11Error';
    throw error;
  };
  class PKCS11 {
    load(): void {
      // nothing to load
    }
    C_Initialize(): void {
      sessions = [];
    }
    C_Finalize(): void {
      sessions = [];
    }
    C_GetSlotList(): Buffer[] {
      return [Buffer.of(1), Buffer.of(2), Buffer.of(3)];
    }
    C_GetTokenInfo(slot: Buffer): object {
      calls.push(`token in ${slot.toString('hex')}`);
      const text = `token ${slot.toString('hex')}  `;
      const about = { label: text, manufacturerID: text, model: text, serialNumber: text };
      return { ...about, flags: 0x400, minPinLen: 4, maxPinLen: 8 };
    }
    C_OpenSession(slot: Buffer): Buffer {
      const free = sessions.indexOf(undefined);
      const handle = free < 0 ? sessions.length : free;
      sessions[handle] = slot[0];
      return Buffer.of(handle);
    }
    C_CloseSession(handle: Buffer): void {
      calls.push(`close ${slotOf(handle, 'C_CloseSession')}`);
      sessions[handle[0] ?? 0] = undefined;
    }
    C_Login(handle: Buffer, _user: number, pin: string): void {
      calls.push(`login ${slotOf(handle, 'C_Login')} ${pin}`);
    }
    C_SignInit(handle: Buffer): void {
      calls.push(`sign ${slotOf(handle, 'C_SignInit')}`);
    }
    C_Sign(): Buffer {
      return Buffer.from('signature');
    }
  }
  return { default: { PKCS11 } };
});

let cryptoki: Cryptoki;

beforeEach(async () => {
  calls = [];
  sessions = [];
  cryptoki = new Cryptoki();
  await cryptoki.load({ path: '/module.so' });
});

function call<Call extends Exclude<keyof HostCalls, 'load'>>(
  name: Call,
  params: HostCalls[Call]['params'],
  payload = '',
): unknown {
  const answer = cryptoki.call(name, params, Buffer.from(payload), () => undefined);
  return 'failure' in answer ? answer.failure : answer.result;
}

const open = (slot: string): string => call('openSession', { slot }) as string;
const VOID = { kind: 'ckr', ckr: 'CKR_SESSION_HANDLE_INVALID' };

test('a session of before the module was initialized anew is no other session', () => {
  const first = open('01');
  call('reinitialize', {});
  const second = open('02');
  expect(call('login', { session: first }, 'pin of 1')).toMatchObject(VOID);
  expect(call('sign', { session: first, key: '00', mechanism: { type: 1 }, pinLength: 8 }, 'pin of 1')).toMatchObject(
    VOID,
  );
  expect(call('closeSession', { session: first })).toMatchObject(VOID);
  expect(call('login', { session: second }, 'pin of 2')).toBe(true);
  expect(calls).toEqual(['login 2 pin of 2']);
});

test('nor is one that the module has ended by itself, and whose handle it gave to another', () => {
  const first = open('01');
  sessions = [];
  const second = open('02');
  expect(call('login', { session: first }, 'pin of 1')).toMatchObject(VOID);
  expect(call('closeSession', { session: first })).toMatchObject(VOID);
  call('closeSession', { session: second });
  expect(calls).toEqual(['close 2']);
});

test('sessions that are open are told apart, and each is closed once', () => {
  const [first, second] = [open('01'), open('02')];
  for (const [session, pin] of [
    [first, 'a'],
    [second, 'b'],
  ] as const)
    call('login', { session }, pin);
  call('closeSession', { session: first });
  const third = open('03');
  expect(call('closeSession', { session: first })).toMatchObject(VOID);
  call('login', { session: third }, 'c');
  call('closeSession', { session: second });
  expect(calls).toEqual(['login 1 a', 'login 2 b', 'close 1', 'login 3 c', 'close 2']);
});

test('what the module says of a session is told as it says it', () => {
  const session = open('01');
  sessions = [];
  expect(call('login', { session }, 'pin')).toEqual({ ...VOID, code: 0xb3, function: 'C_Login' });
});

test('a look at one token asks of no other: each may take a network HSM its time', () => {
  expect(call('tokens', { slot: '02' })).toMatchObject({ tokens: [{ slot: '02', label: 'token 02' }] });
  expect(calls).toEqual(['token in 02']);
  expect(call('tokens', { slot: '09' })).toMatchObject({ tokens: [] });
  expect(call('tokens', {})).toMatchObject({ tokens: [{ slot: '01' }, { slot: '02' }, { slot: '03' }] });
});
