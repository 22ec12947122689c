import { expect, test } from 'vitest';
import { FakeDaemon, GREETING } from '../support/fake-daemon.ts';
import { faultSetup } from './setup/fault.ts';

const REQUEST = `>PK_SIGN:${Buffer.alloc(32, 7).toString('base64')},ECDSA\r\n`;

test.skipIf(faultSetup.unavailable() !== undefined)(
  'a deadline that a reload shortens holds for the next call',
  async () => {
    const bed = await faultSetup.start();
    try {
      const { bench } = bed;
      const uri = `pkcs11:token=pksigd;object=p256?module-path=${bed.modulePath}&pin-source=${bed.pinFile}`;
      const tunnel = '[tunnel.a]\nmanagement = "a.sock unix"\nmanagement-client = true\n';
      const text = (deadline: number): string =>
        `[token]\ndeadline = ${deadline}\nmodule-hosts = 1\n[key.k]\nkey = "${uri}"\n${tunnel}`;
      const config = await bench.write('p.toml', text(3600));
      const pksigd = await bench.pksigd(['run', '--config', config], { env: { ...bed.moduleEnvironment } });
      await pksigd.message('key ready');
      const daemon = await FakeDaemon.open(bench.path('a.sock'));
      daemon.say(GREETING);
      const logins = (await bed.calls('C_Login')).length;
      await bench.write('p.toml', text(1));
      pksigd.kill('SIGHUP');
      await pksigd.message('reloaded: 0 added, 0 changed, 0 removed');
      expect(await bed.calls('C_Login')).toHaveLength(logins);
      await bed.fault('C_Sign', { hang: true, times: 1 });
      daemon.say(REQUEST);
      // an hour, if the first one held
      await pksigd.logged(/ERR_MODULE_TIMEOUT|ERR_KEY_TIMEOUT/);
      await pksigd.stop();
    } finally {
      await bed.stop();
    }
  },
);
