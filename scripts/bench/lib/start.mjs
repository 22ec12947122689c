// From the start of a process to its first signature.
import { C, cAgent, OTHER, PKSIGD, pksigds } from './agents.mjs';
import { Daemon, timeOf } from './daemon.mjs';
import { inTurns, median, medianRatio } from './statistics.mjs';

const BARE = 'node -e 0';
const GOALS = { file: 2.2, softhsm: 3.8 };

export const start = {
  name: 'start',
  title: 'Start to first signature',
  says:
    'The daemon is there and asks as soon as the agent connects. Beside `node -e 0` from start to end, and beside an agent ' +
    'in C (which does not verify).',
  keys: ['p256'],
  async measure(bench) {
    const { workshop, against } = bench;
    const compared = { [C]: cAgent(), ...pksigds(against) };
    const jobs = { [BARE]: () => timeOf(workshop, [workshop.node, '-e', '0']) };
    for (const home of Object.keys(GOALS)) {
      const subject = { home, key: 'p256', data: 'digest' };
      for (const [name, agent] of Object.entries(compared))
        jobs[`${home} ${name}`] = () => Daemon.firstSignature(workshop, agent, subject);
    }
    const found = Object.fromEntries(Object.keys(jobs).map((name) => [name, []]));
    for (const job of Object.values(jobs)) await job(); // files come from memory from now on
    await inTurns(Object.keys(jobs), bench.rounds(9), async (name) => found[name].push(await jobs[name]()));
    return Object.entries(GOALS).map(([home, atMost]) => {
      const mine = found[`${home} ${PKSIGD}`];
      const to = (name) => ({ value: medianRatio(mine, found[name]) });
      const other = against === undefined ? {} : { [OTHER]: to(`${home} ${OTHER}`) };
      const cells = { [BARE]: { ...to(BARE), atMost }, [C]: to(`${home} ${C}`), ...other };
      const raw = { [BARE]: median(found[BARE]), [PKSIGD]: median(mine), [C]: median(found[`${home} ${C}`]) };
      const row = { what: `${home} p256 digest`, cells, raw };
      bench.say(row);
      return row;
    });
  },
};
