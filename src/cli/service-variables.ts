/**
 * What a service manager such as systemd has given this process beside its environment: sd_notify(3), sd_watchdog_enabled(3),
 * sd_listen_fds(3).
 */
export interface ServiceVariables {
  /** The socket that it hears of us by. */
  readonly notifySocket?: string;
  /** Microseconds in which it wants to hear of us, else it takes us for dead. */
  readonly watchdogUsec?: number;
  /** Descriptors of sockets, and what their units call them. */
  readonly sockets?: readonly { readonly fd: number; readonly name: string }[];
}

const NAMES = ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID', 'LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES'] as const;
/** The first descriptor that is passed; the others follow it. */
const FIRST = 3;

function socketsOf(count: string, names: string): NonNullable<ServiceVariables['sockets']> {
  const words = names.split(':');
  return Array.from({ length: Number(count) }, (_, index) => ({ fd: FIRST + index, name: words[index] ?? '' }));
}

/**
 * Takes its variables out of the environment: module hosts and commands that are started later must not have them, as they
 * could speak in our name.
 */
export function takeServiceVariables(environment: NodeJS.ProcessEnv, pid: number): ServiceVariables {
  const own = String(pid);
  const [notifySocket, usec, watchdogPid = own, listenPid, count, names] = NAMES.map((name) => environment[name]);
  for (const name of NAMES) Reflect.deleteProperty(environment, name);
  return {
    ...(notifySocket !== undefined && /^[/@]/.test(notifySocket) && { notifySocket }),
    ...(watchdogPid === own && usec !== undefined && /^[1-9]\d*$/.test(usec) && { watchdogUsec: Number(usec) }),
    ...(listenPid === own &&
      count !== undefined &&
      /^[1-9]\d{0,4}$/.test(count) && { sockets: socketsOf(count, names ?? '') }),
  };
}
