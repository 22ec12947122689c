import { describe, expect, test } from 'vitest';
import { FakeListener, GREETING } from '../support/fake-daemon.ts';
import { Pksigd } from '../support/pksigd.ts';
import { faultSetup, type FaultBed } from './setup/fault.ts';
import { withBed } from './support/beds.ts';
import { CKR } from './support/numbers.ts';
import { TokenTunnel } from './support/tunnel.ts';

const WAITS = 'the key could not be opened: it is tried again';
const OVER = 'the key could be opened';
const READY = 'key ready';

/** A daemon whose key is in a file, so that the agent lives whatever becomes of the token's. */
async function other(bed: FaultBed): Promise<FakeListener> {
  const listener = await FakeListener.start(bed.bench.path('other.sock'));
  void listener.next().then((daemon) => {
    daemon.say(GREETING);
  });
  return listener;
}

/** `pksigd run` for two tunnels, of which one has its key in the token. */
async function start(bed: FaultBed, [address = '']: readonly string[], pinFile = bed.pinFile): Promise<Pksigd> {
  const { bench } = bed;
  const uri = TokenTunnel.uri(bed, bed.key('p256')).replace(bed.pinFile, pinFile);
  const config = await bench.write(
    'pksigd.toml',
    [
      ...['[log]', 'level = "debug"'],
      ...['[token]', 'deadline = 60'],
      ...['[key.card]', `key = "${uri}"`, '[key.file]', `key = "${bench.recipe('p256.pem')}"`],
      ...['[tunnel.office]', `management = "${address} unix"`, 'key = "card"'],
      ...['[tunnel.other]', `management = "${bench.path('other.sock')} unix"`, 'key = "file"'],
      '',
    ].join('\n'),
  );
  return bench.adopt(new Pksigd(bench.folder, ['run', '--config', config], undefined, { env: bed.moduleEnvironment }));
}

describe.skipIf(faultSetup.unavailable() !== undefined).concurrent('a start while another tunnel is served', () => {
  test.each([
    ['says CKR_GENERAL_ERROR', 'C_Initialize', { rv: CKR.GENERAL_ERROR }],
    ['crashes', 'C_OpenSession', { crash: true }],
  ] as const)('of a module that %s: its tunnel is served as soon as that is over', async (_, call, fault) => {
    await withBed(faultSetup, async (bed) => {
      await bed.fault(call, fault);
      const listener = await other(bed);
      const management = { address: bed.bench.path('office.sock'), port: 'unix' };
      const server = await bed.bench.server({ proto: 'tcp', args: [] });
      const client = bed.bench.client(server, { management, certificate: { file: 'p256' }, args: [] });
      const pksigd = await start(bed, [management.address]);
      await pksigd.message(WAITS);
      await pksigd.message('the daemon is held');
      expect(await bed.logins()).toBe(0);
      await bed.heal();
      await client.connected();
      const said = pksigd.log.map(({ msg }) => String(msg)).filter((msg) => [WAITS, OVER, READY].includes(msg));
      expect(said.filter((msg) => msg === READY)).toHaveLength(2);
      expect(said.slice(-2)).toEqual([OVER, READY]);
      expect(pksigd.messages('the tunnel is not served')).toEqual([]);
      expect(await bed.logins()).toBe(1);
      await client.stop();
      await server.stop();
      expect(await pksigd.stop()).toBe(0);
      await listener.stop();
    });
  });

  test('with a wrong PIN: one login, and it waits for nothing', async () => {
    await withBed(faultSetup, async (bed) => {
      const listener = await other(bed);
      const pinFile = await bed.bench.write('wrong.pin', '999999\n');
      const pksigd = await start(bed, [bed.bench.path('nobody.sock')], pinFile);
      expect(await pksigd.message('the tunnel is not served')).toMatchObject({ code: 'ERR_PIN_INCORRECT' });
      expect(pksigd.messages(WAITS)).toEqual([]);
      expect(await bed.logins()).toBe(1);
      await pksigd.stop();
      await listener.stop();
    });
  });
});
