import * as v from 'valibot';
import { readWords } from '../../management/index.ts';
import type { AgentSection } from './document.ts';
import type { About, Schema } from './schema-types.ts';

function setting<const Checked extends v.GenericSchema>(about: About, schema: Checked) {
  return v.pipe(schema, v.metadata({ ...about }));
}

const account = v.union([
  v.pipe(v.string(), v.nonEmpty()),
  v.pipe(v.number(), v.safeInteger(), v.minValue(0), v.transform(String)),
]);
/** ADDRESS PORT, or PATH unix. */
const words = v.pipe(
  v.string(),
  v.transform((line) => readWords(line)),
  v.check((found) => Array.isArray(found) && found.length === 2),
  v.transform((found) => found as readonly string[]),
);

export const AGENT: Schema<AgentSection> = v.pipe(
  v.object({
    control: v.optional(
      setting(
        {
          takes: 'the absolute path of a unix socket, or "none"',
          option: '--control',
          without: '`control.sock` in `$RUNTIME_DIRECTORY` or `$XDG_RUNTIME_DIR/pksigd`',
          text: 'Where `pksigd status` and its like reach this agent ([STATUS.md](STATUS.md)).',
        },
        v.pipe(v.string(), v.regex(/^(none|\/.+)$/)),
      ),
    ),
    'control-group': v.optional(
      setting(
        { takes: "a group's name or number", option: '--control-group', text: 'A group that may use it too.' },
        account,
      ),
    ),
    metrics: v.optional(
      setting(
        {
          takes: 'an address in one string: "127.0.0.1 PORT" or "SOCKET unix"',
          option: '--metrics',
          path: 'words',
          text: 'Where metrics and health are served over HTTP ([METRICS.md](METRICS.md)).',
        },
        words,
      ),
    ),
    'metrics-group': v.optional(
      setting(
        { takes: "a group's name or number", option: '--metrics-group', text: 'A group that may use its unix socket.' },
        account,
      ),
    ),
  }),
  v.metadata({ text: 'Who may ask what the agent is doing.' }),
);
