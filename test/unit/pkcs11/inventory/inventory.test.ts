import { beforeEach, describe, expect, test } from 'vitest';
import { AgentError } from '../../../../src/errors.ts';
import type { Module } from '../../../../src/pkcs11/host/module.ts';
import { findTokens, listToken, tokenForPin, type FoundToken } from '../../../../src/pkcs11/inventory/inventory.ts';
import { Pin } from '../../../../src/pkcs11/pins/pin.ts';
import { Tokens } from '../../../../src/pkcs11/token/tokens.ts';
import { Secret } from '../../../../src/secret.ts';
import { FakeClock } from '../../agent/fake-clock.ts';
import { FakeModules, fakeToken, FLAG, PATH, settle } from '../fake-modules.ts';
import { makeKey, putPrivateKey, putPublicKey } from '../key/fake-objects.ts';

const MODULE = { path: PATH };
const BROKEN = { path: '/broken.so' };
const CARD = fakeToken('card', FLAG.LOGIN);

let modules: FakeModules;
let clock: FakeClock;
let tokens: Tokens;

beforeEach(() => {
  modules = new FakeModules(CARD, fakeToken('other'));
  clock = new FakeClock();
  const get = async (path: string): Promise<Module> => {
    if (path === BROKEN.path) throw new AgentError('ERR_MODULE_LOAD', 'no such file');
    return await modules.get(path);
  };
  tokens = new Tokens({ hosts: { get, another: (path) => modules.another(path) }, clock });
});

async function find(label?: string): Promise<FoundToken[]> {
  const found = await findTokens([MODULE], tokens, label === undefined ? {} : { token: label });
  return found.flatMap((module) => [...module.tokens]);
}

describe('finding tokens', () => {
  test('a module that fails stands beside those that do not', async () => {
    const found = await findTokens([BROKEN, MODULE], tokens, {});
    expect(found.map(({ module, tokens: all, error }) => [module.path, all.length, error === undefined])).toEqual([
      [BROKEN.path, 0, false],
      [PATH, 2, true],
    ]);
  });

  test('by what the URI says, each with what names it', async () => {
    expect((await find('card')).map(({ uri }) => uri)).toEqual([{ token: 'card' }]);
    modules.tokens = [CARD, { ...CARD, serial: '2' }];
    expect((await find()).map(({ uri }) => uri)).toEqual([
      { token: 'card', serial: 'serial of card' },
      { token: 'card', serial: '2' },
    ]);
  });

  test('none at first: looks again', async () => {
    modules.tokens = [];
    const found = find();
    await settle();
    modules.tokens = [CARD];
    clock.pass(0.25);
    expect(await found).toHaveLength(1);
  });

  test('none after two seconds: there is none', async () => {
    modules.tokens = [];
    const found = find();
    for (let looks = 0; looks < 8; looks++) {
      await settle();
      clock.pass(0.25);
    }
    expect(await found).toEqual([]);
  });

  test('where every module fails it does not wait', async () => {
    expect(await findTokens([BROKEN], tokens, {})).toHaveLength(1);
  });
});

describe('the token that a PIN is for', () => {
  test('is the one that wants a login', async () => {
    expect(tokenForPin(await find())?.info.label).toBe('card');
    expect(tokenForPin(await find('other'))).toBeUndefined();
  });

  test('must be one only', async () => {
    modules.tokens = [CARD, fakeToken('second', FLAG.LOGIN)];
    const found = await find();
    expect(() => tokenForPin(found)).toThrow(
      expect.objectContaining({
        code: 'ERR_TOKEN_AMBIGUOUS',
        message:
          `one PIN for several tokens: 'card' (serial serial of card) in ${PATH}, ` +
          `'second' (serial serial of second) in ${PATH}`,
      }),
    );
  });
});

describe('what a token shows', () => {
  const seen = async (pin?: Pin): Promise<string[]> => {
    const [token] = await find('card');
    if (!token) throw new Error('no card');
    const { keys } = await listToken(token, {}, pin);
    return keys.map(({ label, privateKey }) => `${label} ${privateKey}`);
  };

  beforeEach(() => {
    const key = makeKey();
    putPrivateKey(modules, 'vpn', key.attributes, { id: '01' });
    putPublicKey(modules, 'vpn', key.attributes, { id: '01' });
    putPublicKey(modules, 'lone', makeKey().attributes, { id: '02' });
  });

  test('without a login: private keys may be there unseen', async () => {
    expect(await seen()).toEqual(['vpn unseen', 'lone unseen']);
    expect(modules.pins).toEqual([]);
  });

  test('after one: all', async () => {
    expect(await seen(new Pin({ ask: () => Promise.resolve(new Secret('1234')) }))).toEqual([
      'vpn present',
      'lone absent',
    ]);
    expect(modules.openSessions).toBe(0);
  });

  test('nothing, without a login, if slots have other numbers since it was found', async () => {
    const [token] = await find('card');
    if (!token) throw new Error('no card');
    modules.changeSlots();
    const pin = new Pin({ ask: () => Promise.resolve(new Secret('1234')) });
    await expect(listToken(token, {}, pin)).rejects.toMatchObject({ code: 'ERR_TOKEN_FAILED' });
    expect(modules.opened).toEqual([]);
    expect(modules.pins).toEqual([]);
  });
});
