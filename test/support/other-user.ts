import { spawnSync } from 'node:child_process';
import { Child } from './child.ts';

/** A user who is neither root nor whoever runs the tests: `nobody`. */
export const OTHER_USER = 65_534;

const AS_OTHER = [`--reuid=${OTHER_USER}`, `--regid=${OTHER_USER}`, '--clear-groups', process.execPath];

/** Only root can start processes of other users; and util-linux's setpriv must be there. */
export const canBeOther: boolean =
  process.getuid?.() === 0 && spawnSync('setpriv', [...AS_OTHER, '-e', '']).status === 0;
if (!canBeOther)
  console.warn('left out: tests with a second user, which need root, setpriv and a node that all can run');

/** A script in a process of the other user; what comes on its stdin it may use as it likes. */
function asOther(script: string): Child {
  return new Child('other user', 'setpriv', [...AS_OTHER, '-e', script], { interactive: true });
}

/** Says `text` to each of `count` connections, and prints what comes, `+` for connections and `-` for their ends. */
export function otherConnects(address: string | { host: string; port: number }, text: string, count = 1): Child {
  return asOther(`
    const net = require('node:net');
    let left = ${count};
    for (let at = 0; at < ${count}; at += 1) {
      const socket = net.connect(${JSON.stringify(typeof address === 'string' ? { path: address } : address)}, () => {
        socket.write(${JSON.stringify(text)});
      });
      socket.on('data', (data) => console.log('got ' + JSON.stringify(data.toString())));
      socket.on('error', (error) => console.log('error ' + error.code));
      socket.on('close', () => { left -= 1; if (left === 0) console.log('all closed'); });
    }`);
}

/** Listens, says `text` to whoever comes and prints what they say. */
export function otherListens(address: string | { host: string; port: number }, text: string): Child {
  return asOther(`
    const net = require('node:net');
    const server = net.createServer((socket) => {
      console.log('connected');
      socket.on('error', () => undefined);
      socket.on('data', (data) => console.log('got ' + JSON.stringify(data.toString())));
      socket.write(${JSON.stringify(text)});
    });
    server.listen(${JSON.stringify(typeof address === 'string' ? { path: address } : address)}, () => console.log('listening'));`);
}
