import { expect, test } from 'vitest';
import { openSession } from '../../../../src/pkcs11/token/open-session.ts';
import { FakeModules, fakeToken, PATH } from '../fake-modules.ts';

const CARD = fakeToken('card');

test('a slot that was seen before the module was initialized anew may have another token by now', async () => {
  const modules = new FakeModules(CARD);
  const host = await modules.get(PATH);
  const { epoch } = host;
  const opening = openSession({ host, info: CARD, epoch }, () => Promise.resolve());
  const refused = expect(opening).rejects.toMatchObject({ code: 'ERR_TOKEN_FAILED' });
  // as the recovery of another token does
  await host.call('reinitialize', {});
  await refused;
  expect(modules.count('openSession')).toBe(0);
  expect(await openSession({ host, info: CARD, epoch: host.epoch }, () => Promise.resolve())).toMatchObject({
    token: CARD,
  });
});
