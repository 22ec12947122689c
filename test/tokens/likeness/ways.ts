// How each of the keys signs.
import { constants, createHash, verify, type KeyObject } from 'node:crypto';
import pkcs11js, { type Mechanism, type RsaPSS } from 'pkcs11js';
import { CKM, PSS_HASHES } from '../../../src/pkcs11/constants.ts';
import type { SimulatedKey } from '../../simulation/keys.ts';

export const MESSAGE: Buffer = Buffer.from('what is signed');
export const DIGEST: Buffer = createHash('sha256').update(MESSAGE).digest();
const DIGEST_INFO = Buffer.concat([Buffer.from('3031300d060960864801650304020105000420', 'hex'), DIGEST]);

function pss(saltLen: number): Mechanism {
  const parameter: RsaPSS = { type: pkcs11js.CK_PARAMS_RSA_PSS, ...PSS_HASHES.SHA256, saltLen };
  return { mechanism: CKM.RSA_PKCS_PSS, parameter };
}

export interface Way {
  readonly key: SimulatedKey['type'];
  readonly what: string;
  readonly mechanism: Mechanism;
  readonly data: Buffer;
  readonly verifies: (signature: Buffer, key: KeyObject) => boolean;
  /** Data that it does not take, or takes. */
  readonly odd: readonly Buffer[];
}

export const WAYS: readonly Way[] = [
  {
    key: 'RSA',
    what: 'RSA_PKCS',
    mechanism: { mechanism: CKM.RSA_PKCS },
    data: DIGEST_INFO,
    verifies: (signature, key) => verify('sha256', MESSAGE, key, signature),
    odd: [Buffer.alloc(0), Buffer.alloc(245, 1), Buffer.alloc(246, 1), Buffer.alloc(300, 1)],
  },
  {
    key: 'RSA',
    what: 'RSA_PKCS_PSS',
    mechanism: pss(32),
    data: DIGEST,
    verifies: (signature, key) =>
      verify('sha256', MESSAGE, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 }, signature),
    odd: [Buffer.alloc(0), Buffer.alloc(31, 1), Buffer.alloc(33, 1)],
  },
  {
    key: 'RSA',
    what: 'RSA_PKCS_PSS without salt',
    mechanism: pss(0),
    data: DIGEST,
    verifies: (signature, key) =>
      verify('sha256', MESSAGE, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 0 }, signature),
    odd: [],
  },
  {
    key: 'EC',
    what: 'ECDSA',
    mechanism: { mechanism: CKM.ECDSA },
    data: DIGEST,
    verifies: (signature, key) => verify('sha256', MESSAGE, { key, dsaEncoding: 'ieee-p1363' }, signature),
    odd: [Buffer.alloc(20, 1), Buffer.alloc(64, 1)],
  },
  {
    key: 'ED25519',
    what: 'EDDSA',
    mechanism: { mechanism: CKM.EDDSA },
    data: MESSAGE,
    verifies: (signature, key) => verify(null, MESSAGE, key, signature),
    odd: [Buffer.alloc(4096, 1)],
  },
];
