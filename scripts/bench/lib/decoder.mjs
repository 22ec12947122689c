// The decoder of the management interface, beside splitting alone.
import { execFile } from 'node:child_process';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { OTHER, PKSIGD } from './agents.mjs';
import { inTurns, medianRatio } from './statistics.mjs';
import { CHECKOUT } from './workshop.mjs';

const CHILD = join(import.meta.dirname, 'decoder-child.mjs');

export const decoder = {
  name: 'decoder',
  title: 'Reading the management interface',
  says:
    'How long the decoder takes for a stream of lines, and with notifications as data, beside splitting the same bytes at line ' +
    'ends and nothing else; and for the table of `status 3` beside splitting it into its cells.',
  keys: [],
  async measure(bench) {
    const { workshop, against } = bench;
    const checkouts = { [PKSIGD]: CHECKOUT, ...(against === undefined ? {} : { [OTHER]: resolve(against) }) };
    const found = Object.fromEntries(Object.keys(checkouts).map((name) => [name, []]));
    await inTurns(Object.keys(checkouts), bench.rounds(3), async (name) => {
      const words = ['-c', workshop.cpu, ...workshop.ahead, workshop.node, CHILD, checkouts[name]];
      const { stdout } = await promisify(execFile)('taskset', words, { env: workshop.env });
      found[name].push(JSON.parse(stdout));
    });
    return Object.keys(found[PKSIGD][0]).map((what) => {
      const times = (name) => found[name].map((round) => round[what]);
      const split = times(PKSIGD).map((time) => time.split);
      const to = (kind) => ({ value: medianRatio(kindOf(times(PKSIGD), kind), split) });
      const cells = { decoded: to('decode') };
      if (times(PKSIGD)[0].parse !== undefined) cells['with notifications'] = to('parse');
      if (against !== undefined) {
        const [mine, others] = [PKSIGD, OTHER].map((name) => kindOf(times(name), 'decode'));
        cells[`decoded, ${OTHER}`] = { value: medianRatio(mine, others) };
      }
      const row = { what, cells };
      bench.say(row);
      return row;
    });
  },
};

function kindOf(times, kind) {
  return times.map((time) => time[kind]);
}
