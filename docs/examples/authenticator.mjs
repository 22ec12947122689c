#!/usr/bin/env node
// Lets clients into a server: username and password first, then a code that the client's user is asked for.
//
//   openvpn --config server.conf --management /run/openvpn/server.sock unix --management-client-auth
//   node authenticator.mjs /run/openvpn/server.sock unix
import { connectManagement, parseManagementAddress } from 'pksigd/management';

// for the example alone: ask your directory, and compare in constant time
const users = new Map([['alice', { password: 'open sesame', code: '123456', routes: ['10.1.0.0 255.255.0.0'] }]]);

const [address = '', port = 'unix'] = process.argv.slice(2);
const server = await connectManagement(parseManagementAddress(address, port));
const pending = new Map();

/** A client that connects, or renegotiates: its answer is due within the server's hand-window. */
async function decide({ mode, cid, kid, env }) {
  const user = users.get(env['username']);
  if (user === undefined || user.password !== env['password']) {
    console.log(`${env['username']} from ${env['untrusted_ip']}: refused`);
    return server.clientDeny(cid, kid, 'wrong username or password', 'Wrong username or password');
  }
  // who is connected already gave the code when connecting
  if (mode === 'REAUTH') return server.clientAuthNt(cid, kid);
  if (!(env['IV_SSO'] ?? '').split(',').includes('crtext')) {
    return server.clientDeny(cid, kid, 'no crtext', 'This server asks for a code: use a client that can');
  }
  pending.set(cid, user);
  await server.clientPendingAuth(cid, kid, { kind: 'CR_TEXT', echo: false, responseRequired: true, text: 'Code:' }, 60);
}

/** What the user answered. */
async function check({ cid, kid, response, env }) {
  const user = pending.get(cid);
  pending.delete(cid);
  const right = user !== undefined && Buffer.from(response, 'base64').toString() === user.code;
  console.log(`${env['username']}: ${right ? 'let in' : 'wrong code'}`);
  if (!right) return server.clientDeny(cid, kid, 'wrong code', 'Wrong code');
  await server.clientAuth(
    cid,
    kid,
    user.routes.map((route) => `push "route ${route}"`),
  );
}

for await (const it of server) {
  if (it.type !== 'CLIENT') continue;
  try {
    if (it.mode === 'CONNECT' || it.mode === 'REAUTH') await decide(it);
    if (it.mode === 'CR_RESPONSE') await check(it);
    if (it.mode === 'DISCONNECT') pending.delete(it.cid);
  } catch (error) {
    // a client that is gone by now can't be let in: no reason to leave the others alone
    if (error.code !== 'ERR_MANAGEMENT_COMMAND') throw error;
    console.log(error.message);
  }
}
