import { copyFile, readFile, writeFile } from 'node:fs/promises';
import { openssl } from '../openssl.ts';
import { MANAGEMENT, NOWHERE, ovpn, run, seat, token, type Mistake } from './mistake.ts';

/** With key files, certificates, configurations, OpenVPN. */
export const OF_OTHERS: readonly Mistake[] = [
  {
    what: 'a key file that others can read',
    command: async (bench) => {
      await copyFile(bench.recipe('p256.pem'), bench.path('k.pem'));
      await writeFile(bench.path('k2.pem'), await readFile(bench.path('k.pem')), { mode: 0o644 });
      return run(bench.path('k2.pem'))(bench);
    },
    says: /others can read/,
    code: 'ERR_KEY_PERMISSIONS',
    exit: 2,
    cure: /chmod 600/,
  },
  {
    what: 'a deadline of more than an hour',
    command: (bench) => run(bench.recipe('p256.pem'), '--deadline', '3601')(bench),
    says: /'3601' is invalid/,
    code: 'ERR_USAGE',
    exit: 2,
    cure: /at most 3600/,
  },
  {
    what: 'a certificate as the key',
    command: (bench) => run(bench.recipe('p256.crt'))(bench),
    says: /is a certificate/,
    code: 'ERR_KEY_FILE',
    exit: 2,
    cure: /--cert/,
  },
  {
    what: 'a wrong passphrase',
    command: async (bench) => {
      const file = await bench.write('enc.pem', '');
      await openssl(['pkey', '-in', bench.recipe('p256.pem'), '-aes256', '-passout', 'pass:right', '-out', file]);
      return run(file, '--pin-source', await bench.write('pin', 'wrong\n'))(bench);
    },
    says: /wrong passphrase/,
    code: 'ERR_PIN_INCORRECT',
    exit: 4,
    cure: /[Cc]orrect/,
  },
  {
    what: 'a key that no TLS client has',
    command: async (bench) => {
      const file = await bench.write('x.pem', '');
      await openssl(['genpkey', '-algorithm', 'X25519', '-out', file]);
      return run(file)(bench);
    },
    says: /x25519/i,
    code: 'ERR_KEY_UNSUPPORTED',
    exit: 2,
    cure: /use RSA/i,
  },
  {
    what: 'a key file that is not there',
    command: run('/no/such/key.pem'),
    says: /\/no\/such\/key\.pem/,
    code: 'ERR_KEY_NOT_FOUND',
    exit: 3,
    cure: /path/,
  },
  {
    what: "another key's certificate",
    command: (bench) => [
      'run',
      ...NOWHERE(bench),
      '--key',
      bench.key('p256', 'file'),
      '--cert',
      bench.recipe('p384.crt'),
    ],
    says: /p384\.crt is not of the key/,
    code: 'ERR_CERTIFICATE_MISMATCH',
    exit: 2,
    cure: /pksigd check/,
  },
  {
    what: 'an expired certificate',
    command: async (bench) => {
      const file = await bench.write('old.crt', '');
      const dates = ['-not_before', '20200101000000Z', '-not_after', '20200201000000Z'];
      const made = ['x509', '-new', '-subj', '/CN=old', '-key', bench.recipe('p256.pem'), '-out', file];
      await openssl([...made, ...dates]).catch(async () => await openssl([...made, '-days', '-1']));
      return ['check', '--key', bench.key('p256', 'file'), '--cert', file];
    },
    says: /expired on/,
    code: 'ERR_CERTIFICATE_DATES',
    exit: 2,
    cure: /renew/,
  },
  {
    what: "no 'pss' in the .ovpn",
    command: async (bench) =>
      ovpn(`${MANAGEMENT}management-external-key nopadding pkcs1\ncert ${bench.recipe('rsa2048.crt')}\n`)(bench),
    says: /lacks pss/,
    code: 'ERR_CONFIG',
    exit: 2,
    cure: /write 'management-external-key nopadding pkcs1 pss'/,
  },
  {
    what: "'key' left in the .ovpn",
    command: async (bench) =>
      ovpn(
        `${MANAGEMENT}management-external-key nopadding\nkey alice.key\ncert ${bench.recipe('p256.crt')}\n`,
        'p256',
      )(bench),
    says: /key contradicts management-external-key/,
    code: 'ERR_CONFIG',
    exit: 2,
    cure: /remove key/,
  },
  {
    what: 'no management line in the .ovpn',
    command: async (bench) => [
      'run',
      '--openvpn-config',
      await bench.write('a.conf', 'client\n'),
      '--key',
      bench.key('p256', 'file'),
    ],
    says: /no management directive/,
    code: 'ERR_CONFIG',
    exit: 2,
    cure: /management-hold/,
  },
  {
    what: 'a mistyped key in the configuration file',
    command: async (bench) => ['config', 'check', '--config', await bench.write('p.toml', '[key.a]\nkye = "a.pem"\n')],
    says: /has .*mistake/,
    code: 'ERR_CONFIG',
    exit: 2,
    cure: /config check/,
  },
  {
    what: 'a mistyped option',
    command: (bench) => ['run', ...NOWHERE(bench), '--kye', 'x'],
    says: /unknown option '--kye'.*--key/,
    code: 'ERR_USAGE',
    exit: 2,
    cure: /Did you mean/,
  },
  {
    what: 'a state directory that can not be made',
    command: async (bench) =>
      token((uri) => uri, '--state-directory', `${await bench.write('a-file', '')}/state`)(bench),
    says: /a-file/,
    code: 'ERR_STATE_DIRECTORY',
    exit: 2,
    cure: /--state-directory/,
  },
  {
    what: 'OpenVPN does not run, with check',
    command: (bench) => ['check', ...NOWHERE(bench), '--key', bench.key('p256', 'file')],
    says: /is OpenVPN running/,
    code: 'ERR_MANAGEMENT_CONNECT',
    exit: 1,
    cure: /is OpenVPN running/,
  },
  {
    what: 'the address is in use',
    command: async (bench) => {
      await seat(bench, () => undefined);
      return ['run', ...NOWHERE(bench), '--management-client', '--key', bench.key('p256', 'file')];
    },
    says: /in use/,
    code: 'ERR_MANAGEMENT_IN_USE',
    exit: 1,
    cure: /End the other one/,
  },
  {
    what: 'the seat is taken',
    command: async (bench) => {
      await seat(bench, () => undefined);
      return ['run', ...NOWHERE(bench), '--key', bench.key('p256', 'file')];
    },
    says: /only seat/,
    code: '',
    exit: 'stays',
    cure: /--relay/,
  },
  {
    what: 'the management password is missing',
    command: async (bench) => {
      await seat(bench, (say) => {
        say('ENTER PASSWORD:');
      });
      return ['run', ...NOWHERE(bench), '--key', bench.key('p256', 'file')];
    },
    says: /password/,
    code: 'ERR_MANAGEMENT_PASSWORD',
    exit: 'stays',
    cure: /name the password file/i,
  },
  {
    what: 'the management password is wrong',
    command: async (bench) => {
      const ask = (say: (text: string) => void): void => {
        say('ENTER PASSWORD:');
      };
      await seat(bench, ask, (say) => {
        say('ERROR: bad password\r\nENTER PASSWORD:');
      });
      return ['run', ...NOWHERE(bench), await bench.write('password', 'wrong\n'), '--key', bench.key('p256', 'file')];
    },
    says: /refused the password/,
    code: 'ERR_MANAGEMENT_PASSWORD',
    exit: 'stays',
    cure: /the first line of the password file/,
  },
  {
    what: "a command of OpenVPN's without --",
    command: (bench) => Promise.resolve(['management', ...NOWHERE(bench), 'signal', 'SIGUSR1']),
    says: /'signal' stands where the file of the password is named/,
    code: 'ERR_USAGE',
    exit: 2,
    cure: /-- signal SIGUSR1/,
  },
  {
    what: 'metrics with a password',
    command: (bench) => run(bench.recipe('p256.pem'), '--metrics', '127.0.0.1', '9187', 'password')(bench),
    says: /--metrics takes ADDRESS PORT or PATH unix/,
    code: 'ERR_USAGE',
    exit: 2,
    cure: /no password/,
  },
  {
    what: 'something else than OpenVPN is at the address',
    command: async (bench) => {
      await seat(bench, (say) => {
        say('HTTP/1.1 400 Bad Request\r\n\r\n');
      });
      return ['run', ...NOWHERE(bench), '--key', bench.key('p256', 'file')];
    },
    says: /doesn't speak OpenVPN's management protocol/,
    code: 'ERR_MANAGEMENT_PROTOCOL',
    exit: 'stays',
    cure: /--management/,
  },
  {
    what: 'OpenVPN asks for a password that nobody gives',
    command: async (bench) => {
      await seat(bench, (say) => {
        say(">INFO:OpenVPN Management Interface Version 5\r\n>PASSWORD:Need 'Auth' username/password\r\n");
      });
      return ['run', ...NOWHERE(bench), '--key', bench.key('p256', 'file')];
    },
    says: /asks for a password, which pksigd does not have/,
    code: '',
    exit: 'stays',
    cure: /--auth-user-pass.*--relay/,
  },
  {
    what: 'a mistyped word of an option',
    command: (bench) => ['run', ...NOWHERE(bench), '--key', bench.key('p256', 'file'), '--log-level', 'wran'],
    says: /argument 'wran' is invalid/,
    code: 'ERR_USAGE',
    exit: 2,
    cure: /Did you mean warn/,
  },
  {
    what: 'no agent runs',
    command: () => ['status'],
    says: /control socket/,
    code: 'ERR_CONTROL_CONNECT',
    exit: 3,
    cure: /systemctl status|--control/,
  },
];
