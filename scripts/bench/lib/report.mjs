// What was measured, as text, page, plot and data.
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { plot } from './plot.mjs';

const HEAD = `# How fast pksigd is

This page is written by \`npm run bench\`. Times differ from machine to machine, so nearly all figures are ratios: both sides were
measured in the same run, in turns, on one CPU unless something else is said. Less is better, unless something else is said. What
we want stands in brackets.

“C” is the least that can sign: an agent of some 300 lines in C (\`scripts/bench/agent.c\`) which checks nothing and logs
nothing. “C, verifies” verifies each signature before it is sent, by OpenSSL, as pksigd does.
`;

const TAIL = `## What keeps it from being faster

Sampled by \`perf\` on Node 20, one CPU, a P-256 key in a file, digests, 1,500 requests two milliseconds apart. Shares of the
agent's time:

- a quarter is signing: OpenSSL makes the signature, and imports the key that the digest was moved to ([SIGNING.md](SIGNING.md));
- a sixth is verifying: two inverses in JavaScript, the import of a public key, OpenSSL's verification. Node has no function for
  a digest that is ready; one that had it, or an addon in C, would take a third of this. We keep to one native part, the one that
  tokens need;
- an eighth is V8, which compiles what was run often, on a thread of its own: on one CPU that comes out of the time of requests,
  and is most of p99. After some 5,000 requests it is over;
- a tenth is reading and writing sockets; the lines of the log, some 2 %, are made while nobody waits;
- the rest is our own code, run cold: between two requests other processes have used the caches. A bare Node that only reads,
  signs, verifies and writes, without protocol, deadline or log, takes about half of pksigd's time, and twice that of C.

RSA on many tunnels: a signature takes SoftHSM some 600 µs of CPU, whoever asks. With two processes both CPUs are busy, with 790 µs
in the module hosts and 500 in the agent, which verifies, answers and logs: the rate of C in two threads would leave 70 for that.
Sampled with 64 tunnels, shares of the agent's time: an eighth is V8's compilers; a ninth is verifying, half of it OpenSSL's public
operation (of some 60 µs 30, the rest hashes of the PSS mask); a twelfth writes answers, a twelfth reads what module hosts say; the
log is a twentieth. The rest is spread over streams, promises and our own steps, none of which stands out.

A further daemon takes 4.8 KB of the heap at rest, of which 1.3 is Node's socket. The rest of its resident memory is of two kinds,
both of the start, when all of them come at once. V8's young generation grows with what outlives its collections, by doubling, and
V8 gives it back within a minute and a half (Node 20). And the compilers: on Node 24 and 26 what 1,000 connections made hot costs
20 MB once, 10 of them Maglev's and 6 TurboFan's alone.

The start with a token: two programs start, agent and module host, each as long as \`node -e 0\`; the rest is as with a file. The PIN's
record, which is written before the login, costs its two syncs of the disk: its hash (scrypt, twice as long as \`node -e 0\`) is made
only where something is remembered ([PIN.md](PIN.md)).

The start with a file, in milliseconds of CPU on Node 20: 18 until Node runs our first line, 4 until program and kept code are read,
4 for V8 to take the kept code, 8 for the modules (nearly all of it Node's own: net, crypto, tty, fs/promises, child_process),
11 from the arguments to the connection, 4 for the first signature. No part of it is large.

A handshake over a connection that pksigd makes is an agent's first here, and so runs cold, in part: before a daemon comes, \`run\`
rehearses with one that it plays. One that listens serves all rounds.

A handshake over a connection that pksigd makes, P-256, taken apart by the logs of both sides, once, on a machine with other work:
of the 15 ms from the daemon's socket to “Peer Connection Initiated” 1 goes until pksigd is connected, 2 until the hold is
released, 3 to the signature, each with code that runs for the first or second time; the rest is OpenVPN's own, on both ends. With
an agent that had waited for a minute a handshake took 1.30 (RSA-2048) and 1.49 (P-256) of the built-in PKCS#11's.

On the newest Node (26.10) the same run on the same machine gave, beside C that verifies, p50 (p99): SoftHSM P-256 digest 2.83 (4.2),
message 2.34 (5.7), Ed25519 1.30 (2.5), RSA-2048 1.47 (1.5), RSA-4096 0.60 (0.8; why it is less than C's was not looked into); file P-256
digest 4.21 (5.9), message 2.34 (3.0), RSA-2048 1.68 (2.7), RSA-4096 0.46. Many tunnels: P-256 0.26; RSA-2048 1.13, and 0.61 of C in two
threads. Start: file 2.98, token 5.22. At rest 1.47 of a bare Node; 29 KB a daemon of 1,000. Handshakes beside the built-in PKCS#11:
listening 0.97 and 0.99, connecting 1.19 to 1.46.

## What was tried

Each in turns with the build before it. Kept:

- *\`NODE_EXTRA_CA_CERTS\` kept from our own processes:* where it is set, Node parses all root certificates before its first line,
  and a start takes three times as long.
- *A start that loads what its settings ask for:* a tenth of our files, and child_process, dns and perf_hooks, are left out: 0.8 MB
  less; in the time nothing that shows.
- *No hash of a PIN that nothing is remembered beside:* start with a token 6.5 to 4.5 times \`node -e 0\`.
- *Lehmer's steps for the two inverses of a verification:* a P-256 digest is verified in 0.83 of the time.
- *A rehearsal:* a first handshake over a connection that pksigd makes takes 0.85 of the time with P-256, 0.86 to 0.95 with RSA-2048, and
  the agent 2 MB more. Six rounds in place of two gave 0.01 more, for 8 MB; forty no more than six.
- *Nothing held for a daemon at rest:* sets and maps made when they are needed, notifications handed out in place of an iterator
  that waits, no signals for a greeting, one listener a tunnel. 8.9 KB of the heap to 4.8; resident, a daemon of 1,000: 23 to 13 KB
  on Node 20, 38 to 29 on 24, 34 to 26 on 26; of 5,000 on 20: 19 to 11.

Not kept:

- *A startup snapshot (\`--snapshot-blob\`):* with all of Node's modules that we use in it, a start takes 0.97 of what loading them
  takes. It would have to be made anew for each Node, which ends at once if it is not, and Node 20 warns of three of the modules.
- *V8's flags.* \`--no-opt\`, \`--interrupt-budget\` of 400,000 and a million: 1.13 to 1.17 of the p50, and p99 within its own noise.
  \`--maglev\`, \`--single-threaded-gc\`, a smaller or larger young generation: within 0.05 of the p50. On Node 20 any flag that V8
  hashes makes it refuse the code that Node keeps of its own modules: \`--max-semi-space-size=1\` makes the start with a file a
  quarter longer, and takes 1.3 MB more. With it, 1,000 daemons take 15 in place of 28 KB each (24 and 26: 24 in place of 35 to 39,
  at no cost). \`--semi-space-growth-factor=1\`, set when the start is over: 19 on Node 20, nothing on 24 and 26. \`--lite-mode\`: 7, and
  code that is never optimized. A full collection at rest gives nothing back: the young generation does not shrink. Set before
  the daemons come, \`--semi-space-growth-factor=1\` takes a third more off (8.5 in place of 12.8 on 20; 24 and 26: some 8 less), but
  Node promises nothing of flags that change under a running V8, and code that was kept is refused under them.
- *Fewer arenas of glibc,* \`MALLOC_ARENA_MAX=1\`: 10.9 in place of 12.8 KB a daemon on Node 20, less than a tenth on 24, nothing on
  26; with a small \`MALLOC_TRIM_THRESHOLD_\` 10.2. Module hosts and commands would inherit it.
- *\`v8.queryObjects\` to have V8 collect all and shrink:* 18 in place of 25 KB, and the agent stands still for a third of a second to
  over one.
- *ECDSA by ECDH:* x of (r/s)·(Q + (e/r)·G) by \`computeSecret\` needs no moved key. P-256: 0.6 of the time on Node 20, 1.1 to 1.2 on 24
  and 26; P-384 and P-521: 1.4 to 2.2, as OpenSSL checks the pair of keys each time.
- *The state of a daemon only after its first signature,* to leave the CPU to the handshake: no difference.
- *The kind of a key and the names of ways, once a key:* 0.1 and 1 µs a signature.

## To run it

\`\`\`sh
npm run build && scripts/bench/setup
npm run bench                                          # all of this, in some ten minutes; writes this page
npm run bench -- --only start --only memory            # some of it
npm run bench -- --against FOLDER                      # beside another checkout that is built too
npm run bench -- --node PATH                           # with another Node
npm run bench -- --realtime                            # on a busy machine, by root
node scripts/bench/latency.mjs --only 'softhsm p256 digest' --rounds 3   # one thing, quickly
\`\`\`

The programs' heads say more. All figures of this run: [performance.json](performance.json).
`;

/** A row for a terminal. */
export function rowText({ what, cells }) {
  const words = Object.entries(cells).map(([name, cell]) => `${name} ${cellText(cell)}`);
  return `${what}: ${words.join('; ')}`;
}

/** Writes page, plot and data into a folder. */
export function write(folder, results, node) {
  const json = JSON.stringify({ ...aboutRun(node), results }, rounded, 1);
  const run = JSON.parse(json);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'performance.json'), `${json}\n`);
  writeFileSync(join(folder, 'performance.svg'), plot(run.results));
  writeFileSync(join(folder, 'PERFORMANCE.md'), page(run));
}

function aboutRun(node) {
  return {
    node: execFileSync(node, ['--version'], { encoding: 'utf8' }).trim(),
    openssl: execFileSync(node, ['-p', 'process.versions.openssl'], { encoding: 'utf8' }).trim(),
    cpus: availableParallelism(),
  };
}

function rounded(_, value) {
  return typeof value === 'number' ? Number(value.toPrecision(4)) : value;
}

function page({ node, openssl, cpus, results }) {
  const about = `This run: Node ${node} with its OpenSSL ${openssl}, on a machine with ${cpus} CPUs.\n`;
  const picture = '![One signature, beside the agent in C](performance.svg)\n';
  return [HEAD, about, picture, ...results.map(section), TAIL].join('\n');
}

function section({ title, says, rows }) {
  return `## ${title}\n\n${wrapped(says)}\n\n${tablesOf(rows).map(markdown).join('\n')}`;
}

/** In lines of at most 120 characters. */
function wrapped(text) {
  return text.replace(/(.{1,120})(?: |$)/g, '$1\n').trimEnd();
}

/** Rows with the same columns make a table. */
function tablesOf(rows) {
  const tables = new Map();
  for (const row of rows) {
    const columns = Object.keys(row.cells).join('|');
    tables.set(columns, [...(tables.get(columns) ?? []), row]);
  }
  return [...tables.values()];
}

function markdown(rows) {
  const columns = Object.keys(rows[0].cells);
  const lines = [['', ...columns], columns.reduce((line) => [...line, '---:'], ['---'])];
  for (const { what, cells } of rows) lines.push([what, ...Object.values(cells).map(cellText)]);
  return `${lines.map((line) => `| ${line.join(' | ')} |`).join('\n')}\n`;
}

function cellText({ value, atMost, atLeast }) {
  const text = value >= 100 ? value.toFixed(0) : value.toFixed(2);
  if (atMost !== undefined) return `${text} (at most ${atMost})`;
  return atLeast === undefined ? text : `${text} (at least ${atLeast})`;
}
