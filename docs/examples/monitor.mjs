#!/usr/bin/env node
// Who is connected to a server, and what goes through: a line for each client that comes or goes and for its traffic.
//
//   openvpn --config server.conf --management 127.0.0.1 7505 /etc/openvpn/management.pw
//   node monitor.mjs 127.0.0.1 7505 /etc/openvpn/management.pw
import { readFileSync } from 'node:fs';
import { connectManagement, parseManagementAddress, Secret } from 'pksigd/management';

const [address = '', port = 'unix', passwordFile] = process.argv.slice(2);
const password =
  passwordFile === undefined ? undefined : new Secret(readFileSync(passwordFile, 'utf8').split(/\r?\n/, 1)[0]);

const client = await connectManagement(parseManagementAddress(address, port), { password });
const names = new Map();
const { release } = await client.version();
console.log(`OpenVPN ${release}, ${await client.nclients()} clients`);

async function refresh() {
  const { clients } = await client.status(3);
  for (const { cid, commonName, realAddress, virtualAddress } of clients) {
    if (names.has(cid)) continue;
    names.set(cid, commonName);
    console.log(`${commonName} from ${realAddress} has ${virtualAddress ?? 'no address yet'}`);
  }
  for (const [cid, name] of names) {
    if (clients.some((each) => each.cid === cid)) continue;
    names.delete(cid);
    console.log(`${name} is gone`);
  }
}

await refresh();
await client.bytecount(5);
for await (const it of client) {
  if (it.type !== 'BYTECOUNT_CLI') continue;
  if (!names.has(it.cid)) await refresh();
  console.log(`${names.get(it.cid) ?? it.cid}: ${it.bytesIn} bytes in, ${it.bytesOut} out`);
}
