import { errorCode } from '../errors.ts';
import { openExecKey } from '../keys/backends.ts';
import type { Signer } from '../signing/signer.ts';
import type { ExecKey } from '../exec/index.ts';
import { abilitiesOfSigner } from './can-sign.ts';
import { describeKey, type CheckedKey, type KeyCheck } from './checked-key.ts';
import { failure, type Report } from './verdict.ts';

function reportProgram({ name, hello }: ExecKey, report: Report): void {
  const { isKept, parallel, wantsSecret } = hello;
  const life = isKept ? 'goes on running' : 'runs once for each signature';
  const many = parallel > 1 ? `, ${parallel} at a time` : '';
  const secret = wantsSecret ? ', wants a PIN' : '';
  report({ outcome: 'ok', what: 'program', detail: `${name} answers, ${life}${many}${secret}` });
}

/** Opens the key with its secret; without a login, or if that fails, as far as it opens without. */
async function open(key: string, { opening, login, report }: KeyCheck): Promise<{ key: ExecKey; signs: boolean }> {
  if (login) {
    try {
      const opened = await openExecKey(key, opening);
      reportProgram(opened, report);
      if (opened.hello.wantsSecret) report({ outcome: 'ok', what: 'PIN', detail: `${opened.name} takes it` });
      return { key: opened, signs: true };
    } catch (error) {
      if (errorCode(error)?.startsWith('ERR_PIN_') !== true) throw error;
      report(failure('PIN', error));
    }
  }
  const opened = await openExecKey(key, opening, true);
  reportProgram(opened, report);
  return { key: opened, signs: !opened.hello.wantsSecret };
}

/** The key as what signs, which says in the end whether its program ends as it must. */
function watched(key: ExecKey, report: Report): Signer {
  const { name, publicKey, certificates } = key;
  return {
    ...{ name, publicKey, certificates },
    sign: (request, signal) => key.sign(request, signal),
    canSign: (request) => key.canSign(request),
    [Symbol.asyncDispose]: async () => {
      if (!(await key.close())) return;
      const detail = `${name} does not end when its standard input does`;
      report({ outcome: 'warn', what: 'program', detail, hint: 'it is killed then, with its process group' });
    },
  };
}

/**
 * Checks a key behind a program: whether that can be run and answers, and which key it has.
 * @returns undefined if it can't be used
 */
export async function checkExecKey(text: string, check: KeyCheck): Promise<CheckedKey | undefined> {
  const { report } = check;
  try {
    const { key, signs } = await open(text, check);
    const { name, publicKey, certificates } = key;
    report({ outcome: 'ok', what: 'key', detail: describeKey(name, publicKey) });
    if (signs) return { name, publicKey, certificates, signer: watched(key, report) };
    await key.close();
    return { name, publicKey, certificates, signer: undefined, abilities: abilitiesOfSigner(key) };
  } catch (error) {
    report(failure('program', error));
    return undefined;
  }
}
