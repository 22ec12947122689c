import { beforeEach, describe, expect, test, vi } from 'vitest';
import { KeySecrets } from '../../../src/config/secrets.ts';
import { AgentError } from '../../../src/errors.ts';
import { Secret } from '../../../src/secret.ts';

const TOKEN = "PIN of token 'x'";
const wrong = (text = "token 'x' refused the PIN"): AgentError => new AgentError('ERR_PIN_INCORRECT', text);

const complain = vi.fn();
const prompt = vi.fn<(what: string, notes: string) => Promise<Secret>>();
const onAsking = vi.fn();
/** What askpass was given, and says. */
const run = vi.fn<(command: string, options?: { readonly words?: readonly string[] }) => Promise<Buffer>>();
const words = (): (string | undefined)[] => run.mock.calls.map(([, options]) => options?.words?.[0]);
let isWaiting: boolean;

function secrets(source: string): KeySecrets {
  const person = {
    get isWaiting() {
      return isWaiting;
    },
    complain,
  };
  const around = { credentialsDirectory: undefined, prompt, warn: vi.fn(), run, onAsking, person };
  return new KeySecrets({ source, allowCommand: false, useFinalTry: false }, around);
}

beforeEach(() => {
  vi.resetAllMocks();
  prompt.mockImplementation(() => Promise.resolve(new Secret('1')));
  run.mockImplementation(() => Promise.resolve(Buffer.from('1\n')));
  isWaiting = true;
});

describe('a PIN that a person typed wrong', () => {
  test('at the terminal is told of there, and asked for again for as long as they type', async () => {
    const asked = secrets('prompt');
    await asked.get(TOKEN, undefined, 'ask', { why: 'for tunnel a' });
    for (let times = 0; times < 10; times += 1) {
      expect(asked.mayAskAgain(wrong(), undefined)).toBe(true);
      await asked.get(TOKEN, undefined, 'ask again', { tries: 'few tries are left' });
    }
    expect(complain).toHaveBeenCalledTimes(10);
    expect(complain).toHaveBeenLastCalledWith("token 'x' refused the PIN");
    expect(prompt.mock.calls[0]).toEqual([TOKEN, ' for tunnel a']);
    expect(prompt.mock.calls[1]).toEqual([TOKEN, ' (few tries are left)']);
  });

  test('in a window is told of in the next one, and asked for three times', async () => {
    const asked = secrets('askpass');
    const same = wrong();
    await asked.get(TOKEN, undefined, 'ask');
    expect(asked.mayAskAgain(same, undefined)).toBe(true);
    await asked.get(TOKEN, undefined, 'ask again');
    expect(asked.mayAskAgain(same, undefined)).toBe(true);
    await asked.get(TOKEN, undefined, 'ask again');
    expect(asked.mayAskAgain(wrong(), undefined)).toBe(false);
    expect(words()).toEqual([
      `pksigd needs the ${TOKEN}`,
      `Token 'x' refused the PIN.\npksigd needs the ${TOKEN}`,
      `The token refused this PIN before: it was not tried again.\npksigd needs the ${TOKEN}`,
    ]);
    expect(complain).not.toHaveBeenCalled();
    // another time is another time
    await asked.get(TOKEN, undefined, 'ask');
    expect(asked.mayAskAgain(wrong(), undefined)).toBe(true);
  });

  test.each(['prompt', 'pinentry', 'askpass'])('by %s is asked for again when a request wants it', async (source) => {
    const asked = secrets(source);
    isWaiting = false;
    run.mockImplementation(() => Promise.resolve(Buffer.from(source === 'pinentry' ? 'D 1\n' : '1\n')));
    expect(asked.mayAskAgain(wrong(), undefined)).toBe(false);
    await asked.get(TOKEN, undefined, 'ask again');
    const notes = source === 'prompt' ? prompt.mock.calls[0]?.[1] : JSON.stringify(run.mock.calls[0]);
    expect(notes).toMatch(/[wW]hat was typed last was refused/);
  });

  test('and a window that is closed after it gives up', async () => {
    const asked = secrets('askpass');
    await asked.get(TOKEN, undefined, 'ask');
    expect(asked.mayAskAgain(wrong(), undefined)).toBe(true);
    run.mockRejectedValueOnce(new Error('cancelled'));
    await expect(asked.get(TOKEN, undefined, 'ask again')).rejects.toThrow('cancelled');
    expect(asked.mayAskAgain(wrong(), undefined)).toBe(false);
  });

  test('is asked for by nobody who only wants to know', async () => {
    await expect(secrets('askpass').get(TOKEN, undefined, 'quietly')).rejects.toMatchObject({
      code: 'ERR_PIN_REQUIRED',
    });
  });
});

test.each(['command:x', '/no/such/file'])('a PIN from %s is not asked for again', async (source) => {
  const asked = secrets(source);
  expect(asked.mayAskAgain(wrong(), undefined)).toBe(false);
  if (source.startsWith('command:'))
    await expect(asked.get(TOKEN, undefined, 'ask again')).rejects.toMatchObject({ code: 'ERR_PIN_REQUIRED' });
  expect(run).not.toHaveBeenCalled();
});

test('whoever wants to know hears when a person is asked, and when that is over', async () => {
  await secrets('prompt').get(TOKEN, undefined, 'ask');
  run.mockRejectedValueOnce(new Error('cancelled'));
  await expect(secrets('askpass').get(TOKEN, undefined, 'ask')).rejects.toThrow('cancelled');
  expect(onAsking.mock.calls).toEqual([
    [TOKEN, 'prompt', false],
    [TOKEN, 'prompt', true],
    [TOKEN, 'askpass', false],
    [TOKEN, 'askpass', true],
  ]);
});
