import { type Command, InvalidArgumentError, Option } from 'commander';
import { OUTCOMES } from '../audit/entry.ts';
import { AUDIT_FAILURE_ACTIONS, AUDIT_SYNCS } from '../config/settings.ts';
import type { AuditKeyFlags, AuditShowFlags, AuditVerifyFlags } from './audit-command.ts';

/** The options of `run` about the audit log. */
export function withAuditOptions(command: Command): Command {
  return command
    .optionsGroup('Audit log:')
    .option('--audit <file>', 'write all requests and signatures down in this file')
    .addOption(
      new Option(
        '--audit-sync <when>',
        'when an entry is on the disk: before its signature leaves (each), or within a second (default: each)',
      ).choices(AUDIT_SYNCS),
    )
    .addOption(
      new Option(
        '--audit-on-failure <action>',
        'what becomes of requests while the log can not be written (default: refuse)',
      ).choices(AUDIT_FAILURE_ACTIONS),
    )
    .option('--audit-rotate-size <size>', 'begin a further file at this size: 64M (default: never)')
    .option('--audit-rotate-age <age>', 'begin a further file at this age: 7d (default: never)');
}

function stateDirectoryOption(): Option {
  return new Option('--state-directory <path>', "the agent's (default: $STATE_DIRECTORY, or ~/.local/state/pksigd)");
}

/** Date.parse finds a date in nearly everything: `yesterday 1` is in 2001, and the 30th of February in March. */
function timeIn(text: string): number {
  const [, day] = /^(\d{4}-\d\d-\d\d)(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?(?:Z|[+-]\d\d:\d\d)?)?$/.exec(text) ?? [];
  const time = day === undefined ? Number.NaN : Date.parse(text);
  const isThere = !Number.isNaN(time) && new Date(`${day}T00:00Z`).toISOString().startsWith(`${day}T`);
  return isThere ? time : Number.NaN;
}

function dateOption(name: string, description: string): Option {
  return new Option(`--${name} <time>`, description).argParser((text) => {
    const time = timeIn(text);
    if (Number.isNaN(time)) throw new InvalidArgumentError('give a time such as 2026-11-28 or 2026-11-28T13:00:00Z.');
    return new Date(time);
  });
}

/** `pksigd audit` and what it can do. */
export function addAuditCommands(program: Command): void {
  const auditing = program.command('audit').description('look at the log that run --audit writes');
  const audited = (name: string, description: string): Command => auditing.command(name).description(description);
  audited('verify', 'find what was changed, dropped, inserted, moved or cut off, and say where')
    .argument('<file...>', "the log's files, in any order")
    .addOption(
      new Option(
        '--key <file>',
        "what audit key printed: the log's checkpoints must be signed by it (default: the state directory's); several may be",
      ).argParser((path, paths: readonly string[] | undefined) => [...(paths ?? []), path]),
    )
    .addOption(stateDirectoryOption())
    .option('--json', 'print one JSON document')
    .action(async (files: string[], flags: AuditVerifyFlags) => {
      const { auditVerify } = await import('./audit-command.ts');
      await auditVerify(files, flags);
    });
  audited('show', 'list requests, and what became of them')
    .argument('<file...>', "the log's files, in any order")
    .option('--tunnel <name>', 'of this tunnel')
    .option('--key <fingerprint>', 'for the key whose fingerprint begins so: SHA-256 of its public key, in hex')
    .addOption(new Option('--outcome <outcome>', 'that ended so').choices(OUTCOMES))
    .addOption(
      dateOption(
        'since',
        'at that time or later: 2026-11-28 (from midnight, UTC), or 2026-11-28T13:00:00Z (local time without the Z)',
      ),
    )
    .addOption(dateOption('until', 'before that time'))
    .option('--json', 'print the entries as they are, one a line')
    .action(async (files: string[], flags: AuditShowFlags) => {
      const { auditShow } = await import('./audit-command.ts');
      await auditShow(files, flags);
    });
  audited('key', "print the public half of the key that signs the agent's checkpoints")
    .addOption(stateDirectoryOption())
    .action(async (flags: AuditKeyFlags) => {
      const { auditKey } = await import('./audit-command.ts');
      await auditKey(flags);
    });
}
