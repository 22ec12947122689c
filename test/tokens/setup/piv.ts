import { createPublicKey } from 'node:crypto';
import { copyFile, mkdir, readFile, readlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Bench, KeyName } from '../../support/bench.ts';
import { Child } from '../../support/child.ts';
import {
  library,
  makeBed,
  missing,
  PIN,
  run,
  TokenBed,
  type BedKey,
  type BedParts,
  type TokenSetup,
} from './token-bed.ts';

const CARD = join(import.meta.dirname, '../piv-card.mjs');
/** vpcd's own port, in a network namespace where nobody else is. */
const PORT = 0x8c7b;

/** PIV's slots: 9c wants the PIN with every signature, 9e none at all. */
const SLOTS = [
  { slot: '9a', id: '01', name: 'rsa2048', source: 'rsa2048' },
  { slot: '9c', id: '02', name: 'rsa2048', source: undefined },
  { slot: '9d', id: '03', name: 'p256', source: 'p256' },
  { slot: '9e', id: '04', name: 'p384', source: 'p384' },
] as const;
export type PivSlot = (typeof SLOTS)[number]['slot'];

/** A reader with a card in it, which can be pulled out; and pcscd, which can be killed. */
export class PivBed extends TokenBed {
  #pcscd: Child | undefined;
  #card: Child | undefined;

  /** The key in one of PIV's slots. */
  slot(slot: PivSlot): BedKey {
    const key = this.keys[SLOTS.findIndex((candidate) => candidate.slot === slot)];
    if (!key) throw new Error(`no key ${slot}`);
    return key;
  }

  get pcscd(): Child {
    if (!this.#pcscd) throw new Error('pcscd does not run');
    return this.#pcscd;
  }

  get card(): Child {
    if (!this.#card) throw new Error('there is no card');
    return this.#card;
  }

  /** The tries for the PIN that the card has left. */
  async tries(): Promise<number> {
    return Number(await readFile(this.bench.path('card/tries'), 'utf8').catch(() => '3'));
  }

  /**
   * Starts pcscd where neither its port nor its socket is the machine's: in network and mount namespaces of its own. Its
   * socket's path is compiled in; the namespace's /run is a folder of the bed, where clients find it by PCSCLITE_CSOCK_NAME.
   */
  async startPcscd(): Promise<void> {
    const { bench } = this;
    await mkdir(bench.path('run/pcscd'), { recursive: true });
    const script = `
      ip link set lo up
      for net in 127.0.0.0/8 127.0.0.1; do
        ip route replace local $net dev lo table local proto kernel scope host src 127.0.0.1 quickack 1
      done
      rm -f '${bench.path('run/pcscd/pcscd.comm')}'
      mount --bind '${bench.path('run')}' /run
      exec pcscd --foreground --error --config '${bench.path('reader.conf.d')}'
    `;
    const namespaces = ['--net', '--mount', '--propagation', 'private'];
    this.#pcscd = bench.adopt(new Child('pcscd', 'unshare', [...namespaces, 'sh', '-ec', script]));
    // until it has its namespace, all sockets of the machine would be seen, and other tests' may have that port
    const network = async (pid: number | 'self'): Promise<string> =>
      await readlink(`/proc/${pid}/ns/net`).catch(() => '');
    const own = await network('self');
    while ([own, ''].includes(await network(this.#pcscd.pid))) {
      if (this.#pcscd.ended) throw new Error(this.#pcscd.transcript);
      await sleep(10);
    }
    // vpcd listens when pcscd has loaded the reader's driver
    const listens = new RegExp(`:${PORT.toString(16).toUpperCase().padStart(4, '0')} 0+:0000 0A`);
    while (!listens.test(await readFile(`/proc/${this.#pcscd.pid}/net/tcp`, 'utf8').catch(() => ''))) {
      if (this.#pcscd.ended) throw new Error(this.#pcscd.transcript);
      await sleep(10);
    }
  }

  /** Puts the card in; resolves when the reader sees it. */
  async insert(slow?: number): Promise<void> {
    const inside = [`--net=/proc/${this.pcscd.pid}/ns/net`, '--', process.execPath, CARD];
    const card = new Child('card', 'nsenter', [...inside, this.bench.path('card'), PIN, `${PORT}`], {
      env: slow === undefined ? {} : { SLOW: `${slow}` },
    });
    this.#card = this.bench.adopt(card);
    await card.logged(/inserted/);
    while (!(await this.#sees()).includes('Yes')) await sleep(20);
  }

  /** Pulls the card out; resolves when the reader has noticed. */
  async remove(): Promise<void> {
    await this.card.stop();
    while ((await this.#sees()).includes('Yes')) await sleep(20);
    // pcscd looks at its readers every 400 ms: a card that comes back sooner may stay unseen for ever
    await sleep(1_000);
  }

  /** OpenSC's list of readers, with the word Yes where there is a card. */
  async #sees(): Promise<string> {
    return await run('opensc-tool', ['-l'], { env: this.environment }).catch(() => '');
  }
}

async function makeKeys(bench: Bench, uri: (id: string) => string): Promise<BedKey[]> {
  await mkdir(bench.path('card'));
  return await Promise.all(
    SLOTS.map(async ({ slot, id, name, source }) => {
      const file = bench.path(`card/${slot}.pem`);
      const certificate = bench.path(`card/${slot}.crt`);
      if (source === undefined) await run('openssl', ['genpkey', '-quiet', '-algorithm', 'RSA', '-out', file]);
      else await copyFile(bench.recipe(`${source}.pem`), file);
      // OpenSC reads from it what the key is for
      const usage = ['-addext', 'keyUsage=digitalSignature', '-subj', `/CN=piv ${slot}`, '-days', '30'];
      await run('openssl', ['req', '-new', '-x509', '-key', file, ...usage, '-out', certificate]);
      const key: KeyName = name;
      return { name: key, uri: uri(id), publicKey: createPublicKey(await readFile(certificate)), certificate };
    }),
  );
}

async function startPiv(modulePath: string, uri: (id: string) => string): Promise<PivBed> {
  const plain = await makeBed(async (bench): Promise<BedParts> => {
    const keys = await makeKeys(bench, uri);
    await mkdir(bench.path('reader.conf.d'));
    await writeFile(
      bench.path('reader.conf.d/vpcd'),
      [
        'FRIENDLYNAME "Yubico YubiKey OTP+FIDO+CCID"',
        `DEVICENAME /dev/null:0x${PORT.toString(16)}`,
        `LIBPATH ${library('serial/libifdvpcd.so')}`,
        `CHANNELID 0x${PORT.toString(16)}`,
      ].join('\n'),
    );
    return { modulePath, keys, pin: PIN, environment: { PCSCLITE_CSOCK_NAME: bench.path('run/pcscd/pcscd.comm') } };
  });
  const bed = new PivBed(plain.bench, plain.pinFile, plain);
  try {
    await bed.startPcscd();
    await bed.insert();
    return bed;
  } catch (error) {
    const { transcript } = bed.bench;
    await bed.stop();
    throw new Error(transcript, { cause: error });
  }
}

/** NIST SP 800-78-4 allows no more. */
const PIV_LACKS = { 'P-521': 'no such keys', Ed25519: 'no such keys', Ed448: 'no such keys' } as const;
const TOOLS = ['pcscd', 'opensc-tool', 'openssl', 'ip', 'unshare', 'nsenter'];

/** A setup whose beds can lose their card. */
export interface PivSetup extends TokenSetup {
  readonly start: () => Promise<PivBed>;
}

export const openScSetup: PivSetup = {
  name: 'OpenSC',
  packages: ['opensc', 'pcscd', 'vsmartcard-vpcd', 'iproute2', 'util-linux'],
  lacks: PIV_LACKS,
  unavailable: () => missing(['opensc-pkcs11.so', 'serial/libifdvpcd.so'], TOOLS, true),
  start: () => startPiv(library('opensc-pkcs11.so'), (id) => `id=%${id}`),
};

export const ykcs11Setup: PivSetup = {
  name: 'ykcs11',
  packages: ['ykcs11', 'opensc', 'pcscd', 'vsmartcard-vpcd', 'iproute2', 'util-linux'],
  lacks: PIV_LACKS,
  unavailable: () => missing(['libykcs11.so.2', 'serial/libifdvpcd.so'], TOOLS, true),
  start: () => startPiv(library('libykcs11.so.2'), (id) => `id=%${id}`),
};
