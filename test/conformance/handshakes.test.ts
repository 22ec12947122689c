import { describe, expect } from 'vitest';
import { freePort, KEYS, ownAddress, test } from '../support/bench.ts';
import { managementArgs } from '../support/openvpn.ts';

const cells = KEYS.flatMap((key) =>
  (['file', 'SoftHSM'] as const).flatMap((home) =>
    (['1.2', '1.3'] as const).flatMap((tls) =>
      ['nopadding pkcs1 pss', 'nopadding pkcs1 pss digest'].map((externalKey) => ({ key, home, tls, externalKey })),
    ),
  ),
);

describe.concurrent('every kind of key, from file and token, completes a handshake', () => {
  test.for(cells)('$key from $home, TLS $tls, $externalKey', async ({ key, home, tls, externalKey }, { bench }) => {
    const server = await bench.server({ tls });
    const address = ownAddress();
    const management = { address, port: `${await freePort(address)}` };
    const client = bench.client(server, { management, externalKey, certificate: { file: key } });
    const pksigd = await bench.pksigd(['run', ...managementArgs(management), '--key', bench.key(key, home)]);
    await client.connected();
    const signed = await pksigd.message('signed');
    // EdDSA has no other form than the whole message
    const whole = key.startsWith('ed') || externalKey.endsWith(' digest');
    expect(String(signed['scheme']).endsWith(',data=message')).toBe(whole);
    expect(signed['durationMs']).toBeTypeOf('number');
  });
});
