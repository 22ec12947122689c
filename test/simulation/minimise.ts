import type { Mishap, Plan } from './plan.ts';

/** Whether a world in which only these mishaps come fails in the same way. */
export type Fails = (plan: Plan) => Promise<boolean>;

function without<Item>(items: readonly Item[], from: number, count: number): Item[] {
  return items.filter((_, index) => index < from || index >= from + count);
}

/** Leaves mishaps out, half of them, then fewer at a time, as long as the world still fails (Zeller's ddmin, the simple half). */
export async function minimise(plan: Plan, fails: Fails): Promise<Plan> {
  let mishaps: readonly Mishap[] = plan.mishaps;
  for (let size = Math.ceil(mishaps.length / 2); size > 0; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let from = 0; from < mishaps.length; ) {
      const fewer = without(mishaps, from, size);
      if (await fails({ ...plan, mishaps: fewer })) mishaps = fewer;
      else from += size;
    }
  }
  return { ...plan, mishaps };
}
