import { existsSync, readFileSync } from 'node:fs';
import { chmod } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FakeDaemon, GREETING } from '../support/fake-daemon.ts';
import { MAIN, type Pksigd } from '../support/pksigd.ts';
import { faultSetup, type FaultBed } from './setup/fault.ts';
import { run } from './setup/token-bed.ts';
import { CKF } from './support/numbers.ts';

const REQUEST = `>PK_SIGN:${Buffer.alloc(32, 7).toString('base64')},ECDSA\r\n`;

/** Speaks Assuan as pinentry does, writes down what it is told, and types the next line of a file each time. */
const PINENTRY = `#!/bin/sh
folder=\${0%/*}
echo 'OK Pleased to meet you'
while IFS= read -r line; do
  printf '%s\\n' "$line" >>"$folder/heard"
  case $line in
  GETPIN)
    typed=$(head -n 1 "$folder/typed")
    sed -i 1d "$folder/typed"
    if [ -n "$typed" ]; then printf 'D %s\\nOK\\n' "$typed"; else echo 'ERR 83886179 Operation cancelled'; fi ;;
  BYE) echo 'OK closing connection'; exit 0 ;;
  *) echo OK ;;
  esac
done
`;

describe.skipIf(faultSetup.unavailable() !== undefined)('in a window', () => {
  let bed: FaultBed;
  beforeEach(async () => {
    bed = await faultSetup.start();
  });
  afterEach(async () => {
    await bed.stop();
  });

  /** What the windows said, and the calls for what was typed. */
  const heard = (): string[] => {
    const path = bed.bench.path('heard');
    const lines = existsSync(path) ? readFileSync(path, 'utf8').split('\n') : [];
    return lines.filter((line) => /^(SETDESC|SETERROR|GETPIN)/.test(line));
  };
  const types = async (...pins: string[]): Promise<void> => {
    await bed.bench.write('typed', `${pins.join('\n')}\n`);
  };
  const refusals = async (): Promise<number> =>
    (await bed.calls('C_Login')).filter((call) => call.endsWith(' 0xa0')).length;

  async function start(...options: string[]): Promise<Pksigd> {
    const { bench } = bed;
    await chmod(await bench.write('pinentry', PINENTRY), 0o755);
    const uri = `pkcs11:token=pksigd;object=p256?module-path=${bed.modulePath}&pin-source=pinentry`;
    const management = ['--management', 'm.sock', 'unix', '--management-client'];
    const args = ['run', ...management, '--key', uri, '--control', bench.path('c.sock'), ...options];
    return await bench.pksigd(args, { env: { ...bed.moduleEnvironment, PINENTRY: bench.path('pinentry') } });
  }

  test('a PIN that was typed wrong is asked for again, and what was wrong stands there', async () => {
    await types('00000000', '00000000', bed.pin ?? '');
    await bed.fault('C_GetTokenInfo', { setFlags: CKF.COUNT_LOW });
    const pksigd = await start();
    await pksigd.message('key ready');
    const asks = "SETDESC pksigd needs the PIN of token 'pksigd' for tunnel m.sock%0AFew tries are left.";
    expect(heard()).toEqual([
      ...[asks, 'GETPIN'],
      ...[asks, expect.stringMatching(/^SETERROR Token 'pksigd' refused the PIN \(.*CKR_PIN_INCORRECT\)/), 'GETPIN'],
      ...[asks, 'SETERROR The token refused this PIN before: it was not tried again.', 'GETPIN'],
    ]);
    // the same once more is not sent
    expect(await refusals()).toBe(1);
    expect(await pksigd.stop()).toBe(0);
  });

  test('three wrong ones are enough, and one that is closed', async () => {
    await types('00000000', '11111111', '22222222', bed.pin ?? '');
    expect(await (await start()).exited).toBe(4);
    expect(await refusals()).toBe(3);
    await types('33333333', '', bed.pin ?? '');
    const closed = await start();
    expect(await closed.exited).toBe(4);
    expect(await refusals()).toBe(4);
  });

  test('a PIN that was typed wrong later is asked for again by the next request', async () => {
    const { bench } = bed;
    await types(bed.pin ?? '', '00000000', bed.pin ?? '');
    const pksigd = await start();
    await pksigd.message('key ready');
    const daemon = await FakeDaemon.open(bench.path('m.sock'));
    daemon.say(GREETING);
    await run(process.execPath, [MAIN, 'forget', '--control', bench.path('c.sock')]);
    daemon.say(REQUEST);
    await pksigd.message('failed');
    daemon.say(REQUEST);
    await pksigd.signed(1);
    expect(heard().filter((line) => line.startsWith('SETERROR'))).toEqual([
      'SETERROR What was typed last was refused.',
    ]);
    expect(await refusals()).toBe(1);
    expect(await pksigd.stop()).toBe(0);
  });
});
