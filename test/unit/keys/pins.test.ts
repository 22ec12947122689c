import { expect, test, vi } from 'vitest';
import { AgentError } from '../../../src/errors.ts';
import { askingAgain, pinsBySource } from '../../../src/keys/pins.ts';
import { Tokens } from '../../../src/pkcs11/index.ts';

const none = () => Promise.reject(new Error('none'));
const pkcs11 = { tokens: new Tokens({ hosts: { get: none, another: none } }) };
const askSecret = () => Promise.reject(new Error('asked'));

test('one PIN for one source, whoever names it how', () => {
  const byText = pinsBySource({ askSecret, pkcs11 });
  expect(byText('file:/pin').pin).toBe(byText('file:/pin').pin);
  expect(byText('file:/pin').pin).not.toBe(byText('/pin').pin);
  expect(byText(undefined).pinSource).not.toBe(byText('null').pinSource);
  const byName = pinsBySource({ askSecret, pkcs11, nameSource: (uriSource) => uriSource?.replace('file:', '') ?? '' });
  expect(byName('file:/pin')).toEqual(byName('/pin'));
});

test('a wrong PIN is typed again as long as a person is there, at their own source', async () => {
  const wrong = new AgentError('ERR_PIN_INCORRECT', 'wrong');
  const work = vi.fn().mockRejectedValueOnce(wrong).mockResolvedValueOnce('done');
  const mayAskAgain = vi.fn(() => true);
  expect(await askingAgain({ mayAskAgain }, 'prompt', work)).toBe('done');
  expect(mayAskAgain).toHaveBeenCalledExactlyOnceWith(wrong, 'prompt');
  await expect(askingAgain({}, undefined, () => Promise.reject(wrong))).rejects.toBe(wrong);
});
