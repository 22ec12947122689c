import { daemonOwner } from '../config/daemon-owner.ts';
import type { PeerFlags } from '../config/flags.ts';
import { parseManagementWords } from '../config/management-words.ts';
import { managementPassword } from '../config/secrets.ts';
import { AgentError } from '../errors.ts';
import { COMMANDS } from '../management/index.ts';
import { runManagementCommand } from './management-session.ts';
import { secretSurroundings } from './secret-surroundings.ts';
import { stdoutFailed } from './standard-streams.ts';

export interface ManagementFlags extends Omit<PeerFlags, 'maxDaemons'> {
  readonly management: readonly string[];
  readonly managementClient?: boolean;
  readonly json?: boolean;
}

/** What stands behind the address is its password's file, so a command of OpenVPN's is not meant to be there. */
function refuseCommand([, , ...rest]: readonly string[]): void {
  const [name = ''] = rest;
  if (!Object.hasOwn(COMMANDS, name)) return;
  throw new AgentError('ERR_USAGE', `'${name}' stands where the file of the password is named`, {
    hint: `a command stands behind --: -- ${rest.join(' ')}; a file of that name is ./${name}`,
  });
}

/** `pksigd management`: the flags, and this process's streams, for the command itself. */
export async function managementCommand(command: readonly string[], flags: ManagementFlags): Promise<void> {
  const { managementClient: listen = false, managementUser: user } = flags;
  if (command.length === 0) refuseCommand(flags.management);
  const management = { ...parseManagementWords(flags.management, '--management'), listen, user };
  const { address, password: word } = management;
  const owner = await daemonOwner(management, process.geteuid?.() ?? 0);
  const what = `management password of ${flags.management[0]}`;
  const password = word === undefined ? undefined : await managementPassword(word, what, secretSurroundings());
  process.stdout.on('error', stdoutFailed);
  process.stderr.on('error', () => undefined);
  await runManagementCommand(
    {
      address,
      owner,
      password,
      listen,
      json: flags.json,
      command,
    },
    { stdin: process.stdin, stdout: process.stdout, stderr: process.stderr },
  );
  // a pipe may be full
  await new Promise((done) => process.stdout.write('', done));
}
