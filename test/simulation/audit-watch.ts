// What the audit log must say at any moment, and after any end.
import { createHash, createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { Verifier } from '../../src/audit/verifier.ts';
import { disk } from './disk.ts';
import { kernel } from './kernel.ts';
import type { AuditPlan } from './plan.ts';
import type { SignRequest } from './request.ts';

export const AUDIT_FOLDER = '/var/log/pksigd';
export const STATE_FOLDER = '/var/lib/pksigd';

interface Left {
  readonly tunnel: string;
  readonly signature: string;
  readonly isDurable: boolean;
}

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

/** Names of the files of the logs, oldest first. */
function filesOf(log: string): string[] {
  const numbered = disk()
    .list(AUDIT_FOLDER)
    .filter((name) => name.startsWith(`${log}.`));
  // one that the power left before its first line is empty, and stays so if another log is written then
  return [...numbered, log].map((name) => `${AUDIT_FOLDER}/${name}`).filter((path) => disk().read(path)?.length);
}

/** What a file says in its first entry. */
function firstOf(path: string, what: RegExp): string {
  return what.exec(disk().read(path)?.toString('latin1') ?? '')?.[1] ?? '';
}

function groupBy<Item>(items: readonly Item[], nameOf: (item: Item) => string): Map<string, Item[]> {
  const groups = new Map<string, Item[]>();
  for (const item of items) groups.set(nameOf(item), [...(groups.get(nameOf(item)) ?? []), item]);
  return groups;
}

export class AuditWatch {
  readonly #plan: AuditPlan | undefined;
  /** Signatures that left. */
  readonly #left: Left[] = [];
  /** The log could not be written: what leaves meanwhile is counted, not named. */
  isFailing = false;
  /** What left meanwhile; a daemon that takes nothing gets it later. */
  readonly #unnamed = new Set<string>();

  constructor(plan: AuditPlan | undefined) {
    this.#plan = plan;
  }

  /** The agent has sent a signature. */
  sent(signature: Buffer): void {
    if (this.isFailing) this.#unnamed.add(sha256(signature));
  }

  /** A daemon has got a signature. @param logs those that were written, of which any may have it: it may have come late */
  left(tunnel: string, { dataHash }: SignRequest, signature: Buffer, logs: readonly string[]): void {
    if (!this.#plan) return;
    const { sync, onFailure } = this.#plan;
    const hash = sha256(signature);
    if ((this.isFailing || this.#unnamed.has(hash)) && onFailure === 'continue') return;
    const isDurable = sync === 'each';
    const isWritten = logs.flatMap(filesOf).some((path) => {
      const inode = disk().get(path, 'open');
      const content = isDurable ? inode.durable : inode.data;
      return content.includes(hash) && content.includes(dataHash);
    });
    if (!isWritten) kernel().violate(`${tunnel}: a signature left, and the audit log does not have it`);
    this.#left.push({ tunnel, signature: hash, isDurable });
  }

  /** Between two runs of the agent, and at the end. @param isWhole it has ended in good order */
  check(logs: readonly string[], isPowerLost: boolean): void {
    if (!this.#plan) return;
    const all = Buffer.concat(logs.flatMap(filesOf).map((path) => disk().read(path) ?? Buffer.alloc(0)));
    for (const { tunnel, signature, isDurable } of this.#left) {
      if (isPowerLost && !isDurable) continue;
      if (!all.includes(signature)) kernel().violate(`${tunnel}: the audit log has lost a signature`);
    }
    if (isPowerLost)
      for (let at = this.#left.length - 1; at >= 0; at -= 1) if (!this.#left[at]?.isDurable) this.#left.splice(at, 1);
  }

  /** The chain, at the very end. */
  verify(logs: readonly string[]): void {
    const pem = disk().read(`${STATE_FOLDER}/audit-key.pem`);
    if (!this.#plan || !pem) return;
    const keys = [createPublicKey(createPrivateKey(pem))];
    // one that the state directory could not be told of is another log than the one that was begun next
    const logsOf = groupBy(logs.flatMap(filesOf), (path) => firstOf(path, /"log":"(\w+)"/));
    for (const paths of logsOf.values()) this.#verifyOne(paths, keys);
  }

  #verifyOne(paths: readonly string[], keys: readonly KeyObject[]): void {
    kernel().count('audit log verified');
    const verifier = new Verifier({ keys });
    const numberOf = (path: string): number => Number(firstOf(path, /"seq":(\d+)/));
    for (const path of paths.toSorted((one, other) => numberOf(one) - numberOf(other))) {
      verifier.beginFile(path);
      verifier.push(disk().read(path) ?? Buffer.alloc(0));
      verifier.endFile();
    }
    for (const { file, line, text } of verifier.finish().faults)
      kernel().violate(`audit verify: ${file}:${line}: ${text}`);
  }
}
