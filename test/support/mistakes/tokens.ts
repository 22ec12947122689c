import { readFile, writeFile } from 'node:fs/promises';
import { library } from '../../tokens/setup/token-bed.ts';
import { module, run, token, withoutPin, type Mistake } from './mistake.ts';

/** With tokens, modules, URIs and PINs. */
export const OF_TOKENS: readonly Mistake[] = [
  {
    what: 'the path of the module is wrong',
    command: module('/no/such/module.so'),
    says: /no PKCS#11 module at \/no\/such\/module\.so/,
    code: 'ERR_MODULE_NOT_FOUND',
    exit: 3,
    cure: /p11-kit list-modules/,
  },
  {
    what: 'the module is some other library',
    command: (bench) => module(library('libm.so.6'))(bench),
    says: /C_GetFunctionList/,
    code: 'ERR_MODULE_LOAD',
    exit: 2,
    cure: /some other library|Name the module itself/,
  },
  {
    what: 'the module is for another machine: wrong ELF class',
    command: async (bench) => {
      const path = bench.path('other.so');
      const bytes = await readFile(library('libm.so.6'));
      bytes[4] = bytes[4] === 2 ? 1 : 2;
      await writeFile(path, bytes);
      return module(path)(bench);
    },
    says: /wrong ELF class/,
    code: 'ERR_MODULE_LOAD',
    exit: 2,
    cure: /dpkg --print-architecture/,
  },
  {
    what: 'the URI names no module',
    command: token((uri) => uri.replace(/\?.*/, '')),
    says: /names no module/,
    code: 'ERR_MODULE_NOT_FOUND',
    exit: 3,
    cure: /module-path=/,
  },
  {
    what: "the token's label is mistyped",
    command: token((uri) => uri.replace('token=pksigd', 'token=pksigdd')),
    says: /no token 'pksigdd'.*there is 'pksigd'/,
    code: 'ERR_TOKEN_ABSENT',
    exit: 3,
    cure: /pksigd keys/,
  },
  {
    what: "the key's label is mistyped",
    command: token((uri) => uri.replace('object=p256', 'object=p265')),
    says: /no private key .*p256/,
    code: 'ERR_KEY_NOT_FOUND',
    exit: 3,
    cure: /pksigd keys/,
  },
  {
    what: 'id=01',
    command: token((uri) => uri.replace('object=p256', 'id=01')),
    says: /write id=%01/,
    code: 'ERR_KEY_NOT_FOUND',
    exit: 3,
    cure: /id=%01/,
  },
  {
    what: 'two keys fit',
    command: token((uri) => uri.replace(';object=p256', '')),
    says: /fits 8 private keys: say which/,
    code: 'ERR_KEY_AMBIGUOUS',
    exit: 2,
    cure: /object=/,
  },
  {
    what: 'the PIN is wrong',
    command: async (bench) => token(withoutPin, '--pin-source', await bench.write('pin', '4711\n'))(bench),
    says: /refused the PIN .*CKR_PIN_INCORRECT/,
    code: 'ERR_PIN_INCORRECT',
    exit: 4,
    cure: /[Cc]orrect/,
  },
  {
    what: 'the PIN stands in place of its source',
    command: token(withoutPin, '--pin-source', '4711'),
    says: /can't read the PIN(?!.*'4711')/,
    code: 'ERR_PIN_SOURCE',
    exit: 3,
    cure: /takes where it is/,
  },
  {
    what: "the PIN's file is not there",
    command: token(withoutPin, '--pin-source', '/no/such/pin'),
    says: /can't read the PIN.*\/no\/such\/pin/,
    code: 'ERR_PIN_SOURCE',
    exit: 3,
    cure: /--pin-source/,
  },
  {
    what: 'a credential, and no systemd',
    command: token(withoutPin, '--pin-source', 'credential:pin'),
    says: /CREDENTIALS_DIRECTORY/,
    code: 'ERR_PIN_SOURCE',
    exit: 3,
    cure: /LoadCredential=/,
  },
  {
    what: 'no PIN source, and no terminal',
    command: token(withoutPin),
    says: /no terminal/,
    code: 'ERR_PIN_REQUIRED',
    exit: 4,
    cure: /--pin-source/,
  },
  {
    what: 'the PIN in the URI',
    command: token((uri) => `${withoutPin(uri)}&pin-value=4711`),
    says: /pin-value(?!.*4711)/,
    code: 'ERR_URI',
    exit: 2,
    cure: /pin-source=/,
  },
  {
    what: 'an attribute that there is none of',
    command: token((uri) => uri.replace('object=', 'label=')),
    says: /unknown attribute 'label'.*object/,
    code: 'ERR_URI',
    exit: 2,
    cure: /pksigd keys/,
  },
  {
    what: 'a bare percent sign',
    command: run('pkcs11:token=50%;object=x'),
    says: /bad pkcs11 URI/,
    code: 'ERR_URI',
    exit: 2,
    cure: /percent|pksigd keys/,
  },
];
