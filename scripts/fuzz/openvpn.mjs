// npm run fuzz:openvpn -- [--seconds 600] [--seed N]
//
// Reads odd configurations and odd lines of the management interface as we do, and has a real openvpn read the same: the words, the
// settings that they make, or the fault and its line must be the same. Prints what differs, and exits with 1 then. After a build;
// another openvpn than the installed one by OPENVPN.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { readOpenVpnConfig } from '../../dist/config/openvpn-config.js';
import { readWords } from '../../dist/management/wire/words.js';
import { random } from '../lib/random.mjs';

const { values: flags } = parseArgs({
  options: { seconds: { type: 'string', default: '600' }, seed: { type: 'string', default: String(Date.now() % 1e6) } },
});
const OPENVPN =
  process.env['OPENVPN'] ?? ['/usr/sbin/openvpn', '/usr/local/sbin/openvpn'].find(existsSync) ?? 'openvpn';
/** Configurations that are read at a time, each by a process of its own. */
const WORKERS = 2;
const folder = mkdtempSync(join(tmpdir(), 'pksigd-fuzz-'));
const end = Date.now() + Number(flags.seconds) * 1000;
const differences = [];
const counts = { configurations: 0, refused: 0, lines: 0 };
/** What daemons complained of that is no matter of form. */
const unclear = new Map();

// what is tried

const LETTERS = [
  'a',
  'b',
  'x',
  '7',
  '-',
  '<',
  '>',
  '/',
  '.',
  '[',
  '=',
  '%',
  '\xa0',
  '\xe4',
  '\x01',
  '\x7f',
  '\xff',
  '\x85',
];
const SPECIAL = [
  '"',
  "'",
  '\\',
  '\\\\',
  '\\"',
  "\\'",
  '\\ ',
  '#',
  ';',
  ' ',
  '\t',
  '\v',
  '\f',
  '\r',
  '\0',
  '""',
  "''",
  '\\#',
  '\\\t',
  '\\n',
];

/** One character of so many is a special one: most files are taken. */
let rarity = 4;

function wordOf(pick) {
  if (pick(6 * rarity) === 0) return 'y'.repeat(pick(3) === 0 ? 240 + pick(30) : pick(60));
  let word = '';
  for (let left = pick(7); left >= 0; left--)
    word += pick(rarity) === 0 ? SPECIAL[pick(SPECIAL.length)] : LETTERS[pick(LETTERS.length)];
  if (pick(4) === 0) return `"${word}"`;
  return pick(6) === 0 ? `'${word}'` : word;
}

const wordsOf = (pick, most) =>
  Array.from({ length: pick(most + 1) }, () => wordOf(pick)).join(pick(8) === 0 ? '\t ' : ' ');

/** Directives whose words a daemon shows, with the usual number of words. */
const SHOWN = {
  'pkcs11-providers': 15,
  'pkcs11-id': 1,
  remote: 2,
  'tls-cipher': 1,
  'remote-cert-eku': 1,
  'management-client-user': 1,
  'management-client-group': 1,
};
const FLAGS = [
  'management-client',
  'management-hold',
  'management-signal',
  'management-forget-disconnect',
  'management-query-passwords',
];
const TAGS = ['tls-crypt', 'extra-certs', 'auth-user-pass', 'http-proxy-user-pass', 'x', ''];

function lineOf(pick) {
  const prefix = ['', '', '', '', '--', ' ', '\t--', 'setenv opt ', '"', '-'][pick(rarity > 4 ? 8 : 10)];
  switch (pick(12)) {
    case 0:
      return `${prefix}management ${wordOf(pick)} ${pick(2) === 0 ? 'unix' : wordOf(pick)}`;
    case 1:
      return `${prefix}${FLAGS[pick(FLAGS.length)]}${pick(2 * rarity) === 0 ? ` ${wordOf(pick)}` : ''}`;
    case 2:
      return `${'#;'[pick(2)]}${wordsOf(pick, 4)}`;
    case 3:
      return blockOf(pick, TAGS[pick(rarity > 4 ? 2 : TAGS.length)], prefix);
    case 4:
      return `${prefix}ignore-unknown-option ${wordsOf(pick, 4)}`;
    case 5:
      return [
        `config inc.conf`,
        `cd sub`,
        `cd .`,
        `setenv NOTE ${wordOf(pick)}`,
        `${prefix}setenv ${wordsOf(pick, 3)}`,
      ][pick(5)];
    case 6:
      return pick(rarity) === 0 ? `${'z'.repeat(pick(3))}${wordsOf(pick, 3)}` : `setenv ZZ ${wordOf(pick)}`;
    case 7:
      return `setenv PAD ${'p'.repeat((rarity > 4 ? 234 : 240) + pick(10))}`;
    default: {
      const names = Object.keys(SHOWN);
      const name = names[pick(names.length)];
      const usual = SHOWN[name];
      const count = pick(3 * rarity) === 0 ? pick(18) : usual > 2 ? 1 + pick(usual) : usual;
      return `${prefix}${name} ${Array.from({ length: count }, () => wordOf(pick)).join(' ')}`;
    }
  }
}

function blockOf(pick, tag, prefix) {
  const lines = Array.from(
    { length: pick(4) },
    () => [wordsOf(pick, 3), 'q'.repeat(250 + pick(10)), '', `<${tag}>`][pick(4)],
  );
  const close = [`</${tag}>`, `</${tag}>`, `</${tag}>`, ` \v</${tag}>x`, `</${tag.toUpperCase()}>`, ''][
    pick(rarity > 4 ? 4 : 6)
  ];
  const begin = [`<${tag}>`, `<${tag}>`, `"<${tag}>"`, `<${tag}> # x`, `<${tag}> x`, `<${tag}`][
    pick(rarity > 4 ? 4 : 6)
  ];
  return [`${prefix}${begin}`, ...lines, close].join('\n');
}

function fileOf(pick) {
  rarity = [4, 20, 200][pick(3)];
  const lines = Array.from({ length: 1 + pick(7) }, () => lineOf(pick));
  let text = lines.join(pick(5) === 0 ? '\r\n' : '\n') + ['\n', '\n', '', '\r\n', '\0'][pick(5)];
  if (pick(8) === 0) text = `\xef\xbb\xbf${text}`;
  for (let changes = pick(5) === 0 ? pick(4) : 0; changes > 0; changes--) {
    const at = pick(text.length);
    const odd = [...SPECIAL, '\n', '\xef\xbb\xbf', '<', ''][pick(SPECIAL.length + 4)];
    text = text.slice(0, at) + odd + text.slice(at + pick(2));
  }
  return Buffer.from(text, 'latin1');
}

// what the daemon makes of a configuration

const FAULTS = [
  ['Bad backslash', /Bad backslash/],
  ['No closing single', /No closing single/],
  ['No closing quotation', /No closing quotation/],
  ['Parameter is too long', /Parameter (?:at|is too long)/],
  ['Residual', /Residual/],
  ['Maximum option line', /Maximum option line/],
  ['Endtag', /Endtag/],
  ['Unrecognized', /Unrecognized option or missing|Unrecognized option '|takes /],
  ['levels', /recursive|levels deep/],
];
const faultOf = (text) => FAULTS.find(([, pattern]) => pattern.test(text))?.[0];
/** Where a fault is, if it is said. */
function placeIn(text) {
  const [, file, line] = /\b(odd|inc)\.conf:(\d+)/.exec(text) ?? [];
  return { file, line: line === undefined ? undefined : Number(line) };
}

const ARGUMENTS = [
  '--verb',
  '4',
  '--dev',
  'null',
  '--tls-client',
  '--nobind',
  '--ca',
  join(folder, 'ca.crt'),
  '--remote',
  'r',
  '1',
];
const LIST = 'pkcs11_providers';

function daemonReads(place) {
  const args = [...ARGUMENTS, '--pkcs11-id', 'i', '--management', '/nonexistent/m', 'unix', '--config', 'odd.conf'];
  return new Promise((resolve) => {
    const daemon = spawn(OPENVPN, args, { cwd: place, stdio: ['ignore', 'pipe', 'pipe'] });
    let stdout = '';
    for (const stream of [daemon.stdout, daemon.stderr])
      stream.setEncoding('latin1').on('data', (text) => {
        stdout += text;
        // its settings are shown: what it would do with them is of no interest
        if (/ us=\d+ OpenVPN \d/.test(stdout)) daemon.kill('SIGKILL');
      });
    daemon.on('close', () => {
      const entries = stdout.split(/^\d{4}-\d\d-\d\d [\d:]+ us=\d+ /m).map((entry) => entry.replace(/\n$/, ''));
      const all = (name) =>
        entries.filter((entry) => entry.startsWith(`  ${name} = `)).map((entry) => entry.slice(name.length + 5));
      if (all('mode').length === 0) {
        const lines = stdout.split('\n').map((each) => each.replace(/^\d{4}-\d\d-\d\d [\d:]+ (?:us=\d+ )?/, ''));
        // what stands before may be a warning
        const said = lines.findLast((each) => faultOf(each) !== undefined) ?? lines.join('\n');
        resolve({ fault: faultOf(said), ...placeIn(said), said });
        return;
      }
      // words of ours are UTF-8: bytes that are none are lost
      const decoded = (value) => Buffer.from(value, 'latin1').toString('utf8');
      const text = (value) =>
        value === "'[UNDEF]'" || value === '[UNDEF]' ? undefined : decoded(value.replace(/^'([^]*)'$/, '$1'));
      const one = (name) => text(all(name)[0] ?? '[UNDEF]');
      resolve({
        settings: {
          // the only one without quotes
          [LIST]: all(LIST).map(decoded),
          pkcs11_id: one('pkcs11_id'),
          remote: all('remote').map(text),
          remote_port: all('remote_port').map(text),
          cipher_list: one('cipher_list'),
          remote_cert_eku: one('remote_cert_eku'),
          management_addr: one('management_addr'),
          management_port: one('management_port'),
          management_client_user: one('management_client_user'),
          management_client_group: one('management_client_group'),
          flags: Number(one('management_flags')),
        },
      });
    });
  });
}

// what we make of it

/** Those that openvpn was built with. */
let usualProviders = [];

/** The bits of management_flags (manage.h). */
const FLAG = {
  'management-query-passwords': 1 << 1,
  'management-hold': 1 << 2,
  'management-signal': 1 << 3,
  'management-forget-disconnect': 1 << 4,
  'management-client': 1 << 5,
  unix: 1 << 8,
};

async function weRead(place) {
  const settings = {
    [LIST]: [...usualProviders],
    pkcs11_id: 'i',
    remote: ['r'],
    remote_port: ['1'],
    cipher_list: undefined,
    remote_cert_eku: undefined,
    management_addr: '/nonexistent/m',
    management_port: 'unix',
    management_client_user: undefined,
    management_client_group: undefined,
    flags: FLAG.unix,
  };
  const single = {
    'pkcs11-id': 'pkcs11_id',
    'tls-cipher': 'cipher_list',
    'remote-cert-eku': 'remote_cert_eku',
    'management-client-user': 'management_client_user',
    'management-client-group': 'management_client_group',
  };
  const take = ({ words: [name, ...bytes] }) => {
    // with another number of words it counts for nothing, or is refused, which is not ours to judge
    const [least, most] = name in single ? [1, 1] : name === 'remote' ? [1, 2] : [0, Infinity];
    if (bytes.length < least || bytes.length > most) return;
    if (name in single) settings[single[name]] = bytes[0];
    else if (name === 'pkcs11-providers') for (const [at, word] of bytes.entries()) settings[LIST][at] = word;
    else if (name === 'remote') {
      settings.remote.push(bytes[0]);
      settings.remote_port.push(bytes[1] ?? '1194');
    } else if (name === 'management') {
      [settings.management_addr, settings.management_port] = bytes;
      if (bytes[1] === 'unix') settings.flags |= FLAG.unix;
    } else if (name in FLAG) settings.flags |= FLAG[name];
  };
  try {
    await readOpenVpnConfig(join(place, 'odd.conf'), undefined, take);
    return { settings };
  } catch (error) {
    return { fault: faultOf(error.message), ...placeIn(error.message), said: error.message };
  }
}

/** How the two differ; undefined if they do not, as far as can be seen. */
function difference(theirs, ours) {
  if (theirs.fault === undefined && theirs.settings === undefined) {
    const what =
      theirs.said
        .split('\n')
        .find((line) => /error|fail|must/i.test(line) && !line.startsWith('Exiting'))
        ?.slice(0, 60) ?? theirs.said.slice(-150);
    unclear.set(what, (unclear.get(what) ?? 0) + 1);
    return undefined;
  }
  if (theirs.settings && ours.settings) {
    const [one, other] = [JSON.stringify(theirs.settings), JSON.stringify(ours.settings)];
    return one === other ? undefined : 'settings';
  }
  counts.refused += 1;
  if (theirs.settings) return `we refuse it: ${ours.said}`;
  // which directives there are, and how many words most take, is not ours to judge: the daemon stops there
  const isSamePlace = theirs.line === undefined || (theirs.file === ours.file && theirs.line === ours.line);
  if (theirs.fault === 'Unrecognized') {
    const isEarlier = !ours.settings && theirs.file === ours.file && ours.line < theirs.line;
    return isEarlier ? `we refuse it earlier: ${ours.said}` : undefined;
  }
  if (ours.settings) return 'we take it';
  return theirs.fault === ours.fault && isSamePlace ? undefined : `another fault: ${ours.said}`;
}

function tell(what, input, theirs, ours) {
  differences.push(what);
  console.log(`\n${what}`);
  for (const [name, bytes] of Object.entries(input))
    console.log(`  ${name}: ${JSON.stringify(bytes.toString('latin1'))}`);
  console.log(`  openvpn: ${JSON.stringify(theirs).slice(0, 2000)}\n  we: ${JSON.stringify(ours).slice(0, 2000)}`);
}

async function configurations(worker) {
  const pick = random(Number(flags.seed) * WORKERS + worker);
  const place = join(folder, String(worker));
  mkdirSync(join(place, 'sub'), { recursive: true });
  while (Date.now() < end && differences.length < 10) {
    const input = { 'odd.conf': fileOf(pick), 'inc.conf': fileOf(pick) };
    for (const [name, bytes] of Object.entries(input)) writeFileSync(join(place, name), bytes);
    const [theirs, ours] = await Promise.all([daemonReads(place), weRead(place)]);
    counts.configurations += 1;
    const what = difference(theirs, ours);
    if (what !== undefined) tell(what, input, theirs, ours);
  }
}

// lines of the management interface: a daemon repeats the name of a signal that it does not know

async function managementLines() {
  const pick = random(Number(flags.seed));
  const path = join(folder, 'management');
  const args = [
    ...ARGUMENTS,
    '--pull',
    '--auth-user-pass',
    '--management-query-passwords',
    '--management',
    path,
    'unix',
    '--management-hold',
  ];
  const daemon = spawn(OPENVPN, args, { cwd: join(folder, '0'), stdio: 'ignore' });
  try {
    while (!existsSync(path)) {
      if (daemon.exitCode !== null) throw new Error('openvpn has ended');
      await sleep(20);
    }
    const socket = connect(path);
    const lines = createInterface({ input: socket.setEncoding('latin1') })[Symbol.asyncIterator]();
    const next = async () => (await lines.next()).value;
    while (!(await next()).startsWith('>HOLD'));
    while (Date.now() < end && differences.length < 10) {
      // control characters are dropped before, by other rules; and what is no line of one
      const line = `signal ${wordsOf(pick, 3)}`.replace(/[\x00-\x08\x0e-\x1f\x7f\r\n]/g, '').slice(0, 700);
      socket.write(Buffer.from(`${line}\n`, 'latin1'));
      const theirs = await Promise.race([next(), sleep(5_000, 'no reply', { ref: false })]);
      counts.lines += 1;
      const ours = expected(line);
      if (!theirs.startsWith(`ERROR: ${ours}`)) tell('a line', { line: Buffer.from(line, 'latin1') }, theirs, ours);
    }
    socket.destroy();
  } finally {
    daemon.kill();
  }
}

function expected(line) {
  // blanks but the space and the tab are dropped too (command_line_add in manage.c)
  const words = readWords(line.replace(/[\t\v\f]/g, ''), 'latin1');
  if ('fault' in words)
    return words.fault.startsWith('Parameter')
      ? 'Options error: Parameter at'
      : words.fault.startsWith('Bad')
        ? 'Options warning: Bad backslash'
        : `Options error: ${words.fault}`;
  return words.length < 2
    ? "the 'signal' command requires 1 parameter"
    : `signal '${words[1]}' is not a known signal type`;
}

try {
  writeFileSync(join(folder, 'ca.crt'), '');
  mkdirSync(join(folder, '0'));
  writeFileSync(join(folder, '0/odd.conf'), '');
  usualProviders = (await daemonReads(join(folder, '0'))).settings[LIST];
  await Promise.all([...Array.from({ length: WORKERS }, (_, worker) => configurations(worker)), managementLines()]);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
for (const [what, count] of unclear) console.log(`not compared, ${count} times: ${what}`);
console.log(`seed ${flags.seed}: ${JSON.stringify(counts)}, ${differences.length} differences`);
process.exitCode = differences.length > 0 ? 1 : 0;
