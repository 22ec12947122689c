import { ServerRule } from '../agent/policy/server.ts';
import { failure, type Report } from '../check/verdict.ts';
import type { PolicySettings } from '../config/settings.ts';

/** Whether what a key's policy names can be read, as `run` insists on: nothing is said where it can. */
export async function checkPolicy(policy: PolicySettings | undefined, report: Report): Promise<void> {
  try {
    if (policy) await ServerRule.open(policy);
  } catch (error) {
    report(failure('policy', error));
  }
}
