import { verify } from 'node:crypto';
import { CKA, CKM, CKO } from '../../../src/pkcs11/constants.ts';
import type { SimulatedKey } from '../../simulation/keys.ts';
import { type Calls, CONTEXT_SPECIFIC, LABEL, PIN } from './calls.ts';
import { DIGEST, MESSAGE, WAYS } from './ways.ts';

export interface Script {
  readonly name: string;
  readonly key: SimulatedKey['type'];
  readonly alwaysAuthenticates?: boolean;
  readonly make: (calls: Calls) => void;
}

const WRONG = '000000';

const signing: Script[] = WAYS.flatMap(({ key, what, mechanism, data, verifies, odd }): Script[] => [
  {
    name: `${what} signs`,
    key,
    make: (calls) => {
      const session = calls.ready();
      const object = calls.privateKey(session);
      for (let times = 0; times < 2; times += 1) {
        calls.signInit(session, mechanism, object);
        calls.sign(session, data, (signature) => verifies(signature, calls.publicKey));
      }
      calls.sign(session, data);
      calls.finalize();
    },
  },
  ...odd.map(
    (given): Script => ({
      name: `${what} of ${given.length} bytes`,
      key,
      make: (calls) => {
        const session = calls.ready();
        calls.signInit(session, mechanism, calls.privateKey(session));
        calls.sign(session, given);
        // whether the operation is over
        calls.sign(session, data, (signature) => verifies(signature, calls.publicKey));
        calls.finalize();
      },
    }),
  ),
]);

const FOREIGN: readonly (readonly [key: SimulatedKey['type'], mechanism: number])[] = [
  ['RSA', CKM.ECDSA],
  ['RSA', CKM.EDDSA],
  ['EC', CKM.RSA_PKCS],
  ['EC', CKM.EDDSA],
  ['ED25519', CKM.ECDSA],
  ['EC', 0x7fff_0000],
];

export const SCRIPTS: readonly Script[] = [
  {
    name: 'before C_Initialize, and behind C_Finalize',
    key: 'EC',
    make: (calls) => {
      calls.finalize();
      calls.call('C_GetSlotList', (module) => module.C_GetSlotList(true));
      calls.call('C_GetInfo', (module) => module.C_GetInfo());
      calls.initialize();
      calls.initialize();
      const session = calls.open();
      calls.finalize();
      calls.finalize();
      calls.close(session);
      calls.initialize();
      calls.close(session);
      calls.finalize();
    },
  },
  {
    name: 'slots and tokens',
    key: 'RSA',
    make: (calls) => {
      calls.initialize();
      const strange = Buffer.from('ffff000000000000', 'hex');
      const text = (value: string): string => value.replaceAll(/[ \0]+$/g, '');
      calls.call(
        'C_GetTokenInfo',
        (module) => module.C_GetTokenInfo(calls.slot()),
        ({ label, minPinLen, flags }) => [text(label), typeof minPinLen, typeof flags],
      );
      calls.call('C_GetTokenInfo of no slot', (module) => module.C_GetTokenInfo(strange));
      calls.call('C_GetSlotInfo of no slot', (module) => module.C_GetSlotInfo(strange));
      calls.call('C_OpenSession of no slot', (module) => module.C_OpenSession(strange, 4));
      calls.call('C_GetMechanismList of no slot', (module) => module.C_GetMechanismList(strange));
      calls.call('C_OpenSession that is not serial', (module) => module.C_OpenSession(calls.slot(), 0));
      calls.finalize();
    },
  },
  {
    name: 'logins',
    key: 'EC',
    make: (calls) => {
      calls.initialize();
      const session = calls.open();
      const state = (): void => {
        calls.call(
          'C_GetSessionInfo',
          (module) => module.C_GetSessionInfo(session),
          (info) => info.state,
        );
      };
      calls.tokenFlags();
      state();
      calls.login(session, WRONG);
      calls.tokenFlags();
      calls.login(session, PIN);
      calls.tokenFlags();
      state();
      calls.login(session, PIN);
      calls.login(session, WRONG);
      calls.logout(session);
      state();
      calls.login(session, '');
      calls.login(session, PIN, CONTEXT_SPECIFIC);
      calls.close(session);
      calls.login(session, PIN);
      calls.finalize();
    },
  },
  {
    name: 'a logout without a login',
    key: 'EC',
    make: (calls) => {
      calls.initialize();
      calls.logout(calls.open());
      calls.finalize();
    },
  },
  {
    name: 'wrong PINs until the token is locked',
    key: 'EC',
    make: (calls) => {
      calls.initialize();
      const session = calls.open();
      for (const guess of ['000001', '000002', '000003', '000004']) {
        calls.login(session, guess);
        calls.tokenFlags();
      }
      calls.login(session, PIN);
      calls.finalize();
    },
  },
  {
    name: 'two sessions share a login, which ends with the last',
    key: 'EC',
    make: (calls) => {
      const one = calls.ready();
      const other = calls.open();
      calls.login(other, PIN);
      calls.close(one);
      calls.privateKey(other);
      calls.close(other);
      const next = calls.open();
      calls.privateKey(next);
      calls.login(next, PIN);
      calls.privateKey(next);
      calls.finalize();
    },
  },
  ...(['RSA', 'EC', 'ED25519'] as const).map(
    (key): Script => ({
      name: `objects and attributes of a key of type ${key}`,
      key,
      make: (calls) => {
        calls.initialize();
        const session = calls.open();
        calls.privateKey(session);
        const [open] = calls.find(session, [{ type: CKA.CLASS, value: CKO.PUBLIC_KEY }], 'the public key');
        calls.login(session, PIN);
        calls.find(session, [], 'all');
        calls.find(session, [{ type: CKA.LABEL, value: Buffer.from(LABEL) }], 'the label');
        calls.find(session, [{ type: CKA.LABEL, value: Buffer.from('another') }], 'another label');
        calls.find(session, [{ type: CKA.ID, value: Buffer.from([1]) }], 'the ID');
        calls.find(session, [{ type: CKA.CLASS, value: CKO.CERTIFICATE }], 'certificates');
        const [all] = [calls.privateKey(session)];
        for (const [whose, object] of [
          ['the private key', all],
          ['the public key', open ?? Buffer.alloc(8)],
        ] as const) {
          for (const name of [
            'CLASS',
            'KEY_TYPE',
            'ID',
            'LABEL',
            'ALWAYS_AUTHENTICATE',
            'MODULUS',
            'PUBLIC_EXPONENT',
            'EC_PARAMS',
            'EC_POINT',
            'VALUE',
          ] as const) {
            calls.call(
              `C_GetAttributeValue, ${name} of ${whose}`,
              (module) => module.C_GetAttributeValue(session, object, [{ type: CKA[name] }]),
              (values) => values.map(({ value }) => (Buffer.isBuffer(value) ? value.toString('hex') : typeof value)),
            );
          }
        }
        calls.call('C_GetAttributeValue of one that is there and one that is not', (module) =>
          module.C_GetAttributeValue(session, all, [{ type: CKA.ID }, { type: CKA.ISSUER }]),
        );
        calls.call('C_GetAttributeValue of no object', (module) =>
          module.C_GetAttributeValue(session, Buffer.from('ffff000000000000', 'hex'), [{ type: CKA.ID }]),
        );
        calls.finalize();
      },
    }),
  ),
  {
    name: 'searches out of order',
    key: 'EC',
    make: (calls) => {
      const session = calls.ready();
      calls.call('C_FindObjects', (module) => module.C_FindObjects(session, 1));
      calls.call('C_FindObjectsFinal', (module) => {
        module.C_FindObjectsFinal(session);
      });
      for (let times = 0; times < 2; times += 1)
        calls.call('C_FindObjectsInit', (module) => {
          module.C_FindObjectsInit(session, []);
        });
      const counts = (objects: readonly Buffer[]): number => objects.length;
      for (let times = 0; times < 3; times += 1)
        calls.call('C_FindObjects', (module) => module.C_FindObjects(session, 1), counts);
      calls.call('C_FindObjectsFinal', (module) => {
        module.C_FindObjectsFinal(session);
      });
      calls.finalize();
    },
  },
  ...signing,
  ...FOREIGN.map(
    ([key, mechanism]): Script => ({
      name: `a key of type ${key}, and mechanism ${mechanism}`,
      key,
      make: (calls) => {
        const session = calls.ready();
        calls.signInit(session, { mechanism }, calls.privateKey(session));
        calls.sign(session, DIGEST);
        calls.finalize();
      },
    }),
  ),
  {
    name: 'signatures out of order',
    key: 'EC',
    make: (calls) => {
      const session = calls.ready();
      const key = calls.privateKey(session);
      const mechanism = { mechanism: CKM.ECDSA };
      calls.sign(session, DIGEST);
      calls.signInit(session, mechanism, key);
      calls.signInit(session, mechanism, key);
      calls.sign(session, DIGEST);
      calls.signInit(session, mechanism, Buffer.from('ffff000000000000', 'hex'));
      const [open] = calls.find(session, [{ type: CKA.CLASS, value: CKO.PUBLIC_KEY }], 'the public key');
      calls.signInit(session, mechanism, open ?? Buffer.alloc(8));
      calls.sign(session, DIGEST);
      calls.finalize();
    },
  },
  {
    name: 'signatures behind a logout, and behind the end of a session',
    key: 'EC',
    make: (calls) => {
      const session = calls.ready();
      const key = calls.privateKey(session);
      const mechanism = { mechanism: CKM.ECDSA };
      calls.signInit(session, mechanism, key);
      calls.logout(session);
      calls.sign(session, DIGEST);
      calls.signInit(session, mechanism, key);
      calls.login(session, PIN);
      calls.signInit(session, mechanism, key);
      const again = calls.privateKey(session);
      calls.signInit(session, mechanism, again);
      calls.close(session);
      calls.sign(session, DIGEST);
      calls.signInit(session, mechanism, again);
      calls.finalize();
    },
  },
  {
    name: 'a key that wants its PIN with each signature',
    key: 'EC',
    alwaysAuthenticates: true,
    make: (calls) => {
      const session = calls.ready();
      const key = calls.privateKey(session);
      const mechanism = { mechanism: CKM.ECDSA };
      calls.login(session, PIN, CONTEXT_SPECIFIC);
      calls.signInit(session, mechanism, key);
      calls.sign(session, DIGEST);
      calls.sign(session, DIGEST);
      calls.signInit(session, mechanism, key);
      calls.login(session, PIN, CONTEXT_SPECIFIC);
      calls.sign(session, DIGEST, (signature) =>
        verify('sha256', MESSAGE, { key: calls.publicKey, dsaEncoding: 'ieee-p1363' }, signature),
      );
      calls.signInit(session, mechanism, key);
      calls.login(session, WRONG, CONTEXT_SPECIFIC);
      calls.sign(session, DIGEST);
      calls.signInit(session, mechanism, key);
      calls.login(session, PIN, CONTEXT_SPECIFIC);
      calls.login(session, PIN, CONTEXT_SPECIFIC);
      calls.sign(session, DIGEST);
      calls.finalize();
    },
  },
];
