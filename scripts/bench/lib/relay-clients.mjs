// Clients of a relay that each send the next command when the last is answered: relay-clients.mjs SOCKET COUNT, as a fork.
import { connect } from 'node:net';

const COMMANDS = ['status', 'state on', 'log 20', 'pid', 'bytecount 5', 'log on', 'help', 'nonsense', 'log off'];

const [path, count] = process.argv.slice(2);
let replies = 0;
for (let index = 0; index < Number(count); index += 1) {
  const socket = connect(path);
  let next = index;
  const ask = () => socket.write(`${COMMANDS[next++ % COMMANDS.length]}\n`);
  socket.on('data', (chunk) => {
    if (!/^(?:END|SUCCESS|ERROR|>INFO:OpenVPN M)/m.test(chunk.toString('latin1'))) return;
    replies += 1;
    ask();
  });
}
setInterval(() => process.send({ replies }), 100);
