// How long one signature takes, from the request's line to the answer's end.
import { agents, C, OTHER, PKSIGD, VERIFYING_C } from './agents.mjs';
import { Daemon } from './daemon.mjs';
import { isAsked } from './requests.mjs';
import { inTurns, median, medianRatio, percentile } from './statistics.mjs';

/** Signatures a round: slow ones are fewer. */
const EACH = { p256: 60, ed25519: 60, rsa2048: 40, rsa4096: 20 };
/** Requests until a just-in-time compiler has seen it all, as far as they are quick. */
const WARM_UP = { p256: 1500, ed25519: 1500, rsa2048: 800, rsa4096: 300 };
/** Microseconds: a daemon doesn't ask again at once. */
export const PAUSE = 2000;

/** What is measured: where the key is, which, and what the daemon sends. */
export const SUBJECTS = ['softhsm', 'file'].flatMap((home) =>
  Object.entries(EACH).flatMap(([key, each]) =>
    ['digest', 'message']
      .filter((data) => isAsked(key, data))
      .map((data) => ({ name: `${home} ${key} ${data}`, home, key, data, each })),
  ),
);

const GOALS = {
  'softhsm p256 digest': 3,
  'softhsm p256 message': 2.5,
  'softhsm rsa2048 digest': 1.4,
  'softhsm rsa4096 digest': 1.15,
  'file p256 message': 2.2,
  'file p256 digest': 3.5,
  'file rsa2048 digest': 1.5,
};

export const latency = {
  name: 'latency',
  title: 'One signature',
  says:
    'From the request’s line to the answer’s end, each beside the agent in C. A daemon asks, waits for the answer, pauses ' +
    'for two milliseconds and asks again. CPU is user and system time of all processes of the agent.',
  keys: Object.keys(EACH),
  async measure(bench) {
    const rows = [];
    for (const subject of SUBJECTS) {
      const { each } = subject;
      const options = { rounds: bench.rounds(15), each, pause: PAUSE };
      const found = await measureLatency(bench.workshop, agents(bench.against), subject, options);
      rows.push({ what: subject.name, cells: cellsOf(found, GOALS[subject.name]), raw: rawOf(found) });
      bench.say(rows.at(-1));
    }
    return rows;
  },
};

function cellsOf({ [PKSIGD]: { to }, ...others }, goal) {
  return {
    'p50, C verifies': { value: to[VERIFYING_C].p50, atMost: goal },
    'p99, C verifies': { value: to[VERIFYING_C].p99, atMost: 3 },
    'CPU, C verifies': { value: to[VERIFYING_C].cpu },
    'p50, C': { value: to[C].p50 },
    'p99, C': { value: to[C].p99 },
    'CPU, C': { value: to[C].cpu },
    ...(others[OTHER] && {
      'p50, other pksigd': { value: to[OTHER].p50 },
      'CPU, other pksigd': { value: to[OTHER].cpu },
    }),
  };
}

function rawOf(found) {
  const microseconds = ({ p50, p90, p99, cpu }) => ({ p50, p90, p99, cpu });
  return Object.fromEntries(Object.entries(found).map(([name, one]) => [name, microseconds(one)]));
}

/** Times in microseconds by the agent's name, and ratios to the other agents. */
export async function measureLatency(workshop, compared, subject, { rounds, each, pause }) {
  const pairs = {};
  const found = Object.fromEntries(Object.keys(compared).map((name) => [name, []]));
  try {
    for (const name of Object.keys(compared)) pairs[name] = await Daemon.pair(workshop, compared[name], subject);
    for (const { daemon } of Object.values(pairs)) await daemon.run({ each: WARM_UP[subject.key] });
    await inTurns(Object.keys(compared), rounds, async (name) => {
      const { daemon } = pairs[name];
      const before = await daemon.cpu();
      const answers = await daemon.run({ each, pause });
      const cpu = ((await daemon.cpu()) - before) / each;
      found[name].push({ times: answers.map(({ asked, answered }) => answered - asked), cpu });
    });
  } finally {
    await Promise.all(Object.values(pairs).map(({ daemon }) => daemon.stop()));
  }
  return resultsOf(found);
}

function resultsOf(found) {
  const names = Object.keys(found);
  const p50 = (name) => found[name].map(({ times }) => median(times));
  const cpu = (name) => found[name].map((round) => round.cpu);
  const all = (name, share) =>
    percentile(
      found[name].flatMap(({ times }) => times),
      share,
    );
  const to = (name, base) => ({
    p50: medianRatio(p50(name), p50(base)),
    p99: all(name, 0.99) / all(base, 0.99),
    cpu: medianRatio(cpu(name), cpu(base)),
  });
  const result = (name) => ({
    p50: all(name, 0.5),
    p90: all(name, 0.9),
    p99: all(name, 0.99),
    cpu: median(cpu(name)),
    to: Object.fromEntries(names.map((base) => [base, to(name, base)])),
  });
  return Object.fromEntries(names.map((name) => [name, result(name)]));
}
