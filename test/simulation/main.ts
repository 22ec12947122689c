// What is run of the simulation, in a bundle of its own: see docs/SIMULATION.md.
import { minimise } from './minimise.ts';
import { type Plan, planOf } from './plan.ts';
import { type Outcome, World } from './world.ts';

export type { Outcome, Plan };
export { planOf };

/** Runs a world. @param isLogged keeps what happens, a line each */
export async function runPlan(plan: Plan, isLogged = false): Promise<Outcome> {
  return await new World(plan, isLogged).run();
}

/** Of what did not hold, the first, without numbers: what stays the same where fewer mishaps come. */
function kindOf({ violations: [first = ''] }: Outcome): string {
  return first
    .replace(/^(?:tunnel|visitor|token )\S*/, '')
    .replaceAll(/\d+/g, '#')
    .slice(0, 60);
}

/** The same world with as few mishaps as it takes to fail in the same way. */
export async function minimised(plan: Plan): Promise<Plan> {
  const kind = kindOf(await runPlan(plan));
  return await minimise(plan, async (fewer) => kindOf(await runPlan(fewer)) === kind);
}

/** What happened, for a person to read. */
export function story(plan: Plan, { lines, violations, events }: Outcome): string {
  const { mishaps, ...world } = plan;
  return [
    `seed ${plan.seed}: ${JSON.stringify(world)}`,
    ...lines,
    `${mishaps.length} mishaps, ${events} events; ${violations.length === 0 ? 'all held' : 'did not hold:'}`,
    ...violations,
    '',
  ].join('\n');
}
