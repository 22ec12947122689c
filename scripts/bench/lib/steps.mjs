// What each further step costs a signature: what can be switched on, beside pksigd without it.
import { PKSIGD, pksigd } from './agents.mjs';
import { measureLatency, PAUSE } from './latency.mjs';
import { CHECKOUT } from './workshop.mjs';

/** A row each: the options that switch it on. */
const STEPS = {
  'a relay that nobody uses': (workshop) => ['--relay', workshop.fresh('relay'), 'unix'],
  'a log of all that happens (--log-level trace)': () => ['--log-level', 'trace'],
  'no log': () => ['--log-level', 'silent'],
};

export const steps = {
  name: 'steps',
  title: 'What further steps cost',
  says: 'A signature on SoftHSM, P-256, whole messages: with the step beside pksigd without it.',
  keys: ['p256'],
  async measure(bench) {
    const { workshop } = bench;
    const subject = { home: 'softhsm', key: 'p256', data: 'message' };
    const compared = { [PKSIGD]: pksigd(CHECKOUT) };
    for (const [name, flags] of Object.entries(STEPS)) compared[name] = pksigd(CHECKOUT, ...flags(workshop));
    const options = { rounds: bench.rounds(10), each: 60, pause: PAUSE };
    const found = await measureLatency(workshop, compared, subject, options);
    return Object.keys(STEPS).map((name) => {
      const { p50, p99, cpu } = found[name].to[PKSIGD];
      const row = { what: name, cells: { p50: { value: p50 }, p99: { value: p99 }, CPU: { value: cpu } } };
      bench.say(row);
      return row;
    });
  },
};
