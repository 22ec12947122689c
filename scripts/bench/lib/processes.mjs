// What Linux says of processes.
import { readdirSync, readFileSync } from 'node:fs';

/** A process and all that come of it. */
export function treeOf(root) {
  const parents = new Map(
    readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map((name) => [Number(name), parentOf(name)]),
  );
  const tree = [root];
  for (const pid of tree) for (const [child, parent] of parents) if (parent === pid) tree.push(child);
  return tree;
}

function parentOf(pid) {
  try {
    // behind the name in brackets, which may have anything in it: the state, the parent
    const [, parent] = /.*\) \S (\d+)/s.exec(readFileSync(`/proc/${pid}/stat`, 'latin1'));
    return Number(parent);
  } catch {
    return undefined; // it has just ended
  }
}

/** Resident memory, in bytes. */
export function residentOf(pid) {
  const [, kilobytes] = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'));
  return Number(kilobytes) * 1024;
}
