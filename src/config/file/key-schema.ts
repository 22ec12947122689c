import * as v from 'valibot';
import { formatExecText } from '../../exec/index.ts';
import { setting, text } from './checkers.ts';
import type { KeySection } from './document.ts';
import { KEY_POLICY } from './policy-schema.ts';
import type { Schema } from './schema-types.ts';

const TRUE_FALSE = 'true or false';
const flag = v.boolean();
/** A program and its arguments, as the KEY that says the same. */
const program = v.pipe(
  v.strictObject({ program: text, arguments: v.optional(v.array(text), []) }),
  v.transform(({ program: path, arguments: words }) => formatExecText({ program: path, words })),
);
const keyText = v.union([text, program]);
const keys = v.pipe(
  v.union([keyText, v.pipe(v.array(keyText), v.nonEmpty())]),
  v.transform((value) => (typeof value === 'string' ? [value] : value)),
);
const texts = v.pipe(
  v.union([text, v.pipe(v.array(text), v.nonEmpty())]),
  v.transform((value) => (typeof value === 'string' ? [value] : value)),
);
/** A section of a private key. */
export const KEY: Schema<KeySection> = v.pipe(
  v.object({
    key: setting(
      {
        takes: 'a file, a pkcs11: URI or exec:PROGRAM, or a list of them',
        option: '--key',
        path: 'key',
        text: 'The private key. Several are copies of one key, the first preferred. A program that signs ([EXEC.md](EXEC.md)) is `"exec:PROGRAM ARGUMENT"` or `{ program = "PROGRAM", arguments = ["ARGUMENT"] }`.',
      },
      keys,
    ),
    cert: v.optional(
      setting(
        {
          takes: 'a file, a pkcs11: URI or exec:PROGRAM',
          option: '--cert',
          path: 'key',
          without: 'what comes with the key',
          text: 'Its certificate, for `management-external-cert` and for tokens and programs that tell no public key.',
        },
        text,
      ),
    ),
    select: v.optional(
      setting(
        {
          takes: 'words such as "SUBJ:Jane ISSUER:Corp CA", or a list of them',
          option: '--select',
          text: 'What its certificate must be, where `key` fits several: all words must fit; of those that they fit, the newest valid one is taken ([CERTIFICATES.md](CERTIFICATES.md)).',
        },
        texts,
      ),
    ),
    module: v.optional(
      setting(
        {
          takes: 'the path of a PKCS#11 module',
          option: '--module',
          path: 'path',
          without: 'that of `[token]`',
          text: 'The module for URIs of this key that name none.',
        },
        text,
      ),
    ),
    'allow-readable-key': v.optional(
      setting(
        { takes: TRUE_FALSE, option: '--allow-readable-key', text: 'Take a key file that others can read.' },
        flag,
      ),
      false,
    ),
    'wait-for-token': v.optional(
      setting(
        {
          takes: TRUE_FALSE,
          option: '--wait-for-token',
          text: 'Wait for a token that is not there at the start, or fails.',
        },
        flag,
      ),
      false,
    ),
    ...KEY_POLICY,
  }),
  v.metadata({ text: 'A private key. `NAME` is yours; tunnels name it. Any number.' }),
);
