// What each further step costs a signature: what can be switched on, beside pksigd without it.
import { PKSIGD, pksigd } from './agents.mjs';
import { measureLatency, PAUSE } from './latency.mjs';
import { CHECKOUT } from './workshop.mjs';

const AUDIT = {
  'an audit log, --audit-sync each': (workshop) => ['--audit', workshop.fresh('audit')],
  'an audit log, --audit-sync interval': (workshop) => ['--audit', workshop.fresh('audit'), '--audit-sync', 'interval'],
};

const POLICY = {
  'messages are not looked into (--context off)': () => ['--context', 'off'],
  'a rate (--rate)': () => ['--rate', '1000000'],
};

/** For each key: a row each, and the options that switch it on. */
const STEPS = {
  p256: {
    'a relay that nobody uses': (workshop) => ['--relay', workshop.fresh('relay'), 'unix'],
    'a log of all that happens (--log-level trace)': () => ['--log-level', 'trace'],
    'no log': () => ['--log-level', 'silent'],
    ...POLICY,
    ...AUDIT,
  },
  rsa2048: { ...POLICY, ...AUDIT },
};

export const steps = {
  name: 'steps',
  title: 'What further steps cost',
  says: 'A signature on SoftHSM, whole messages, P-256 where no key is named: with the step beside pksigd without it.',
  keys: Object.keys(STEPS),
  async measure(bench) {
    const { workshop } = bench;
    const rows = [];
    for (const [key, ofKey] of Object.entries(STEPS)) {
      const compared = { [PKSIGD]: pksigd(CHECKOUT) };
      for (const [name, flags] of Object.entries(ofKey)) compared[name] = pksigd(CHECKOUT, ...flags(workshop));
      const options = { rounds: bench.rounds(10), each: 60, pause: PAUSE };
      const found = await measureLatency(workshop, compared, { home: 'softhsm', key, data: 'message' }, options);
      for (const name of Object.keys(ofKey)) {
        const { p50, p99, cpu } = found[name].to[PKSIGD];
        const what = key === 'p256' ? name : `${name}, ${key}`;
        const row = { what, cells: { p50: { value: p50 }, p99: { value: p99 }, CPU: { value: cpu } } };
        bench.say(row);
        rows.push(row);
      }
    }
    return rows;
  },
};
