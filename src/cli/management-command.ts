import { AgentError } from '../errors.ts';
import { parseManagementAddress } from '../management/index.ts';
import { daemonOwner, type PeerFlags } from './daemon-peers.ts';
import { runManagementCommand } from './management-session.ts';
import { askManagementPassword } from './secret-asker.ts';
import { complain, stdoutFailed } from './standard-streams.ts';

export interface ManagementFlags extends Omit<PeerFlags, 'maxDaemons'> {
  readonly management: readonly string[];
  readonly managementClient?: boolean;
  readonly json?: boolean;
}

/** `pksigd management`: the flags, and this process's streams, for the command itself. */
export async function managementCommand(command: readonly string[], flags: ManagementFlags): Promise<void> {
  const [address, port, passwordFile, ...rest] = flags.management;
  if (address === undefined || port === undefined || rest.length > 0) {
    throw new AgentError('ERR_USAGE', '--management takes ADDRESS PORT|unix [PASSWORD-FILE]');
  }
  const parsedAddress = parseManagementAddress(address, port);
  const owner = await daemonOwner(flags, parsedAddress, {
    listens: flags.managementClient ?? false,
    password: passwordFile !== undefined,
  });
  const password =
    passwordFile === undefined
      ? undefined
      : await askManagementPassword(passwordFile, `management password of ${address}`, (text) => {
          complain(text);
        });
  process.stdout.on('error', stdoutFailed);
  process.stderr.on('error', () => undefined);
  await runManagementCommand(
    {
      address: parsedAddress,
      owner,
      password,
      listen: flags.managementClient,
      json: flags.json,
      command,
    },
    { stdin: process.stdin, stdout: process.stdout, stderr: process.stderr },
  );
  // a pipe may be full
  await new Promise((done) => process.stdout.write('', done));
}
