import { existsSync } from 'node:fs';

/** A socket that is made before pksigd starts, and handed over as systemd does. */
export interface GivenSocket {
  /** A unix socket's path, or a port of 127.0.0.1; a connected pair has neither. */
  at?: string | number;
  kind?: 'listening' | 'datagram' | 'connected';
  mode?: number;
  user?: number;
  name?: string;
}

export interface Activation {
  sockets: readonly GivenSocket[];
  /** Whose they are said to be. Default: pksigd's. */
  pid?: number;
}

/** Node hands no descriptors over by numbers of its own. It says when the sockets can be connected to. */
const ACTIVATOR = `
import json, os, socket, sys
spec = json.loads(sys.argv[1])
given = []
for each in spec['sockets']:
    kind, at = each.get('kind', 'listening'), each.get('at')
    if kind == 'connected':
        one, other = socket.socketpair()
        os.set_inheritable(other.fileno(), True)
    else:
        family = socket.AF_INET if isinstance(at, int) else socket.AF_UNIX
        one = socket.socket(family, socket.SOCK_DGRAM if kind == 'datagram' else socket.SOCK_STREAM)
        if family == socket.AF_INET:
            one.bind(('127.0.0.1', at))
        else:
            os.umask(0o177)
            if os.path.exists(at): os.unlink(at)
            one.bind(at)
            os.chown(at, each.get('user', -1), -1)
            os.chmod(at, each.get('mode', 0o600))
        if kind == 'listening':
            one.listen()
    given.append(one)
spare = [os.dup2(one.fileno(), 100 + number) for number, one in enumerate(given)]
for number, descriptor in enumerate(spare):
    os.dup2(descriptor, 3 + number)
os.closerange(3 + len(given), 200)
os.environ['LISTEN_PID'] = str(spec.get('pid') or os.getpid())
os.environ['LISTEN_FDS'] = str(len(given))
os.environ['LISTEN_FDNAMES'] = ':'.join(each.get('name', '') for each in spec['sockets'])
print('activated', flush=True)
os.execvp(sys.argv[2], sys.argv[2:])
`;

/** Whether sockets can be handed over here. */
export const canActivate: boolean = existsSync('/proc/self/net/unix') && existsSync('/usr/bin/python3');

/** The command that starts another one with sockets. */
export function activated(activation: Activation, command: readonly string[]): [string, string[]] {
  return ['python3', ['-c', ACTIVATOR, JSON.stringify(activation), ...command]];
}
