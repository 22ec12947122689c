import type { KeyReport, StatusReport, TokenReport, TunnelReport } from '../status/report.ts';
import { TROUBLE_TEXTS } from '../telemetry/trouble-lines.ts';
import { printable } from '../telemetry/printable.ts';
import { coloured, type Style } from './colours.ts';

/** How it looks on a terminal where something is wrong. */
const ALARM: Style = ['bold', 'red'];

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** How long that is, in its two largest units. */
function duration(milliseconds: number): string {
  const past = Math.max(0, milliseconds);
  if (past < MINUTE) return `${Math.floor(past / SECOND)}s`;
  if (past < HOUR) return `${Math.floor(past / MINUTE)}m`;
  if (past < DAY) return `${Math.floor(past / HOUR)}h${Math.floor((past % HOUR) / MINUTE)}m`;
  return `${Math.floor(past / DAY)}d${Math.floor((past % DAY) / HOUR)}h`;
}

/** Rows under a heading, in columns; undefined without rows. */
function table(heading: readonly string[], rows: readonly (readonly string[])[]): string | undefined {
  if (rows.length === 0) return undefined;
  const lines = [heading, ...rows.map((row) => row.map(printable))];
  const widths = heading.map((_, column) => Math.max(...lines.map((line) => (line[column] ?? '').length)));
  return lines
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

class Sections {
  readonly #report: StatusReport;
  readonly #now: number;
  readonly #keys: ReadonlyMap<string, KeyReport>;

  constructor(report: StatusReport) {
    this.#report = report;
    this.#now = Date.parse(report.now);
    this.#keys = new Map(report.keys.map((key) => [key.name, key]));
  }

  #ago(time: string): string {
    return duration(this.#now - Date.parse(time));
  }

  head(): string {
    const { release, pid, startedAt, locked, tunnels } = this.#report;
    const connected = tunnels.filter((tunnel) => tunnel.connected).length;
    const parts = [
      `pksigd ${release}, process ${pid}, up ${this.#ago(startedAt)}`,
      `${connected} of ${tunnels.length} tunnel${tunnels.length === 1 ? '' : 's'} connected`,
      ...(locked ? ['LOCKED: every request is refused'] : []),
    ];
    return printable(parts.join('; ')).replace('LOCKED', (word) => coloured(ALARM, word));
  }

  /** What the daemon is doing, as far as it is known. */
  #daemon({ served, failure, connected, held, daemon }: TunnelReport): string {
    if (failure) return 'failed';
    if (!served) return 'ended';
    if (!connected) return 'not connected';
    if (held) return 'held';
    return daemon?.state ?? 'connected';
  }

  #certificateEnd(key: KeyReport | undefined): string {
    const end = key?.certificate?.validTo;
    if (end === undefined || end === null) return '-';
    const left = Date.parse(end) - this.#now;
    const day = end.slice(0, 10);
    return left < 0 ? `${day} EXPIRED` : `${day} (${Math.floor(left / DAY)}d)`;
  }

  #tunnelRow(tunnel: TunnelReport): string[] {
    const { name, since, key, lastRequest: last, counts } = tunnel;
    const outcome = last && (last.outcome === 'signed' ? (last.scheme ?? '') : `${last.outcome} ${last.code ?? ''}`);
    const took = last?.durationMs === null || last === null ? '' : `, ${Math.round(last.durationMs)} ms`;
    return [
      name,
      this.#daemon(tunnel),
      this.#ago(since),
      key ?? '-',
      last ? `${this.#ago(last.at)} ago: ${outcome?.trim() ?? ''}${took}` : 'none',
      [counts.signed, counts.refused, counts.failed, counts.dropped].join('/'),
      this.#certificateEnd(this.#keys.get(key ?? '')),
    ];
  }

  tunnels(): string | undefined {
    const heading = [
      'TUNNEL',
      'DAEMON',
      'SINCE',
      'KEY',
      'LAST REQUEST',
      'SIGNED/REFUSED/FAILED/DROPPED',
      'CERTIFICATE ENDS',
    ];
    return table(
      heading,
      this.#report.tunnels.map((tunnel) => this.#tunnelRow(tunnel)),
    );
  }

  /** A line for each tunnel that something is wrong with, and for each key that waits to be opened. */
  troubles(): string | undefined {
    const waiting = this.#report.keys.flatMap(({ name, state, error, since }) =>
      state === 'waiting' ? [`key ${name}: ${error ?? 'not open'} (tried again for ${this.#ago(since)})`] : [],
    );
    const ofTunnels = this.#report.tunnels.flatMap(({ name, trouble, failure }) => {
      if (failure) return [`${name}: ${failure.error}`];
      if (!trouble || trouble.over) return [];
      // another release may know others
      const text = (TROUBLE_TEXTS[trouble.kind] as { readonly text: string } | undefined)?.text ?? trouble.kind;
      const why = trouble.error === null ? '' : `: ${trouble.error}`;
      return [`${name}: ${text}${why} (for ${this.#ago(trouble.since)})`];
    });
    const lines = [...ofTunnels, ...waiting];
    return lines.length === 0 ? undefined : [coloured(ALARM, 'TROUBLE'), ...lines.map(printable)].join('\n');
  }

  keys(): string | undefined {
    const rows = this.#report.keys.map(({ name, state, key, certificate, copies, error }) => {
      const works = copies.filter((copy) => copy.works).length;
      const of = copies.length > 1 ? `, ${works} of ${copies.length} copies work` : '';
      return [name, `${state}${of}`, error ?? key ?? '-', certificate?.subject ?? '-'];
    });
    return table(['KEY', 'STATE', 'WHICH', 'CERTIFICATE'], rows);
  }

  #tokenRow({ label, present, since, loggedIn, pin, removals, error }: TokenReport): string[] {
    const state = present ? (loggedIn ? 'logged in' : 'logged out') : 'AWAY';
    return [label, state, this.#ago(since), pin ?? 'not known', String(removals), error ?? ''];
  }

  tokens(): string | undefined {
    const rows = this.#report.tokens.map((token) => this.#tokenRow(token));
    return table(['TOKEN', 'STATE', 'SINCE', 'PIN TRIES', 'REMOVALS', ''], rows);
  }

  hosts(): string | undefined {
    const rows = this.#report.hosts.map(({ module, pids, restarts, lastEnd }) => [
      module,
      pids.length === 0 ? 'not running' : pids.join(' '),
      String(restarts),
      restarts > 0 && lastEnd ? `${this.#ago(lastEnd.at)} ago: ${lastEnd.reason}` : '',
    ]);
    return table(['MODULE', 'PROCESS', 'RESTARTS', ''], rows);
  }

  relays(): string | undefined {
    const rows = this.#report.relays.map(({ address, rights, count, clients }) => [
      address,
      rights,
      String(count),
      clients.join(' '),
    ]);
    return table(['RELAY', 'RIGHTS', 'CLIENTS', ''], rows);
  }
}

/** The audit log: a line. */
function auditText({ audit }: StatusReport): string | undefined {
  // an agent of an earlier release has none
  if (!audit) return undefined;
  const { file, sequence, error, lostEntries, lostSignatures } = audit;
  const lost = `${lostEntries} entries lost, ${lostSignatures} signatures without one`;
  const parts = [`AUDIT ${file}: ${error === null ? `${sequence} entries` : `CAN NOT BE WRITTEN: ${error}`}`];
  return printable([...parts, ...(lostEntries > 0 ? [lost] : [])].join('; '));
}

/** A status for people. */
export function statusText(report: StatusReport): string {
  const sections = new Sections(report);
  const parts = [
    sections.head(),
    sections.tunnels(),
    sections.troubles(),
    sections.keys(),
    sections.tokens(),
    sections.hosts(),
    sections.relays(),
    auditText(report),
  ];
  return `${parts.filter((part) => part !== undefined).join('\n\n')}\n`;
}
