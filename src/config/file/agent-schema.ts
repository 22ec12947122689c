import * as v from 'valibot';
import { account, command, setting, words } from './checkers.ts';
import type { AgentSection } from './document.ts';
import type { Schema } from './schema-types.ts';

/** ADDRESS PORT, or PATH unix. */
const place = words(2, 2);

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
        place,
      ),
    ),
    'metrics-group': v.optional(
      setting(
        { takes: "a group's name or number", option: '--metrics-group', text: 'A group that may use its unix socket.' },
        account,
      ),
    ),
    notify: v.optional(
      setting(
        {
          takes: 'a command line for /bin/sh, or "desktop"',
          option: '--notify',
          without: 'the log alone',
          text: 'How a person is told that a token wants a touch, its PIN, or to be put in ([PIN.md](PIN.md#being-told)).',
        },
        command,
      ),
    ),
  }),
  v.metadata({ text: 'Who may ask what the agent is doing, and how a person is told what is wanted of them.' }),
);
