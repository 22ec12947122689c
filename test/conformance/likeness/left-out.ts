/** Something that a real daemon does and the simulated one does not, or not so. */
export interface LeftOut {
  readonly what: string;
  readonly why: string;
  /** Lines of the real daemon that the simulated one does not say: they are not compared. */
  readonly lines?: RegExp;
  /** The script that hears such lines. */
  readonly heardIn?: string;
}

/**
 * The other way round, worlds have whims that no real daemon has, and no script: requests that no key can sign, a second one before
 * the first was answered, one that is cut off, and lines that mean nothing.
 */
export const LEFT_OUT: readonly LeftOut[] = [
  {
    what: 'the log: `>LOG:` and the lines of `log all`',
    why: 'neither the agent nor its relay reads them; the world sends one that is odd now and then',
    lines: /^\w < >LOG:/,
    heardIn: 'asked in hold: log',
  },
  {
    what: 'the list of commands that `help` tells',
    why: 'it is for people; its first lines and its end are compared',
    lines: /^\w < (?:[a-z].*| {20,}.*)$/,
    heardIn: 'asked in hold: help',
  },
  {
    what: 'pauses, handshakes and the 60 seconds that a bad signature takes, as long as they are',
    why: 'what comes in which order is compared; in a world a bad signature is a fault of the agent in any case',
  },
  {
    what: 'states of a lookup, of TCP, and of `--pull`: RESOLVE, TCP_CONNECT, GET_CONFIG, ASSIGN_IP, ADD_ROUTES',
    why: 'the real one is started without a network device, and with an address; the agent reads no more than the name',
  },
  {
    what: '`>NEED-CERTIFICATE`, `>PASSWORD`, `>NEED-OK` and their kind, and all of a server’s `>CLIENT`',
    why: 'no simulated tunnel is set up so; lines as such are sent by chance, for the relay to withhold',
  },
  {
    what: 'requests of more than 10,239 bytes, which real daemons cut off',
    why: 'no simulated request is as long; one that is cut off comes as a mishap',
  },
  {
    what: 'other versions of OpenVPN than 2.6',
    why: 'test/support/recordings has them',
  },
];
