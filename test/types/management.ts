// Compiled by tsc with all the rest, never run: what the types of pksigd/management promise.
import { expectTypeOf } from 'vitest';
import {
  connectManagement,
  type DaemonStatus,
  listenManagement,
  type ManagementAddress,
  type ManagementClient,
  type Notification,
  type NotificationOf,
  type Reply,
  type StateEntry,
} from '../../src/management/index.ts';
import { Secret } from '../../src/secret.ts';

export async function api(address: ManagementAddress, client: ManagementClient): Promise<void> {
  expectTypeOf<Awaited<ReturnType<typeof connectManagement>>>().toEqualTypeOf<ManagementClient>();
  await connectManagement({ kind: 'tcp', host: '::1', port: 1 }, { password: new Secret('x'), clientVersion: 3 });
  // @ts-expect-error -- a password in clear text would be printed by whoever logs the options
  await connectManagement(address, { password: 'x' });
  // @ts-expect-error -- a unix socket has no port
  await connectManagement({ kind: 'unix', path: 'x', port: 1 });
  // @ts-expect-error -- a mode is for those that listen
  await connectManagement(address, { mode: 0o600 });

  // notifications narrow by their type
  client.on('HOLD', (it) => {
    expectTypeOf(it.waitSeconds).toEqualTypeOf<number | undefined>();
  });
  client.on('PK_SIGN', (it, lines) => {
    expectTypeOf(it).toEqualTypeOf<NotificationOf<'PK_SIGN'>>();
    expectTypeOf(it.type).toEqualTypeOf<'PK_SIGN'>();
    expectTypeOf(lines).toEqualTypeOf<readonly string[]>();
    // @ts-expect-error -- what came can't be changed
    it.data = '';
  });
  client.on('*', (it) => {
    expectTypeOf(it).toEqualTypeOf<Notification>();
  });
  // @ts-expect-error -- no such notification
  client.on('PKSIGN', () => undefined);
  expectTypeOf<Awaited<ReturnType<typeof client.next<'RSA_SIGN'>>>['algorithm']>().toEqualTypeOf<string | undefined>();

  for await (const it of client) {
    if (it.type === 'CLIENT' && it.mode === 'CONNECT') await client.clientAuthNt(it.cid, it.kid);
    // a client that is gone has no key to authorise
    if (it.type === 'CLIENT' && it.mode === 'DISCONNECT') expectTypeOf(it).not.toHaveProperty('kid');
    if (it.type === 'PASSWORD' && it.form === 'auth-token') expectTypeOf(it.token).toEqualTypeOf<Secret>();
    if (it.type === 'STATE') expectTypeOf(it.remotePort).toEqualTypeOf<StateEntry['remotePort']>();
    // not every notification has one
    expectTypeOf(it).not.toHaveProperty('text');
  }

  // replies are parsed
  expectTypeOf<Awaited<ReturnType<ManagementClient['pid']>>>().toEqualTypeOf<number>();
  expectTypeOf<Awaited<ReturnType<ManagementClient['state']>>>().toEqualTypeOf<StateEntry | undefined>();
  expectTypeOf<Awaited<ReturnType<ManagementClient['status']>>>().toEqualTypeOf<DaemonStatus>();
  expectTypeOf<Awaited<ReturnType<ManagementClient['raw']>>>().toEqualTypeOf<Reply>();
  const status = await client.status();
  if (status.kind === 'server') expectTypeOf<(typeof status.clients)[number]['commonName']>().toEqualTypeOf<string>();
  // as the monitor in docs/examples does, without asking what the daemon is
  const { clients } = await client.status(3);
  for (const { cid, commonName } of clients) {
    expectTypeOf(cid).toEqualTypeOf<number | undefined>();
    expectTypeOf(commonName).toEqualTypeOf<string>();
  }
  expectTypeOf(status.counters['TUN/TAP read bytes']).toEqualTypeOf<number | undefined>();
  expectTypeOf(status.complete).toEqualTypeOf<boolean>();
  // @ts-expect-error -- formats are 1, 2 and 3
  await client.status(4);
  // @ts-expect-error -- a daemon knows four signals
  await client.signal('SIGKILL');
  // @ts-expect-error -- no signature is null, not forgotten
  await client.pkSig();
  await client.pkSig(null, { signal: AbortSignal.timeout(1), timeout: 0 });
  // @ts-expect-error -- HTTP needs a host
  await client.proxy({ type: 'HTTP' });
  await client.proxy({ type: 'NONE' });

  await using listener = await listenManagement(address, { mode: 0o660 });
  for await (const each of listener) expectTypeOf(each).toEqualTypeOf<ManagementClient>();

  // every notification has a type, and a switch over them can be exhaustive
  const types = (it: Notification): string => {
    switch (it.type) {
      case 'BYTECOUNT':
      case 'BYTECOUNT_CLI':
      case 'CLIENT':
      case 'ECHO':
      case 'FATAL':
      case 'HOLD':
      case 'INFO':
      case 'INFOMSG':
      case 'LOG':
      case 'NEED-OK':
      case 'NEED-STR':
      case 'NEED-CERTIFICATE':
      case 'NOTIFY':
      case 'PASSWORD':
      case 'PK_SIGN':
      case 'RSA_SIGN':
      case 'PKCS11ID-COUNT':
      case 'PKCS11ID-ENTRY':
      case 'PROXY':
      case 'REMOTE':
      case 'STATE':
      case 'UPDOWN':
      case 'UNKNOWN':
      case 'TRUNCATED':
      case 'STRAY':
        return it.type;
    }
  };
  types({ type: 'FATAL', text: '' });
}
