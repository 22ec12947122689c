import * as v from 'valibot';
import { AGE_TAKES, ageOf, SIZE_TAKES, sizeOf } from '../amounts.ts';
import { AUDIT_FAILURE_ACTIONS, AUDIT_SYNCS } from '../settings.ts';
import { setting, text } from './checkers.ts';
import type { AuditSection } from './document.ts';
import type { Schema } from './schema-types.ts';

const amount = (amountOf: typeof sizeOf) =>
  v.pipe(
    v.string(),
    v.check((text) => amountOf(text) !== undefined),
  );

export const AUDIT: Schema<AuditSection> = v.pipe(
  v.object({
    file: v.optional(
      setting(
        {
          takes: 'the path of a file',
          option: '--audit',
          path: 'path',
          without: 'nothing is written down',
          text: 'Where all requests and signatures are written down ([AUDIT.md](AUDIT.md)).',
        },
        text,
      ),
    ),
    sync: v.optional(
      setting(
        {
          takes: AUDIT_SYNCS.join(', '),
          option: '--audit-sync',
          without: 'each',
          text: 'When an entry must be on the disk: before its signature leaves, or within a second.',
        },
        v.picklist(AUDIT_SYNCS),
      ),
    ),
    'on-failure': v.optional(
      setting(
        {
          takes: AUDIT_FAILURE_ACTIONS.join(', '),
          option: '--audit-on-failure',
          without: 'refuse',
          text: 'What becomes of requests while the log can not be written: refused, or signed and counted.',
        },
        v.picklist(AUDIT_FAILURE_ACTIONS),
      ),
    ),
    'rotate-size': v.optional(
      setting(
        {
          takes: `${SIZE_TAKES}, in quotes`,
          option: '--audit-rotate-size',
          without: 'never',
          text: 'Size at which a further file is begun.',
        },
        amount(sizeOf),
      ),
    ),
    'rotate-age': v.optional(
      setting(
        {
          takes: `${AGE_TAKES}, in quotes`,
          option: '--audit-rotate-age',
          without: 'never',
          text: 'Age at which a further file is begun.',
        },
        amount(ageOf),
      ),
    ),
  }),
  v.metadata({
    text: 'The log of all requests and signatures. Another `file` goes on from the last entry of the one before.',
  }),
);
