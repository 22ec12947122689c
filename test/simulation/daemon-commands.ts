// Commands of the management interface that agents and their clients send, and what OpenVPN 2.6 answers (manage.c): for the
// simulated daemon.

/** What a daemon's answers depend on. */
export interface Facts {
  /** Which notifications this connection is told of, by the command that turns them on: changed here. */
  readonly told: Record<string, boolean>;
  readonly pid: number;
  readonly isHeld: boolean;
  readonly stateLine: string;
  readonly bytes: number;
}

export interface Reply {
  readonly text: string;
  readonly action?: 'release' | 'restart' | 'end' | 'close';
}

const UNKNOWN = "ERROR: unknown command, enter 'help' for more options";

const said = (...lines: string[]): Reply => ({ text: lines.map((line) => `${line}\r\n`).join('') });

/** All but `pk-sig`, which depends on what the daemon waits for. */
export function reply(words: readonly string[], facts: Facts): Reply {
  const [name = '', word = ''] = words;
  switch (name) {
    case 'version':
      return { text: '' };
    case 'pid':
      return said(`SUCCESS: pid=${facts.pid}`);
    case 'hold':
      if (word !== 'release') return said(`SUCCESS: hold=${facts.isHeld ? 1 : 0}`);
      return { ...said('SUCCESS: hold release succeeded'), action: 'release' };
    case 'state':
    case 'log':
    case 'echo':
      return { text: history(name, words.slice(1), facts) };
    case 'test':
      return said(...Array.from({ length: Number(word) }, (_, index) => `line number ${index}`));
    case 'verb':
      return said('SUCCESS: verb=3');
    case 'status':
      return said('OpenVPN STATISTICS', 'Updated,2026-06-01 12:00:00', `TUN/TAP read bytes,${facts.bytes}`, 'END');
    case 'signal': {
      const action = word === 'SIGUSR1' || word === 'SIGHUP' ? 'restart' : word === 'SIGTERM' ? 'end' : undefined;
      return { ...said(`SUCCESS: signal ${word} thrown`), ...(action && { action }) };
    }
    case 'help':
      return said('Management Interface for OpenVPN', 'Commands:', 'END');
    case 'quit':
    case 'exit':
      return { text: '', action: 'close' };
    default:
      return said(UNKNOWN);
  }
}

function history(name: string, given: readonly string[], { told, stateLine }: Facts): string {
  return (given.length === 0 ? ['1'] : given)
    .map((word) => {
      if (word !== 'on' && word !== 'off') return name === 'state' ? `${stateLine}\r\nEND\r\n` : 'END\r\n';
      told[name] = word === 'on';
      return `SUCCESS: real-time ${name} notification set to ${word.toUpperCase()}\r\n`;
    })
    .join('');
}
