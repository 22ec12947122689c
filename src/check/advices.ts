import type { KeyKind } from '../signing/public-key.ts';
import { advise, withSight, type Advice, type Release, type Sight } from './advice.ts';
import type { Abilities } from './can-sign.ts';
import type { Report, Verdict } from './verdict.ts';

/** The advice for a key by what it is known to do, and by what it might do besides, which trying it would show. */
export interface Advices {
  readonly byList: Advice;
  /** The same where nothing is left to try. */
  readonly atBest: Advice;
}

export function advicesFor({ canSign, maySign }: Abilities, kind: KeyKind, release: Release, sight: Sight): Advices {
  const by = (can: typeof canSign): Advice => withSight(advise(kind, release, can), sight, kind, release);
  return { byList: by(canSign), atBest: by(maySign) };
}

/** What is left to try might change the advice. */
export function isOpen({ byList, atBest }: Advices): boolean {
  return JSON.stringify(byList) !== JSON.stringify(atBest);
}

/** Where more is not known than what the token lists. */
export const MAY_DO_MORE = "that is by what its token lists, and it may do more: 'pksigd check' with a login tries it";

/** The verdict on a fault that there may not be. */
function hedged({ what, detail, hint }: Verdict): Verdict {
  const cure = hint === undefined ? '' : `; if it does not, ${hint}`;
  return { outcome: 'warn', what, detail, hint: `${MAY_DO_MORE}${cure}` };
}

/**
 * Reports what a check finds by an advice: as a fault only what is one at best, too.
 * @param check reports one finding at most
 */
export function checkBoth(advices: Advices, check: (advice: Advice, report: Report) => void, report: Report): void {
  let atBest: Verdict | undefined;
  check(advices.atBest, (verdict) => (atBest = verdict));
  check(advices.byList, (verdict) => {
    if (atBest?.outcome === 'fail' || verdict.outcome === 'ok') report(verdict);
    else if (verdict.outcome === 'fail') report(hedged(verdict));
    // what would be better is not said of what may be right
    else report(atBest ?? verdict);
  });
}
