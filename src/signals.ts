/**
 * Signals that end a process, or open Node's debugger in it (SIGUSR1), unless it catches them, and that mean nothing to
 * pksigd. Not in here: what stops it (SIGINT, SIGTERM), job control (SIGTSTP, SIGTTIN, SIGTTOU), what tells of a crash
 * (SIGSEGV, SIGABRT and their kind), what Node ignores by itself (SIGPIPE, SIGXFSZ), and real-time signals, which Node
 * can't catch: they are ignored where the process is started. Names that a platform does not have are never sent there.
 */
export const MEANINGLESS_SIGNALS: readonly NodeJS.Signals[] = [
  'SIGHUP',
  'SIGQUIT',
  'SIGUSR1',
  'SIGUSR2',
  'SIGALRM',
  'SIGVTALRM',
  'SIGPROF',
  'SIGIO',
  'SIGPWR',
  'SIGSTKFLT',
  'SIGXCPU',
];
