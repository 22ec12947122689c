// How many signatures a second when several tunnels ask without pause, and whether all of them get their share.
import { C, cAgent, PKSIGD, pksigds, VERIFYING_C } from './agents.mjs';
import { Daemon } from './daemon.mjs';
import { inTurns, mean, median, medianRatio } from './statistics.mjs';
import { allCpus } from './workshop.mjs';

const TUNNELS = [1, 8, 64];
const MOST = 64;
const THREADED_C = 'C, verifies, 2 threads';

/** A token signs RSA in parallel, so RSA gets all CPUs, and a C agent with two threads. */
const subjects = (against) => [
  {
    name: 'softhsm p256 digest, one CPU',
    subject: { home: 'softhsm', key: 'p256', data: 'digest' },
    compared: { [C]: cAgent(), [VERIFYING_C]: cAgent('--verify'), ...pksigds(against) },
    signatures: 512,
    goal: { agent: VERIFYING_C, atLeast: 0.35 },
  },
  {
    name: 'softhsm rsa2048 digest, all CPUs',
    subject: { home: 'softhsm', key: 'rsa2048', data: 'digest', cpu: allCpus() },
    compared: {
      [VERIFYING_C]: cAgent('--verify'),
      [THREADED_C]: cAgent('--verify', '--threads', '2'),
      ...pksigds(against),
    },
    signatures: 256,
    goal: { agent: THREADED_C, atLeast: 0.9 },
  },
];

export const throughput = {
  name: 'throughput',
  title: 'Many tunnels',
  says:
    'Signatures a second, beside agents in C: 1, 8 and 64 daemons are connected to one agent (`--management-client`), and ' +
    'each asks again as soon as it has its answer. More is better here.',
  keys: ['p256', 'rsa2048'],
  async measure(bench) {
    const rows = [];
    for (const one of subjects(bench.against)) {
      const found = await withPairs(bench.workshop, one, (pairs) => rates(pairs, one.signatures, bench.rounds(5)));
      for (const tunnels of TUNNELS) {
        const of = (name) => found[tunnels][name];
        const cells = Object.keys(one.compared)
          .filter((name) => name !== PKSIGD)
          .map((name) => {
            const atLeast = tunnels === MOST && name === one.goal.agent ? one.goal.atLeast : undefined;
            return [`rate, ${name}`, { value: medianRatio(of(PKSIGD), of(name)), atLeast }];
          });
        const raw = Object.fromEntries(Object.keys(one.compared).map((name) => [name, { rate: median(of(name)) }]));
        rows.push({
          what: `${one.name}, ${tunnels} ${tunnels === 1 ? 'tunnel' : 'tunnels'}`,
          cells: Object.fromEntries(cells),
          raw,
        });
        bench.say(rows.at(-1));
      }
    }
    return rows;
  },
};

export const burst = {
  name: 'burst',
  title: 'All ask at once',
  says:
    '64 tunnels ask at the same time. Ten times each: the mean wait of the slowest tunnel beside that of all. Once each: the ' +
    'last answer beside the mean one, which is 2 where one after the other is served, in whatever order.',
  keys: ['p256', 'rsa2048'],
  async measure(bench) {
    const rows = [];
    for (const one of subjects(bench.against)) {
      const found = await withPairs(bench.workshop, one, (pairs) => spreads(pairs, bench.rounds(5)));
      for (const [name, { ten, once }] of Object.entries(found)) {
        const atMost = name === PKSIGD ? 1.3 : undefined;
        const cells = { 'ten times each': { value: median(ten), atMost }, 'once each': { value: median(once) } };
        rows.push({ what: `${one.name}: ${name}`, cells });
        bench.say(rows.at(-1));
      }
    }
    return rows;
  },
};

async function withPairs(workshop, { subject, compared }, work) {
  const pairs = {};
  try {
    for (const name of Object.keys(compared)) {
      const listening = { ...subject, listen: true, connections: MOST };
      pairs[name] = await Daemon.pair(workshop, compared[name], listening);
    }
    // each connection's own first request, and a just-in-time compiler's
    for (const { daemon } of Object.values(pairs)) await daemon.run({ connections: MOST, each: 3 });
    return await work(pairs);
  } finally {
    await Promise.all(Object.values(pairs).map(({ daemon }) => daemon.stop()));
  }
}

/** Signatures a second in each round, by tunnels and agent. */
async function rates(pairs, signatures, rounds) {
  const found = {};
  for (const tunnels of TUNNELS) {
    found[tunnels] = Object.fromEntries(Object.keys(pairs).map((name) => [name, []]));
    await inTurns(Object.keys(pairs), rounds, async (name) => {
      const answers = await pairs[name].daemon.run({ connections: tunnels, each: signatures / tunnels });
      const began = Math.min(...answers.map(({ asked }) => asked));
      const ended = Math.max(...answers.map(({ answered }) => answered));
      found[tunnels][name].push((answers.length / (ended - began)) * 1e6);
    });
  }
  return found;
}

/** The slowest beside the mean, in each round. */
async function spreads(pairs, rounds) {
  const found = Object.fromEntries(Object.keys(pairs).map((name) => [name, { ten: [], once: [] }]));
  await inTurns(Object.keys(pairs), rounds, async (name) => {
    const { daemon } = pairs[name];
    const ten = await daemon.run({ connections: MOST, each: 10 });
    const waits = Array.from({ length: MOST }, (_, tunnel) => ten.filter(({ connection }) => connection === tunnel));
    found[name].ten.push(slowest(waits.map((answers) => mean(answers.map(wait)))));
    found[name].once.push(slowest((await daemon.run({ connections: MOST, each: 1 })).map(wait)));
  });
  return found;
}

function wait({ asked, answered }) {
  return answered - asked;
}

function slowest(waits) {
  return Math.max(...waits) / mean(waits);
}
