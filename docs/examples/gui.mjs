#!/usr/bin/env node
// The management side of a client's GUI, with a terminal in place of windows: lets the daemon go, asks the user for
// what the daemon asks for, shows where the tunnel stands.
//
//   openvpn --config client.ovpn --management /run/openvpn/client.sock unix \
//     --management-hold --management-query-passwords --auth-retry interact
//   node gui.mjs /run/openvpn/client.sock unix
import { createInterface } from 'node:readline/promises';
import {
  concatenatedResponse,
  connectManagement,
  dynamicChallengeOf,
  dynamicChallengeResponse,
  parseManagementAddress,
  staticChallengeResponse,
} from 'pksigd/management';

const [address = '', port = 'unix'] = process.argv.slice(2);
const user = createInterface({ input: process.stdin });
const answers = user[Symbol.asyncIterator]();
// a real one shows a window; and it doesn't echo passwords
const ask = async (question) => {
  console.log(question);
  return (await answers.next()).value ?? '';
};

const client = await connectManagement(parseManagementAddress(address, port), { connectTimeout: 5000 });
// what the last refusal asked for, to be answered with the next password
let challenge;

/** Answers `>PASSWORD:Need …`, with whatever challenge goes with it. */
async function logIn({ name, wants, staticChallenge }) {
  if (challenge !== undefined) {
    const answer = dynamicChallengeResponse(challenge, await ask(challenge.text));
    await client.username(name, challenge.username);
    challenge = undefined;
    return client.password(name, answer);
  }
  if (wants !== 'password') await client.username(name, await ask(`Username for ${name}:`));
  if (wants === 'username') return;
  let password = await ask(`Password for ${name}:`);
  if (staticChallenge !== undefined) {
    const response = await ask(staticChallenge.text);
    password = (staticChallenge.concat ? concatenatedResponse : staticChallengeResponse)(password, response);
  }
  await client.password(name, password);
}

/** Shows what the server wants done while authentication is pending. */
async function authenticateFurther(message) {
  if (message.kind === 'WEB_AUTH' || message.kind === 'OPEN_URL') console.log(`Open ${message.url} to go on`);
  if (message.kind === 'CR_TEXT') await client.crResponse(await ask(message.text));
}

const work = async () => {
  // the stream keeps what comes meanwhile: none of the daemon's questions is missed
  const notifications = client.notifications();
  await client.stateNotifications(true);
  for await (const it of notifications) {
    switch (it.type) {
      case 'HOLD':
        await client.holdRelease();
        break;
      case 'PASSWORD':
        if (it.form === 'need') await logIn(it);
        if (it.form === 'failed') {
          challenge = dynamicChallengeOf(it);
          if (challenge === undefined) console.log(`Refused: ${it.reason ?? it.name}`);
        }
        break;
      case 'NEED-OK':
        await client.needOk(it.name, (await ask(`${it.text} (ok, cancel)`)) === 'ok' ? 'ok' : 'cancel');
        break;
      case 'INFOMSG':
        await authenticateFurther(it.message);
        break;
      case 'STATE':
        console.log(it.name, it.detail ?? '', it.tunIPv4 ?? '');
        break;
      case 'FATAL':
        console.log(`OpenVPN ends: ${it.text}`);
        break;
    }
  }
};
await work();
process.exit();
