import { ServerRule } from '../agent/policy/server.ts';
import { type Surroundings, secretsSurroundings } from '../agent/surroundings.ts';
import { failure, type Report } from '../check/verdict.ts';
import { groupId } from '../config/account-id.ts';
import type { MonitorFlags } from '../config/monitor-flags.ts';
import { managementPassword, mayReadPasswordUnasked } from '../config/secrets.ts';
import type { PolicySettings, RelaySettings } from '../config/settings.ts';
import { formatManagementAddress } from '../management/index.ts';

async function reportFault(what: string, report: Report, work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch (error) {
    report(failure(what, error));
  }
}

/** Whether what a key's policy names can be read, as `run` insists on: nothing is said where it can. */
export async function checkPolicy(policy: PolicySettings | undefined, report: Report): Promise<void> {
  if (policy) await reportFault('policy', report, () => ServerRule.open(policy));
}

/** The same of a relay: its group, and its password where nobody is troubled for it. */
export async function checkRelay(
  relay: RelaySettings | undefined,
  surroundings: Surroundings,
  report: Report,
): Promise<void> {
  const { address, group, password } = relay ?? {};
  if (group !== undefined) await reportFault('relay', report, () => groupId(group, '--relay-group'));
  if (!address || password === undefined || !mayReadPasswordUnasked(password)) return;
  const what = `password of the relay ${formatManagementAddress(address)}`;
  await reportFault('relay', report, async () => {
    (await managementPassword(password, what, secretsSurroundings(surroundings))).destroy();
  });
}

/** The same of those who ask what the agent is doing: their groups. */
export async function checkMonitors({ controlGroup, metricsGroup }: MonitorFlags, report: Report): Promise<void> {
  if (controlGroup !== undefined) await reportFault('control', report, () => groupId(controlGroup, '--control-group'));
  if (metricsGroup !== undefined) await reportFault('metrics', report, () => groupId(metricsGroup, '--metrics-group'));
}
