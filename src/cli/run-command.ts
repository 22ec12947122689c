import type { X509Certificate } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { OpenedKey } from '../keys/open-key.ts';
import { Trouble } from '../agent/trouble.ts';
import { Tunnel, type TokenRemovalAction } from '../agent/tunnel.ts';
import {
  managementDirectives,
  readOpenVpnConfig,
  type ManagementDirectives,
  type OpenVpnConfig,
} from '../config/openvpn-config.ts';
import { AgentError, errorCode, errorText } from '../errors.ts';
import { parseManagementAddress } from '../management/index.ts';
import { daemonOwner, maxDaemons, type PeerFlags } from './daemon-peers.ts';
import { openRelay, refuseSameAddress, type RelayFlags } from './relay-flags.ts';
import { catchTheRest } from './last-net.ts';
import { handleSignals } from './signals.ts';
import { endAtOnce, stderrLog, type Logger } from './standard-streams.ts';
import { logStartCheck } from './start-check.ts';
import { forbidCoreDumps, moduleHosts, openKeyOf, secretAskerOf, type KeyFlags } from './surroundings.ts';

export interface RunFlags extends KeyFlags, RelayFlags, PeerFlags {
  readonly management?: readonly string[];
  readonly managementClient?: boolean;
  readonly openvpnConfig?: string;
  readonly onTokenRemoval: TokenRemovalAction;
  readonly waitForToken?: boolean;
}

/** What a module host's own deadline gets ahead, so that its error, which says more, comes first. In milliseconds. */
const DEADLINE_MARGIN = 500;

/** Milliseconds between looks at the token. */
const WATCH_INTERVAL = 2_000;

/** Opens the key; with --wait-for-token as often as it takes until the token is there. */
async function waitForToken(
  flags: RunFlags,
  signal: AbortSignal,
  log: Logger,
  open: () => Promise<OpenedKey>,
): Promise<OpenedKey> {
  const waiting = new Trouble(log, {}, 'the token is there');
  for (;;) {
    try {
      const opened = await open();
      waiting.clear();
      return opened;
    } catch (error) {
      if (flags.waitForToken !== true || errorCode(error) !== 'ERR_TOKEN_ABSENT') {
        waiting.stop();
        throw error;
      }
      waiting.set({ level: 'warn', text: 'waiting for the token', fields: { error: errorText(error) } });
      await sleep(WATCH_INTERVAL, undefined, { signal });
    }
  }
}

/** The management interface to serve, and the configuration that names it, if one does. */
interface Served extends ManagementDirectives {
  readonly config?: OpenVpnConfig;
}

async function served(flags: RunFlags): Promise<Served> {
  if (flags.management && flags.openvpnConfig === undefined) {
    return { management: flags.management, managementClient: flags.managementClient ?? false };
  }
  if (flags.openvpnConfig !== undefined && !flags.management) {
    const config = await readOpenVpnConfig(flags.openvpnConfig);
    return { ...managementDirectives(config), config };
  }
  throw new AgentError('ERR_USAGE', 'give --management ADDRESS PORT|unix or --openvpn-config FILE', {
    hint: 'one of the two',
  });
}

/** `pksigd run`: serves a daemon until a signal comes, or until the key turns out to be of no use. */
export async function runCommand(flags: RunFlags): Promise<void> {
  const { management, managementClient, config } = await served(flags);
  const [address, port, passwordFile, ...rest] = management;
  if (address === undefined || port === undefined || rest.length > 0) {
    throw new AgentError('ERR_USAGE', '--management takes ADDRESS PORT|unix [PASSWORD-FILE]');
  }
  const parsedAddress = parseManagementAddress(address, port);
  refuseSameAddress(parsedAddress, flags.relay);
  const peers = {
    owner: await daemonOwner(flags, parsedAddress, {
      listens: managementClient,
      password: passwordFile !== undefined,
    }),
    maxDaemons: maxDaemons(flags, parsedAddress, { listens: managementClient, relays: flags.relay !== undefined }),
  };
  const log = stderrLog(flags.logLevel);
  const asker = secretAskerOf(flags, log);
  const stop = new AbortController();
  handleSignals(stop, log);
  catchTheRest(log, endAtOnce);
  await forbidCoreDumps();
  await using hosts = moduleHosts(flags, log);

  let opening: Promise<OpenedKey> | undefined;
  const key = (): Promise<OpenedKey> =>
    (opening ??= waitForToken(flags, stop.signal, log, () =>
      openKeyOf(flags, hosts, log, { watchInterval: WATCH_INTERVAL }),
    ));
  // listening comes first: a port that is in use costs no PIN
  await using relay = await unlessStopped(
    stop.signal,
    openRelay(flags, (word) => asker.forManagement(word, `password of the relay ${flags.relay?.[0] ?? ''}`), log),
  );
  if (stop.signal.aborted) return;
  const opened = Tunnel.open({
    address: parsedAddress,
    listen: managementClient,
    ...peers,
    ...(passwordFile !== undefined && {
      password: () => asker.forManagement(passwordFile, `management password of ${address}`, flags.openvpnConfig),
    }),
    key,
    onTokenRemoval: flags.onTokenRemoval,
    relay,
    deadline: flags.deadline + DEADLINE_MARGIN,
    signal: stop.signal,
    log,
  });
  const tunnel = await unlessStopped(stop.signal, opened);
  if (!tunnel) return;
  const serving = tunnel.run();
  void logStartCheck(config, key(), log);
  key().then(
    ({ signer, certificates }) => {
      log.info({ key: signer.name, ...certificateFields(certificates[0]) }, 'key ready');
    },
    (error: unknown) => {
      // told to stop before, at its prompt for one: that the key is not open is no failure
      if (stop.signal.aborted) log.debug({ error: errorText(error) }, 'the key was given up');
      else stop.abort(error);
    },
  );
  await serving;
  await keyOutcome(key(), stop.signal);
}

/** Waits for what a stop makes needless; undefined if the stop was why it ended. */
async function unlessStopped<Result>(signal: AbortSignal, work: Promise<Result>): Promise<Result | undefined> {
  return await work.catch((error: unknown) => {
    if (errorCode(error) === 'ERR_ABORTED' && signal.aborted) return undefined;
    throw error;
  });
}

/** Throws what opening the key threw, if that is why we stop; lets go of a key that is open, waits for none that is not. */
async function keyOutcome(key: Promise<OpenedKey>, stopped: AbortSignal): Promise<void> {
  const opened = await Promise.race([key, Promise.resolve(undefined)]).catch((error: unknown) => {
    if (stopped.reason === error) throw error;
  });
  await opened?.[Symbol.asyncDispose]();
}

function certificateFields(certificate: X509Certificate | undefined): object {
  if (!certificate) return {};
  return { certificate: certificate.subject.replaceAll('\n', ', '), validTo: certificate.validTo };
}
