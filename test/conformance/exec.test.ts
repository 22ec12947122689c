import { describe, expect } from 'vitest';
import { freePort, ownAddress, test, type KeyName } from '../support/bench.ts';
import { addToAgent, agentEnvironment, example, startAgent } from '../support/exec-examples.ts';
import { managementArgs } from '../support/openvpn.ts';

const cells = [
  { program: 'minimal', key: 'p256', words: 'nopadding', tls: '1.2' },
  { program: 'minimal', key: 'p384', words: 'nopadding', tls: '1.3' },
  { program: 'ssh-agent', key: 'p256', words: 'nopadding digest', tls: '1.3' },
] as const satisfies readonly { program: string; key: KeyName; words: string; tls: '1.2' | '1.3' }[];

describe.concurrent('a key behind a program completes a handshake, and another one after SIGUSR1', () => {
  test.for(cells)('$program, $key, TLS $tls, $words', async ({ program, key, words, tls }, { bench }) => {
    const isAgent = program === 'ssh-agent';
    if (isAgent) await startAgent(bench);
    const word = isAgent ? await addToAgent(bench, bench.recipe(`${key}.pem`)) : bench.recipe(`${key}.pem`);
    const server = await bench.server({ tls });
    const address = ownAddress();
    const management = { address, port: `${await freePort(address)}` };
    const client = bench.client(server, { management, externalKey: words, certificate: { file: key } });
    const args = ['run', ...managementArgs(management), '--key', `exec:${await example(bench, program)} ${word}`];
    const pksigd = await bench.pksigd(args, { env: isAgent ? agentEnvironment(bench) : {} });
    await client.connected();
    client.kill('SIGUSR1');
    await client.connected(2);
    for (const line of await pksigd.signed(2)) expect(line).toMatchObject({ mechanism: isAgent ? program : 'exec' });
    expect(await pksigd.stop()).toBe(0);
  });
});
