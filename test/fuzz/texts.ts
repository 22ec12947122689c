// Parsers of what people and daemons write.
import { expect } from 'vitest';
import { parseHint, parseWords } from '../../src/certificates/words.ts';
import { nameParts } from '../../src/certificates/name.ts';
import { ageOf, sizeOf } from '../../src/config/amounts.ts';
import { checkTree } from '../../src/config/file/check-tree.ts';
import type { Fault } from '../../src/config/file/fault.ts';
import { decoded } from '../../src/config/file/text.ts';
import { parseTree } from '../../src/config/file/toml-tree.ts';
import { parseManagementWords } from '../../src/config/management-words.ts';
import { readLines } from '../../src/config/openvpn-lines.ts';
import { parseSecretSource } from '../../src/config/secret-source.ts';
import { readRequest, readResult } from '../../src/control/protocol.ts';
import { parseAlternativeName } from '../../src/enrol/alternative-names.ts';
import { parseSubject } from '../../src/enrol/subject.ts';
import { formatExecText, isExecText, parseExecText } from '../../src/exec/index.ts';
import {
  COMMANDS,
  encodeNotification,
  LineDecoder,
  NotificationAssembler,
  parseLine,
  parseNotification,
  parseReply,
  parseStatus,
  ReplyCollector,
  replyShape,
} from '../../src/management/index.ts';
import { CommandLines } from '../../src/management/relay/line-reader.ts';
import { commandLine } from '../../src/management/wire/words.ts';
import { formatPkcs11Uri, namesTokenObject, parseTokenObject } from '../../src/pkcs11/index.ts';
import { formatAlgorithm, parseAlgorithmText } from '../../src/signing/algorithm-text.ts';
import { pieces, type Target, texts, unlessRefused } from './target.ts';

const NOTIFICATIONS = texts(
  ">INFO:OpenVPN Management Interface Version 5 -- type 'help' for more info\r\n",
  '>HOLD:Waiting for hold release:0\r\n',
  '>PK_SIGN:r9SmREr5OhmfAALFCwkfEdp=,RSA_PKCS1_PSS_PADDING,hashalg=SHA256,saltlen=digest\r\n',
  '>CLIENT:CONNECT,0,1\r\n>CLIENT:ENV,n_clients=0\r\n>CLIENT:ENV,END\r\n',
  '>CLIENT:ADDRESS,0,10.8.0.2,1\r\n>BYTECOUNT_CLI:1,2,3\r\n>BYTECOUNT:1,2\r\n',
  '>UPDOWN:UP\r\n>UPDOWN:ENV,dev=tun0\r\n>UPDOWN:ENV,END\r\n',
  ">PASSWORD:Need 'Auth' username/password SC:1,PIN\r\n>PASSWORD:Need 'Private Key' password\r\n",
  ">PASSWORD:Verification Failed: 'Auth' ['CRV1:R,E:x:Y3Ix:PIN']\r\n>PASSWORD:Auth-Token:x\r\n",
  '>STATE:1700000000,CONNECTED,SUCCESS,10.8.0.6,203.0.113.1,1194,,,fd00::6\r\n>LOG:1,I,x\r\n>ECHO:1,x\r\n',
  '>INFOMSG:WEB_AUTH:proxy=[::1];8080;;,hidden:https://x/\r\n>INFOMSG:CR_TEXT:R,E:x\r\n>INFOMSG:OPEN_URL:x\r\n',
  ">NEED-OK:Need 'x' confirmation MSG:y\r\n>NEED-STR:Need 'x' input MSG:y\r\n>NEED-CERTIFICATE:x\r\n",
  ">PKCS11ID-ENTRY:'1', ID:'x', BLOB:'y'\r\n>PKCS11ID-COUNT:1\r\n>REMOTE:x,1194,udp\r\n>PROXY:1,TCP,x\r\n>FATAL:x\r\n",
);

/** The same notification, whatever line it came in. */
function holds(lines: readonly string[]): boolean {
  const notification = parseNotification(lines);
  expect(parseNotification(encodeNotification(notification))).toEqual(notification);
  return notification.type !== 'UNKNOWN' && notification.type !== 'STRAY';
}

const REPLIES: readonly (readonly [string, string])[] = [
  [
    'status 3',
    'TITLE\tOpenVPN\nTIME\tx\t1\nHEADER\tCLIENT_LIST\tCommon Name\nCLIENT_LIST\tx\nGLOBAL_STATS\tx\t0\nEND\n',
  ],
  ['status', 'OpenVPN STATISTICS\nUpdated,2026-01-01 00:00:00\nTUN/TAP read bytes,0\nEND\n'],
  [
    'status',
    'OpenVPN CLIENT LIST\nUpdated,x\nCommon Name,Real Address\nROUTING TABLE\nVirtual Address\nGLOBAL STATS\nMax,0\nEND\n',
  ],
  ['version', 'OpenVPN Version: OpenVPN 2.6.14 [SSL (OpenSSL)]\nManagement Version: 5\nEND\n'],
  ['state', '1700000000,CONNECTED,SUCCESS,10.8.0.6,203.0.113.1\nEND\n'],
  ['log all', '1700000000,I,text\nEND\n'],
  ['pid', 'SUCCESS: pid=1\n'],
  ['load-stats', 'SUCCESS: nclients=0,bytesin=0,bytesout=0\n'],
  ['remote-entry-get all', '0,x,1194,udp\nEND\n'],
  ['pkcs11-id-get 1', ">PKCS11ID-ENTRY:'1', ID:'x', BLOB:'y'\n"],
  ['kill x', "SUCCESS: common name 'x' found, 1 client(s) killed\n"],
];

const URIS = texts(
  'pkcs11:token=The%20Software%20PKCS%2311%20Softtoken;manufacturer=Snake%20Oil,%20Inc.;model=1.0;object=my-certificate;type=private;id=%69%95%3E%5C%F4%BD%EC%91;serial=?module-path=/usr/lib/x.so&pin-source=file:/etc/pin',
  'pkcs11:slot-id=327;library-manufacturer=x;library-description=y;library-version=3.1;slot-manufacturer=a;slot-description=b?module-name=x',
  'piv_II/PKCS\\x2315\\x20emulated/0123456789abcdef/PIV\\x20CARD/01',
  'pkcs11:',
  'pkcs11:id=%01?pin-value=1234',
  'pkcs11:object=a;object=b',
);

const TOML = texts(
  '[log]\nlevel = "info"\n[token]\npin-source = "file:/etc/pin"\n[key.a]\nkey = "pkcs11:token=x"\nconfirm = "true"\n[tunnel.t]\nkey = "a"\nmanagement = ["/run/x", "unix"]\n',
  'tunnel.a.openvpn-config = "/etc/openvpn/a.conf"\n[audit]\nfile = "/var/log/x"\nsync = "each"\nrotate-size = "64M"\n',
  '[agent]\nmetrics = ["127.0.0.1", "9000"]\n[state]\ndirectory = """\n/x"""\n[[tunnel]]\nx = 1979-05-27T07:32:00Z\ny = [1, 0x2, 1e3, inf, { a = \'b\' }]\n',
);

const OVPN = texts(
  'client\nremote vpn.example 1194 udp # comment\nmanagement /run/x unix\nmanagement-external-key pkcs1 nopadding digest\n<ca>\n-----BEGIN CERTIFICATE-----\n</ca>\n',
  '--verb "3"\nsetenv \'a b\' c\\ d "e\\"f"\n; x\nauth-user-pass\npkcs11-id "x\\\\x20y"\n<connection>\nremote x\n</connection>\n',
  '\u{feff}dev tun\r\nsocks-proxy [::1] 1080\r\n',
);

export const TEXT_TARGETS: readonly Target[] = [
  {
    name: 'lines and notifications of a daemon',
    places: ['/src/management/wire/', '/src/management/notifications/'],
    seeds: NOTIFICATIONS,
    words: ['ENTER PASSWORD:', '>CLIENT:ENV,', ',END', '\r\n', "' password", 'CRV1:', 'SC:', 'flags='],
    read: (bytes, pick) => {
      const lines = (parts: readonly Buffer[]): unknown[] => {
        const decoder = new LineDecoder({ cutAt: 10_239 });
        const all: unknown[] = [];
        for (const part of parts) decoder.push(part, (line, raw) => all.push([line, raw]));
        return all;
      };
      const whole = lines([bytes]);
      // a prompt is known by nothing coming behind it: the pieces must not part there
      if (!bytes.includes('ENTER PASSWORD')) expect(lines(pieces(bytes, pick))).toEqual(whole);
      const assembler = new NotificationAssembler();
      let taken = false;
      const decoder = new LineDecoder();
      decoder.push(bytes, (line) => {
        if (line.kind === 'prompt' || !line.text.startsWith('>')) return;
        assembler.push(line.text, line.kind === 'truncated', ({ lines: own }) => {
          if (line.kind === 'line') taken = holds(own) || taken;
        });
      });
      return taken;
    },
  },
  {
    name: 'replies of a daemon',
    places: ['/src/management/commands/'],
    seeds: REPLIES.map(([name, text]) => Buffer.from(`${name}\n${text}`)),
    words: ['SUCCESS: ', 'ERROR: ', 'END\n', 'HEADER\t', 'CLIENT_LIST\t', ...Object.keys(COMMANDS)],
    read: (bytes) => {
      const [command = '', ...lines] = bytes.toString('utf8').split('\n');
      const name = command.split(' ')[0] ?? '';
      unlessRefused(() => parseStatus(lines));
      const collector = new ReplyCollector(replyShape(command, 5));
      for (const text of lines) {
        if (collector.done) break;
        collector.push(text);
      }
      if (!collector.done) return false;
      const reply = collector.reply();
      return reply.error === undefined && unlessRefused(() => parseReply(name, reply)) !== undefined;
    },
  },
  {
    name: 'words of a line, as OpenVPN parts them',
    places: ['/src/management/wire/words.ts', '/src/management/relay/line-reader.ts'],
    seeds: texts('pk-sig', 'password "Auth" "a b"', "remote 'x' \\\"y # z", 'a\\ b;c ;d', '"a"b', "''"),
    read: (bytes, pick) => {
      const read = (parts: readonly Buffer[]): string[] => {
        const found: string[] = [];
        const lines = new CommandLines();
        for (const part of parts) lines.push(part, ({ text, tooLong }) => found.push(`${tooLong} ${text}`));
        return found;
      };
      expect(read(pieces(bytes, pick))).toEqual(read([bytes]));
      const words = parseLine(bytes.toString('latin1'), 'latin1');
      if (!words || words.length === 0) return false;
      const line = unlessRefused(() => commandLine(words, 'latin1'));
      if (line !== undefined) expect(parseLine(line, 'latin1')).toEqual(words);
      return true;
    },
  },
  {
    name: 'algorithm texts',
    places: ['/src/signing/algorithm-text.ts'],
    seeds: texts(
      'RSA_PKCS1_PADDING,hashalg=SHA256',
      'RSA_PKCS1_PSS_PADDING,hashalg=SHA384,saltlen=digest',
      'ECDSA,hashalg=SHA512',
      'RSA_NO_PADDING',
      'ECDSA',
      'RSA_PKCS1_PSS_PADDING,hashalg=SHA256,saltlen=max,data=message',
      'ED25519',
      'ED448',
    ),
    words: ['hashalg=', 'saltlen=', 'data=message', 'SHA1', 'auto'],
    read: (bytes) => {
      const algorithm = unlessRefused(() => parseAlgorithmText(bytes.toString('utf8')));
      if (!algorithm) return false;
      expect(parseAlgorithmText(formatAlgorithm(algorithm))).toEqual(algorithm);
      return true;
    },
  },
  {
    name: "URIs and pkcs11-helper's ids",
    places: ['/src/pkcs11/uri.ts', '/src/pkcs11/helper-id.ts'],
    seeds: URIS,
    words: [
      'pkcs11:',
      ';token=',
      ';id=%',
      '?pin-source=',
      '\\x2F',
      'library-version=',
      'slot-id=',
      'type=cert',
      '%C3%28',
    ],
    read: (bytes) => {
      const text = bytes.toString('utf8');
      const uri = unlessRefused(() => parseTokenObject(text));
      if (!uri) return false;
      expect(namesTokenObject(text)).toBe(true);
      expect(parseTokenObject(formatPkcs11Uri(uri))).toEqual(uri);
      return true;
    },
  },
  {
    name: 'exec: keys and sources of secrets',
    places: [
      '/src/exec/exec-text.ts',
      '/src/config/secret-source.ts',
      '/src/config/amounts.ts',
      '/src/config/management-words.ts',
    ],
    seeds: texts(
      'exec:/bin/x a%20b',
      'exec:./x',
      'file:/etc/pin',
      'file:///etc/p%20in',
      'credential:pin',
      'command:echo 1',
      '|x',
      'prompt',
      '64M',
      '7d',
      '127.0.0.1 7505 /etc/pw',
      '/run/x unix',
    ),
    words: ['exec:', 'command:', 'credential:', 'file://', '%00', '..'],
    read: (bytes) => {
      const text = bytes.toString('utf8');
      unlessRefused(() => parseSecretSource(text));
      unlessRefused(() => parseManagementWords(text.split(' '), '--management'));
      for (const amount of [sizeOf(text), ageOf(text)]) if (amount !== undefined) expect(amount).toBeGreaterThan(0);
      if (!isExecText(text)) return false;
      const exec = unlessRefused(() => parseExecText(text));
      if (exec) expect(parseExecText(formatExecText(exec))).toEqual(exec);
      return exec !== undefined;
    },
  },
  {
    name: 'words and names of certificates',
    places: [
      '/src/certificates/words.ts',
      '/src/certificates/name.ts',
      '/src/enrol/subject.ts',
      '/src/enrol/alternative-names.ts',
    ],
    seeds: texts(
      'SUBJ:alice',
      'ISSUER:x SUBJ:"a b"',
      'THUMB:aa bb',
      'TMPL:1.3.6.1.4',
      'CN=alice,O=Ex\\,ample',
      '/O=Example/CN=a\\/b',
      'CN=a+OU=b',
      'DNS:x.example',
      'IP:::1',
      'email:a@b',
      'UPN:a@b',
      'URI:https://x/',
      '192.0.2.1',
      'serial:01 eku:clientAuth',
    ),
    words: ['SUBJ:', 'ISSUER:', 'THUMB:', 'TMPL:', 'and ', 'CN=', '\\2C', 'DNS:', 'UPN:', '1.2.840.113549'],
    read: (bytes) => {
      const text = bytes.toString('utf8');
      nameParts(text);
      unlessRefused(() => parseHint(text));
      return [parseSubject, parseAlternativeName, (each: string) => parseWords([each])]
        .map((parse) => unlessRefused(() => parse(text)))
        .some((result) => result !== undefined);
    },
  },
  {
    name: 'configuration files',
    places: ['/src/config/file/'],
    seeds: TOML,
    words: [
      '[key.x]\n',
      '[tunnel.x]\n',
      'pin-source = ',
      '"""',
      '\n[[',
      '{ a = ',
      '1e400',
      'nan',
      '\\uD800',
      '[token]\n',
    ],
    read: (bytes) => {
      const faults: Fault[] = [];
      const text = decoded(bytes, 'x.toml', faults);
      const tree = text === undefined ? undefined : parseTree(text, 'x.toml', faults);
      if (tree) checkTree(tree, faults);
      const lines = bytes.toString('utf8').split('\n').length;
      for (const { place, message } of faults) {
        expect(message).not.toBe('');
        expect(place.line).toBeGreaterThanOrEqual(1);
        expect(place.line).toBeLessThanOrEqual(lines);
        expect(place.column).toBeGreaterThanOrEqual(1);
      }
      return tree !== undefined;
    },
  },
  {
    name: "OpenVPN's configurations",
    places: ['/src/config/openvpn-lines.ts', '/src/management/wire/words.ts'],
    seeds: OVPN,
    words: ['<ca>\n', '\n</ca>\n', '--', '"', "'", '\\', '#', 'management-external-key '],
    read: (bytes) => {
      const lines = unlessRefused(() => [...readLines(bytes, 'x.ovpn')]);
      for (const { number, words } of lines ?? []) {
        expect(number).toBeGreaterThanOrEqual(1);
        expect(words.length).toBeGreaterThanOrEqual(1);
      }
      return lines !== undefined && lines.length > 0;
    },
  },
  {
    name: 'the control socket',
    places: ['/src/control/protocol.ts'],
    seeds: texts(
      '{"version":1,"command":"status"}',
      '{"version":1,"command":"lock","passphrase":"x"}',
      '{"version":1,"ok":true,"result":{}}',
      '{"version":1,"ok":false,"code":"ERR_LOCKED","error":"x"}',
    ),
    words: ['"version":1', '"command":', 'null', '"ok":', '"__proto__":'],
    read: (bytes) => {
      const text = bytes.toString('utf8');
      unlessRefused(() => readResult(text));
      return unlessRefused(() => readRequest(text)) !== undefined;
    },
  },
];
