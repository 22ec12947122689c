/** What a service manager such as systemd has given this process beside its environment: sd_notify(3), sd_watchdog_enabled(3). */
export interface ServiceVariables {
  /** The socket that it hears of us by. */
  readonly notifySocket?: string;
  /** Microseconds in which it wants to hear of us, else it takes us for dead. */
  readonly watchdogUsec?: number;
}

const NAMES = ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID'] as const;

/**
 * Takes its variables out of the environment: module hosts and commands that are started later must not have them, as they
 * could speak in our name.
 */
export function takeServiceVariables(environment: NodeJS.ProcessEnv, pid: number): ServiceVariables {
  const [notifySocket, usec, watchdogPid = String(pid)] = NAMES.map((name) => environment[name]);
  for (const name of NAMES) Reflect.deleteProperty(environment, name);
  const isOurs = watchdogPid === String(pid);
  return {
    ...(notifySocket !== undefined && /^[/@]/.test(notifySocket) && { notifySocket }),
    ...(isOurs && usec !== undefined && /^[1-9]\d*$/.test(usec) && { watchdogUsec: Number(usec) }),
  };
}
