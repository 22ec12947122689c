import { AgentError } from '../errors.ts';
import { type ManagementAddress, parseManagementAddress } from '../management/index.ts';

/** An address with the word that says where its password is, as `--management` and `--relay` take them. */
export interface ManagementWords {
  readonly address: ManagementAddress;
  readonly password: string | undefined;
}

/**
 * Parses ADDRESS PORT [PASSWORD-FILE], or PATH unix [PASSWORD-FILE].
 * @param option for the error
 * @throws AgentError ERR_USAGE for another number of words, ERR_MANAGEMENT_ADDRESS
 */
export function parseManagementWords(words: readonly string[], option: string): ManagementWords {
  const [address, port, password, ...rest] = words;
  if (address === undefined || port === undefined || rest.length > 0)
    throw new AgentError('ERR_USAGE', `${option} takes ADDRESS PORT|unix [PASSWORD-FILE]`);
  return { address: parseManagementAddress(address, port), password };
}

/**
 * Parses ADDRESS PORT, or PATH unix, of `--metrics`.
 * @throws AgentError ERR_USAGE for another number of words, ERR_MANAGEMENT_ADDRESS
 */
export function parseMetricsWords([address, port, ...rest]: readonly string[]): ManagementAddress {
  if (address === undefined || port === undefined || rest.length > 0)
    throw new AgentError('ERR_USAGE', '--metrics takes ADDRESS PORT or PATH unix, no password');
  return parseManagementAddress(address, port);
}
