// How long one signature takes.
import { C, VERIFYING_C } from './agents.mjs';
import { Daemon } from './daemon.mjs';
import { isAsked, Requests } from './requests.mjs';
import { median, medianRatio, percentile } from './statistics.mjs';

/** Signatures a round: slow ones are fewer. */
const EACH = { p256: 100, ed25519: 100, rsa2048: 50, rsa4096: 20 };
const WARM_UP = 150;

/** What is measured: where the key is, which, and what the daemon sends. */
export const SUBJECTS = ['softhsm', 'file'].flatMap((home) =>
  Object.entries(EACH).flatMap(([key, each]) =>
    ['digest', 'message']
      .filter((data) => isAsked(key, data))
      .map((data) => ({ name: `${home} ${key} ${data}`, home, key, data, each })),
  ),
);

/** Times in microseconds by the agent's name, and ratios to the agents in C. */
export async function measureLatency(workshop, agents, subject, { rounds, each, pause }) {
  const pairs = [];
  try {
    for (const [name, start] of Object.entries(agents)) pairs.push(await pair(workshop, name, start, subject));
    for (const { daemon } of pairs) await daemon.run({ each: WARM_UP });
    for (let round = 0; round < rounds; round += 1) {
      // who is first changes
      const turn = round % pairs.length;
      for (const one of [...pairs.slice(turn), ...pairs.slice(0, turn)]) await measure(one, { each, pause });
    }
  } finally {
    await Promise.all(pairs.flatMap(({ agent, daemon }) => [workshop.stop(agent), daemon.stop()]));
  }
  return resultsOf(Object.fromEntries(pairs.map(({ name, rounds: found }) => [name, found])));
}

async function pair(workshop, name, start, subject) {
  const socket = workshop.fresh('daemon');
  const daemon = new Daemon(workshop, new Requests(workshop, subject), { socket });
  await daemon.listening();
  const agent = start(workshop, { ...subject, socket });
  await daemon.ready(agent);
  return { name, agent, daemon, rounds: [] };
}

async function measure({ daemon, rounds }, { each, pause }) {
  const before = await daemon.cpu();
  const answers = await daemon.run({ each, pause });
  const cpu = ((await daemon.cpu()) - before) / each;
  rounds.push({ times: answers.map(({ asked, answered }) => answered - asked), cpu });
}

function resultsOf(found) {
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
    to: Object.fromEntries([C, VERIFYING_C].map((base) => [base, to(name, base)])),
  });
  return Object.fromEntries(Object.keys(found).map((name) => [name, result(name)]));
}
