import { AgentError } from '../errors.ts';

/** What may stand beside a configuration file; all else is said in it. */
const BESIDE_CONFIG = new Set(['--config', '--log-level', '--login', '--json']);

/** @param given the options that were given @throws AgentError ERR_USAGE */
export function refuseBesideConfig(config: string, given: readonly string[]): void {
  const others = given.filter((option) => !BESIDE_CONFIG.has(option));
  if (others.length === 0) return;
  throw new AgentError('ERR_USAGE', `--config says all that ${others.join(', ')} would`, {
    hint: `leave ${others.length === 1 ? 'it' : 'them'} out, and write it into ${config}`,
  });
}
