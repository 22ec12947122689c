import { createHash } from 'node:crypto';
import { beforeEach, describe, expect, test } from 'vitest';
import { AgentError } from '../../../../src/errors.ts';
import { CKA, CKM } from '../../../../src/pkcs11/constants.ts';
import { rawEcdsaReadings } from '../../../../src/pkcs11/key/raw-ecdsa.ts';
import { TokenKey } from '../../../../src/pkcs11/key/token-key.ts';
import { Pin } from '../../../../src/pkcs11/pins/pin.ts';
import { Tokens } from '../../../../src/pkcs11/token/tokens.ts';
import { Secret } from '../../../../src/secret.ts';
import { encodeEmsaPss } from '../../../../src/signing/emsa-pss.ts';
import { HASHES } from '../../../../src/signing/hashes.ts';
import { parseSignatureRequest } from '../../../../src/signing/parse-request.ts';
import { keyKind } from '../../../../src/signing/public-key.ts';
import type { SignatureRequest } from '../../../../src/signing/request.ts';
import { verifySignature, VerifiedSignature } from '../../../../src/signing/signer.ts';
import { ckr, FakeModules, fakeToken, PATH, type FakeSigner } from '../fake-modules.ts';
import { makeKey, makeRsaKey, putPrivateKey, type MadeKey } from './fake-objects.ts';

const RSA = makeRsaKey();
const PSS = 'RSA_PKCS1_PSS_PADDING,hashalg=SHA256,saltlen=digest';
const DIGEST = createHash('sha256').update('sample').digest();

let modules: FakeModules;
let tokens: Tokens;

beforeEach(() => {
  modules = new FakeModules(fakeToken('cloud'));
  tokens = new Tokens({ hosts: modules });
});

/** Opens a key that is on the token. @param change what its module makes of C_Sign */
async function open(
  { attributes }: MadeKey,
  more: Record<number, string> = {},
  change: (sign: FakeSigner) => FakeSigner = (sign) => sign,
): Promise<TokenKey> {
  const handle = putPrivateKey(modules, 'vpn', { ...attributes, ...more }, { isPublic: true });
  const signer = modules.signers.get(handle);
  if (signer) modules.signers.set(handle, change(signer));
  const pin = new Pin({ ask: () => Promise.resolve(new Secret('1234')) });
  return await TokenKey.open({ token: 'cloud', object: 'vpn', modulePath: PATH }, { tokens, pin });
}

function requestFor(key: TokenKey, algorithm: string, data: Buffer = DIGEST): SignatureRequest {
  return parseSignatureRequest(data.toString('base64'), algorithm, keyKind(key.publicKey));
}

/** CKA_ALLOWED_MECHANISMS as a module gives it. */
function allowed(...types: number[]): Record<number, string> {
  const list = Buffer.alloc(8 * types.length);
  for (const [index, type] of types.entries()) list.writeUInt32LE(type, 8 * index);
  return { [CKA.KEY_TYPE]: '0000000000000000', [CKA.ALLOWED_MECHANISMS]: list.toString('hex') };
}

/** Signs, and names the mechanisms that were tried in turn. */
function recorded(tried: number[], of: Partial<Record<number, () => Buffer>> = {}): (sign: FakeSigner) => FakeSigner {
  return (sign) => (mechanism, data) => {
    tried.push(mechanism.type);
    return of[mechanism.type]?.() ?? sign(mechanism, data);
  };
}

const refuse =
  (name = 'CKR_MECHANISM_INVALID') =>
  (): never => {
    throw ckr(name, 'C_SignInit');
  };

describe('mechanisms that the token does not list', () => {
  test('are tried when no listed one is left, and used from then on', async () => {
    modules.mechanisms = [CKM.RSA_PKCS];
    const key = await open(RSA);
    const request = requestFor(key, PSS);
    expect([key.canSign(request), key.maySign(request)]).toEqual([false, true]);
    expect((await key.sign(request)).mechanism).toBe('CKM_RSA_PKCS_PSS');
    expect(key.canSign(request)).toBe(true);
    expect((await key.sign(request)).mechanism).toBe('CKM_RSA_PKCS_PSS');
    expect(modules.count('sign')).toBe(2);
  });

  test.each(['CKR_MECHANISM_INVALID', 'CKR_GENERAL_ERROR', 'CKR_FUNCTION_FAILED'])(
    'are tried once, whatever the module says: %s',
    async (name) => {
      modules.mechanisms = [CKM.RSA_PKCS];
      const tried: number[] = [];
      const key = await open(
        RSA,
        {},
        recorded(tried, { [CKM.RSA_PKCS_PSS]: refuse(name), [CKM.RSA_X_509]: refuse(name) }),
      );
      for (let round = 0; round < 3; round++) {
        await expect(key.sign(requestFor(key, PSS))).rejects.toMatchObject({ code: 'ERR_SCHEME_UNSUPPORTED' });
      }
      expect(tried).toEqual([CKM.RSA_PKCS_PSS, CKM.RSA_X_509]);
      expect(key.maySign(requestFor(key, PSS))).toBe(false);
    },
  );

  test('that end the module are not tried again', async () => {
    modules.mechanisms = [CKM.RSA_PKCS];
    const tried: number[] = [];
    const die = (): never => {
      throw new AgentError('ERR_MODULE_DIED', 'it died');
    };
    const key = await open(RSA, {}, recorded(tried, { [CKM.RSA_PKCS_PSS]: die }));
    expect((await key.sign(requestFor(key, PSS))).mechanism).toBe('EMSA-PSS + CKM_RSA_X_509');
    expect(tried).toEqual([CKM.RSA_PKCS_PSS, CKM.RSA_X_509]);
  });

  test('are tried again where the first try was lost with its session', async () => {
    modules.mechanisms = [CKM.RSA_PKCS];
    const key = await open(RSA);
    modules.fail('sign', ckr('CKR_SESSION_HANDLE_INVALID', 'C_SignInit'), 1);
    expect((await key.sign(requestFor(key, PSS))).mechanism).toBe('CKM_RSA_PKCS_PSS');
  });

  test('wait for a try that is under way', async () => {
    modules.mechanisms = [CKM.RSA_PKCS];
    const key = await open(RSA);
    const requests = Array.from({ length: 5 }, () => key.sign(requestFor(key, PSS)));
    expect(new Set((await Promise.all(requests)).map(({ mechanism }) => mechanism))).toEqual(
      new Set(['CKM_RSA_PKCS_PSS']),
    );
  });
});

describe('a mechanism that signs something else than it was given', () => {
  const WRONG = (): Buffer => Buffer.alloc(256, 1);

  test('is caught, and the next one taken, from then on at once', async () => {
    modules.mechanisms = [CKM.RSA_PKCS, CKM.RSA_X_509];
    const tried: number[] = [];
    const key = await open(RSA, {}, recorded(tried, { [CKM.RSA_PKCS]: WRONG }));
    const request = requestFor(key, 'RSA_PKCS1_PADDING,hashalg=SHA256');
    for (let round = 0; round < 2; round++) {
      const signature = await key.sign(request);
      expect(signature.mechanism).toBe('EMSA-PKCS1-v1_5 + CKM_RSA_X_509');
      expect(signature).toBeInstanceOf(VerifiedSignature);
    }
    expect(tried).toEqual([CKM.RSA_PKCS, CKM.RSA_X_509, CKM.RSA_X_509]);
  });

  test('is of one hash: for another it is used', async () => {
    modules.mechanisms = [CKM.RSA_PKCS, CKM.RSA_X_509];
    const key = await open(
      RSA,
      {},
      (sign) => (mechanism, data) =>
        mechanism.type === CKM.RSA_PKCS && data.length === 36 ? WRONG() : sign(mechanism, data),
    );
    const old = requestFor(key, 'RSA_PKCS1_PADDING,hashalg=MD5-SHA1', Buffer.alloc(36, 7));
    expect((await key.sign(old)).mechanism).toBe('EMSA-PKCS1-v1_5 + CKM_RSA_X_509');
    expect((await key.sign(requestFor(key, 'RSA_PKCS1_PADDING,hashalg=SHA256'))).mechanism).toBe('CKM_RSA_PKCS');
  });

  test('is what the error names where no other is right; and it is tried again', async () => {
    modules.mechanisms = [CKM.RSA_PKCS_PSS];
    let isGood = false;
    const key = await open(
      RSA,
      {},
      (sign) => (mechanism, data) => (mechanism.type === CKM.RSA_PKCS_PSS && isGood ? sign(mechanism, data) : WRONG()),
    );
    await expect(key.sign(requestFor(key, PSS))).rejects.toMatchObject({
      code: 'ERR_SIGNATURE_INVALID',
      hint: 'the token is faulty or does not do CKM_RSA_PKCS_PSS as it says',
    });
    isGood = true;
    expect((await key.sign(requestFor(key, PSS))).mechanism).toBe('CKM_RSA_PKCS_PSS');
  });
});

describe('CKA_ALLOWED_MECHANISMS', () => {
  test('leaves nothing to try of what it forbids', async () => {
    modules.mechanisms = [CKM.RSA_PKCS];
    const key = await open(RSA, allowed(CKM.RSA_PKCS));
    expect(key.maySign(requestFor(key, PSS))).toBe(false);
    // a block of PKCS #1 v1.5 is signed by CKM_RSA_PKCS, which adds the padding itself
    const block = encodeEmsaPss(HASHES.SHA256, DIGEST, 32, 2048);
    expect(key.maySign(requestFor(key, 'RSA_NO_PADDING', block))).toBe(false);
  });

  test('keeps from what the key forbids, listed or not', async () => {
    modules.mechanisms = [CKM.RSA_PKCS, CKM.RSA_PKCS_PSS, CKM.RSA_X_509];
    const tried: number[] = [];
    const key = await open(RSA, allowed(CKM.RSA_PKCS_PSS), recorded(tried));
    const pkcs1 = requestFor(key, 'RSA_PKCS1_PADDING,hashalg=SHA256');
    expect([key.canSign(requestFor(key, PSS)), key.canSign(pkcs1)]).toEqual([true, false]);
    await key.sign(requestFor(key, PSS));
    await expect(key.sign(pkcs1)).rejects.toMatchObject({ code: 'ERR_SCHEME_UNSUPPORTED' });
    expect(tried).toEqual([CKM.RSA_PKCS_PSS]);
  });

  test.each([
    ['none', ''],
    ['what is no list', '0102'],
  ])('that are %s limit nothing', async (_, value) => {
    modules.mechanisms = [CKM.RSA_PKCS];
    const key = await open(RSA, { [CKA.ALLOWED_MECHANISMS]: value });
    expect(key.canSign(requestFor(key, 'RSA_PKCS1_PADDING,hashalg=SHA256'))).toBe(true);
  });
});

describe('a module that wants digests as long as the curve', () => {
  const insist =
    (length: number) =>
    (sign: FakeSigner): FakeSigner =>
    (mechanism, data) => {
      if (data.length !== length) throw ckr('CKR_DATA_LEN_RANGE', 'C_Sign');
      return sign(mechanism, data);
    };

  test.each([
    ['P-256', 32],
    ['P-384', 48],
    ['P-521', 64],
    ['secp256k1', 32],
    ['brainpoolP256r1', 32],
    ['brainpoolP384r1', 48],
    ['brainpoolP512r1', 64],
  ] as const)('%s: gets zeros before shorter ones, of the same number', async (curve, length) => {
    const key = await open(makeKey(curve), {}, insist(length));
    for (const hash of ['SHA1', 'SHA256', 'SHA384', 'SHA512']) {
      const digest = createHash(hash).update('sample').digest();
      const request = requestFor(key, `ECDSA,hashalg=${hash}`, digest);
      const signature = await key.sign(request);
      expect(signature.mechanism).toBe(digest.length < length ? 'zeros + CKM_ECDSA' : 'CKM_ECDSA');
      expect(verifySignature(key, request, signature)).toBe(signature);
    }
  });

  test('is remembered', async () => {
    const key = await open(makeKey('P-384'), {}, insist(48));
    for (let round = 0; round < 3; round++) await key.sign(requestFor(key, 'ECDSA,hashalg=SHA256'));
    expect(modules.count('sign')).toBe(4);
  });
});

describe('r and s without their leading zeros', () => {
  test('are put together again', async () => {
    const strip = (bytes: Buffer): Buffer => bytes.subarray(bytes.findIndex((byte) => byte !== 0));
    let short = 0;
    const key = await open(makeKey(), {}, (sign) => (mechanism, data) => {
      const raw = sign(mechanism, data);
      const bytes = Buffer.concat([strip(raw.subarray(0, 32)), strip(raw.subarray(32))]);
      if (bytes.length < 64) short++;
      return bytes;
    });
    const request = requestFor(key, 'ECDSA,hashalg=SHA256');
    while (short < 2) verifySignature(key, request, await key.sign(request));
  });

  test.each([
    [64, 0],
    [65, 0],
    [63, 2],
    [62, 3],
    [40, 0],
  ])('%i bytes of 64 may be read in %i ways, each of 64', (length, ways) => {
    const readings = rawEcdsaReadings(Buffer.alloc(length, 1), 32);
    expect(readings).toHaveLength(ways);
    for (const reading of readings) expect(reading).toHaveLength(64);
  });
});
