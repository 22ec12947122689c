import type { Explanation } from './explanation.ts';

/** The exit codes of the process, which `EXIT` (exit-codes.ts) names. */
export const EXITS: Readonly<Record<0 | 1 | 2 | 3 | 4, Explanation>> = {
  0: { what: 'Done; run was told to stop.', causes: [] },
  1: {
    what: 'The operation failed; it may do better another time.',
    causes: [
      {
        why: 'The last line says at what, with a code.',
        cure: 'pksigd explain CODE. A supervisor may start pksigd again.',
      },
    ],
  },
  2: {
    what: 'A person must change something: an option, a URI, the content or mode of a file, a module that can not be loaded, the state directory.',
    causes: [
      { why: 'The last line says what, with a code.', cure: 'pksigd explain CODE. Starting again changes nothing.' },
    ],
  },
  3: {
    what: 'Something that was named is not there, and may come: a token, key, certificate, module, the file of a key or PIN, an OpenVPN configuration.',
    causes: [
      {
        why: 'The last line says what, with a code.',
        cure: 'pksigd explain CODE. A supervisor may start pksigd again.',
      },
    ],
  },
  4: {
    what: 'The PIN or passphrase was refused, is locked, had no answer twice, or nobody can be asked for it.',
    causes: [
      {
        why: 'The last line says which, with a code.',
        cure: 'pksigd explain CODE. No supervisor may start pksigd again: RestartPreventExitStatus=2 4.',
      },
    ],
  },
};
