import { lstat } from 'node:fs/promises';
import { AgentError, errorCode } from '../errors.ts';
import {
  connectManagement,
  type DaemonOwner,
  formatManagementAddress,
  listenManagement,
  type ManagementAddress,
} from '../management/index.ts';
import { approach, whoReaches, whoReplaces } from '../management/internal.ts';
import type { Secret } from '../secret.ts';
import { failure, type Report } from './verdict.ts';

/** The management interface to check. */
export interface ManagementCheck {
  readonly address: ManagementAddress;
  /** Whose the daemon's end must be. */
  readonly owner: DaemonOwner;
  /** `--management-client`: the daemon connects to us. */
  readonly listen: boolean;
  readonly password?: (() => Promise<Secret>) | undefined;
  /** Only the .ovpn was given: OpenVPN may be started with it later. */
  readonly mayComeLater?: boolean | undefined;
  /** Why connecting would disturb the daemon. */
  readonly disturbs?: string | undefined;
}

/** Milliseconds: a daemon that is free greets at once. */
const PATIENCE = 3_000;

const NOT_YET = 'OpenVPN makes it when it starts';

async function checkSocket(path: string, { owner, mayComeLater }: ManagementCheck, report: Report): Promise<boolean> {
  const what = 'socket';
  try {
    const status = await lstat(path);
    if (!status.isSocket()) {
      report(failure(what, new AgentError('ERR_MANAGEMENT_CONNECT', `${path} is not a socket`)));
      return false;
    }
    const detail = `${path} has mode ${(status.mode & 0o777).toString(8).padStart(4, '0')}`;
    if ((await whoReaches({ kind: 'unix', path }, status.mode)) === 'users') {
      const hint = 'put it into a folder of mode 0750, or give the daemon management-client-user';
      report({ outcome: 'warn', what, detail: `${detail}: everybody on this machine can command the daemon`, hint });
    } else {
      report({ outcome: 'ok', what, detail });
    }
    await approach({ kind: 'unix', path }, owner);
    return true;
  } catch (error) {
    if (error instanceof AgentError) {
      report(failure(what, error));
      return false;
    }
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' && mayComeLater === true) {
      report({ outcome: 'skip', what, detail: `${path} is not there yet: ${NOT_YET}` });
      return false;
    }
    const hint =
      code === 'ENOENT'
        ? 'is OpenVPN running with this --management path?'
        : "may this user enter the socket's folder?";
    report(failure(what, new AgentError('ERR_MANAGEMENT_CONNECT', `can't see ${path} (${code ?? ''})`, { hint })));
    return false;
  }
}

/** Nobody listens there. */
function isRefused(error: unknown): boolean {
  const cause = error instanceof AgentError ? (error.cause as NodeJS.ErrnoException | undefined) : undefined;
  return cause?.code === 'ECONNREFUSED';
}

/** Too many clients wait there already, or it does not greet: another client has the seat. */
function isBusy(error: unknown): boolean {
  const cause = error instanceof AgentError ? (error.cause as NodeJS.ErrnoException | undefined) : undefined;
  return errorCode(error) === 'ERR_MANAGEMENT_TIMEOUT' || cause?.code === 'EAGAIN';
}

async function checkDaemon(
  { address, owner, password, mayComeLater }: ManagementCheck,
  report: Report,
): Promise<string | undefined> {
  const what = 'daemon';
  const name = formatManagementAddress(address);
  try {
    const secret = await password?.();
    // no version is announced: what the daemon asks of the next client stays as it is. Nothing that comes is answered
    await using client = await connectManagement(address, { password: secret, owner, connectTimeout: PATIENCE });
    client.on('*', () => undefined);
    const { management, title, release } = await client.version({ timeout: PATIENCE });
    const accepted = secret ? ', accepts the password' : '';
    const detail = `${release === undefined ? (title ?? 'OpenVPN') : `OpenVPN ${release}`} answers on ${name}${accepted}`;
    report({ outcome: 'ok', what, detail: `${detail} (management version ${management})` });
    if (address.kind === 'tcp' && !secret) {
      const hint = 'use a unix socket, or a password file';
      report({ outcome: 'warn', what: 'socket', detail: `everybody who reaches ${name} can command the daemon`, hint });
    }
    return title ?? release;
  } catch (error) {
    if (isBusy(error)) {
      const detail = `${name} is there, but does not answer: another management client has its only seat`;
      report({ outcome: 'warn', what, detail, hint: "if that is 'pksigd run', all is well" });
    } else if (mayComeLater === true && isRefused(error)) {
      report({ outcome: 'skip', what, detail: `nobody listens on ${name} yet: ${NOT_YET}` });
    } else {
      report(failure(what, error));
    }
    return undefined;
  }
}

/** Who could come to the listener beside the daemon, or be there in its place. */
async function checkReach(address: ManagementAddress, owner: DaemonOwner, report: Report): Promise<void> {
  const what = 'listen';
  if (address.kind === 'unix') {
    const detail = await whoReplaces(address.path, owner.self);
    if (detail !== undefined) report({ outcome: 'warn', what, detail, hint: 'put it into a folder of mode 0755' });
  } else if (owner.user === undefined) {
    const isLocal = (await whoReaches(address, 0)) === 'users';
    report({
      outcome: 'warn',
      what,
      detail: isLocal
        ? 'every user of this host can connect there, or take the port first'
        : 'whoever reaches that address can pass for the daemon',
      hint: 'use a unix socket',
      ...(isLocal && { reason: 'open-listener' }),
    });
  }
}

async function checkListening({ address, owner }: ManagementCheck, report: Report): Promise<void> {
  const what = 'listen';
  const name = formatManagementAddress(address);
  try {
    await (await listenManagement(address, { owner })).close();
    report({ outcome: 'ok', what, detail: `${name} is free` });
    await checkReach(address, owner, report);
  } catch (error) {
    if (errorCode(error) === 'ERR_MANAGEMENT_IN_USE') {
      const hint = "if that is 'pksigd run', all is well";
      report({ outcome: 'warn', what, detail: `another process listens on ${name}`, hint });
    } else {
      report(failure(what, error));
    }
  }
}

/**
 * Is the management interface there, may we use it, who is it? Takes the daemon's seat for a moment, asks for its version
 * only, and leaves its hold and its requests alone.
 * @returns the title of the daemon's version, such as `OpenVPN 2.6.14 … [SSL (OpenSSL)]`, if it told
 */
export async function checkManagement(options: ManagementCheck, report: Report): Promise<string | undefined> {
  const { address, listen, disturbs } = options;
  if (listen) {
    await checkListening(options, report);
    return undefined;
  }
  if (address.kind === 'unix' && !(await checkSocket(address.path, options, report))) return undefined;
  if (disturbs !== undefined) {
    report({ outcome: 'skip', what: 'daemon', detail: `not connected to: ${disturbs}` });
    return undefined;
  }
  return await checkDaemon(options, report);
}
