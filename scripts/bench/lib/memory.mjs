// What an agent holds and does while nothing happens.
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { pksigds } from './agents.mjs';
import { Daemon } from './daemon.mjs';
import { residentOf, treeOf } from './processes.mjs';
import { median } from './statistics.mjs';

const BARE = "require('node:net').createServer().listen(process.argv[1], () => console.log('listening'))";
const IDLE_SECONDS = 4;
const MANY = 1000;

export const memory = {
  name: 'memory',
  title: 'At rest',
  says:
    'Resident memory of the agent’s own process after its first signature, beside a bare Node that listens on a socket; the ' +
    'process that a token’s module lives in beside the same; kilobytes for each further daemon of one agent ' +
    '(`--management-client`), and the share of a CPU that all of it takes while nobody asks.',
  keys: ['p256'],
  async measure(bench) {
    const { workshop, against } = bench;
    const bare = await repeated(bench, () => bareNode(workshop));
    const rows = [];
    const say = (row) => {
      rows.push(row);
      bench.say(row);
    };
    for (const [name, agent] of Object.entries(pksigds(against))) {
      for (const home of ['file', 'softhsm']) {
        const subject = { home, key: 'p256', data: 'digest' };
        const found = await repeated(bench, () => residentAtRest(workshop, agent, subject));
        const of = (what) => median(found.map((one) => one[what]));
        const cells = { 'agent, bare Node': { value: of('agent') / median(bare), atMost: 1.25 } };
        if (home === 'softhsm') cells['module’s process, bare Node'] = { value: of('host') / median(bare) };
        say({ what: `${name}: ${home} p256, one daemon`, cells, raw: { bare: median(bare), agent: of('agent') } });
      }
      const one = await manyTunnels(workshop, agent, 1);
      for (const tunnels of [MANY, ...(bench.tunnels > MANY ? [bench.tunnels] : [])]) {
        const many = await manyTunnels(workshop, agent, tunnels);
        const kilobytes = (many.resident - one.resident) / (tunnels - 1) / 1024;
        const cells = {
          'KB a daemon': { value: kilobytes, atMost: tunnels === MANY ? 10 : undefined },
          '% CPU': { value: many.cpu * 100, atMost: 0 },
        };
        say({ what: `${name}: file p256, ${tunnels} daemons`, cells });
      }
    }
    return rows;
  },
};

async function repeated(bench, work) {
  const found = [];
  for (let round = 0; round < bench.rounds(3); round += 1) found.push(await work());
  return found;
}

async function bareNode(workshop) {
  const words = [workshop.node, '-e', BARE, workshop.fresh('socket')];
  const child = workshop.start(words, { stdio: ['ignore', 'pipe'] });
  await once(child.stdout, 'data');
  await sleep(1000);
  const resident = residentOf(child.pid);
  await workshop.stop(child);
  return resident;
}

async function residentAtRest(workshop, agent, subject) {
  const pair = await Daemon.pair(workshop, agent, subject);
  await pair.daemon.run({ each: 1 });
  await sleep(1000);
  const [own, ...others] = treeOf(pair.agent.pid).map(residentOf);
  await pair.daemon.stop();
  return { agent: own, host: Math.max(0, ...others) };
}

async function manyTunnels(workshop, agent, tunnels) {
  const subject = { home: 'file', key: 'p256', data: 'digest', listen: true, connections: tunnels };
  const pair = await Daemon.pair(workshop, agent, subject);
  await sleep(2000);
  const resident = residentOf(pair.agent.pid);
  const before = await pair.daemon.cpu();
  await sleep(IDLE_SECONDS * 1000);
  const cpu = ((await pair.daemon.cpu()) - before) / (IDLE_SECONDS * 1e6);
  await pair.daemon.stop();
  return { resident, cpu };
}
