import type { AgentErrorCode } from '../../errors.ts';
import type { Explanation } from './explanation.ts';

export type TokenCode =
  | Extract<AgentErrorCode, `ERR_TOKEN_${string}` | `ERR_MODULE_${string}` | `ERR_EXEC_${string}`>
  | 'ERR_URI'
  | 'ERR_PKCS11JS_MISSING';

/** Tokens, their modules, programs. */
export const TOKENS: Readonly<Record<TokenCode, Explanation>> = {
  ERR_URI: {
    what: 'The pkcs11: URI is not as RFC 7512 has it, or names no module. The message says what is wrong.',
    causes: [
      { why: 'Neither it nor the configuration names a module.', reason: 'no-module' },
      {
        why: 'Unknown attributes, blanks and bare special characters are refused.',
        cure: 'Paste the URI that pksigd keys prints, in single quotes.',
      },
      {
        why: 'module-path and pin-source stand behind a ?, parted by &; all else before it, parted by ;.',
        cure: "Write 'pkcs11:token=Office;object=vpn?module-name=opensc&pin-source=file:/path'.",
      },
      { why: 'In a systemd unit a % is special.', cure: 'Write each twice: id=%%01.' },
    ],
  },
  ERR_TOKEN_ABSENT: {
    what: 'The token is not there. Which ones are is in the message.',
    causes: [
      {
        why: 'The card or stick is not in its reader.',
        cure: 'Put it in; --wait-for-token has run wait for it at the start, too, where nothing else is served.',
      },
      { why: 'The label or serial is mistyped.', cure: 'Paste the URI that pksigd keys prints.' },
      {
        why: 'pcscd does not run, or another user may not use it.',
        cure: "systemctl start pcscd.socket; under polkit its rule must allow the agent's user.",
      },
      {
        why: 'SoftHSM looks into another folder.',
        cure: 'Set SOFTHSM2_CONF for pksigd as for softhsm2-util, by --module-env SOFTHSM2_CONF=/path.',
      },
    ],
  },
  ERR_TOKEN_AMBIGUOUS: {
    what: 'Several tokens fit the URI.',
    causes: [
      { why: 'It says too little of the token.', cure: 'Add token= or serial=, as pksigd keys prints them.' },
      { why: 'Keys of one token have two sources for its PIN.', reason: 'two-pin-sources' },
    ],
  },
  ERR_TOKEN_FAILED: {
    what: 'The token or its module said no: the message has the function and its return value (CKR_…). pksigd starts sessions and module anew by itself.',
    causes: [
      {
        why: 'The token was pulled, or another program used it meanwhile.',
        cure: 'Nothing, if a later line of the log is signed.',
      },
      { why: 'It fails each time.', cure: 'pksigd explain CKR_… says more; pksigd check --login shows at what.' },
      { why: 'The token does not store certificates.', reason: 'certificate-not-kept' },
    ],
  },
  ERR_MODULE_NOT_FOUND: {
    what: 'There is no such PKCS#11 module.',
    causes: [
      {
        why: 'Its package is not installed, or its path is mistyped.',
        cure: 'ls /usr/lib/*/pkcs11/ shows those of Debian; p11-kit list-modules those that have a name. OpenSC is opensc-pkcs11.so, YubiKeys have libykcs11.so, SoftHSM libsofthsm2.so, TPMs libtpm2_pkcs11.so.',
      },
    ],
  },
  ERR_MODULE_LOAD: {
    what: 'The file is no PKCS#11 module that this machine can load. What the loader said is in the message.',
    causes: [
      {
        why: "'wrong ELF class': it is of 32 bits, and Node of 64, or the other way round.",
        cure: "Install the module\'s package for this machine\'s architecture (dpkg --print-architecture).",
      },
      {
        why: "'undefined symbol: C_GetFunctionList': it is some other library.",
        cure: 'Name the module itself, not what it is linked with.',
      },
      {
        why: "'cannot open shared object file': a library that it needs is missing.",
        cure: 'ldd MODULE shows which: install its package.',
      },
    ],
  },
  ERR_MODULE_TIMEOUT: {
    what: 'A call into the module took longer than --deadline. Its process was ended; the next request starts a new one.',
    causes: [
      {
        why: 'The reader hangs, or the token waits for a touch or a keypad.',
        cure: 'Pull it and put it in again; raise --deadline if the token is slow by nature.',
      },
      { why: 'A network HSM is not reached.', cure: 'See to its network; give a second --key to go on with.' },
    ],
  },
  ERR_MODULE_DIED: {
    what: "The module\'s process ended in the middle: the module crashed, or was killed. The next request starts a new one.",
    causes: [
      { why: 'The module has a fault.', cure: 'Take another release of it; --module-output logs what it prints.' },
      { why: 'The system ran out of memory.', cure: "See the kernel\'s log: journalctl -k." },
    ],
  },
  ERR_MODULE_LIMIT: {
    what: 'The module showed more than pksigd holds: tokens, objects, or bytes of one object without end.',
    causes: [
      {
        why: 'The module is faulty, or the token has thousands of objects.',
        cure: 'Name token and key in the URI, so that less is read.',
      },
    ],
  },
  ERR_PKCS11JS_MISSING: {
    what: 'pkcs11js, through which modules are loaded, is not installed, or not compiled for this Node. Keys in files and programs need none.',
    causes: [
      {
        why: 'It was installed without a compiler, without leave to run install scripts, or with another release of Node.',
        cure: "Install python3, make and g++, then pksigd anew: npm install --global --allow-scripts=pkcs11js pksigd. 'npm rebuild' does not do.",
      },
    ],
  },
  ERR_EXEC_FAILED: {
    what: 'The program of an exec: key says that it did not do what it was asked. Its own words are in the message.',
    causes: [
      {
        why: 'What it stands for said no: a cloud, an agent, a token.',
        cure: "Run the program by hand as the agent's user; docs/EXEC.md has the lines to send it.",
      },
    ],
  },
  ERR_EXEC_PROTOCOL: {
    what: 'The program of an exec: key does not answer as docs/EXEC.md has it.',
    causes: [
      {
        why: 'It prints something else on its standard output.',
        cure: 'Have it print its answers only, a line of JSON each, and all else on standard error.',
      },
      { why: 'It is no such program.', cure: 'pksigd check --key exec:… --login tries it.' },
    ],
  },
  ERR_EXEC_TIMEOUT: {
    what: 'The program of an exec: key did not answer within --deadline, and was killed.',
    causes: [
      {
        why: 'What it asks is slow or not reached.',
        cure: "Run it by hand as the agent's user; raise --deadline if it takes its time.",
      },
    ],
  },
  ERR_EXEC_DIED: {
    what: 'The program of an exec: key ended without an answer.',
    causes: [
      {
        why: 'It failed at its start: a missing interpreter, credentials, network.',
        cure: "The log has what it wrote on standard error (with check: --log-level info); run it by hand as the agent's user.",
      },
    ],
  },
};

/** Return values of PKCS#11 (v3.1 section 5.1) that people look for. */
export const RETURN_VALUES: Readonly<Record<`CKR_${string}`, Explanation>> = {
  CKR_PIN_INCORRECT: {
    what: 'The token refused the PIN: a try is used up.',
    causes: [{ why: 'See ERR_PIN_INCORRECT.', cure: 'pksigd explain ERR_PIN_INCORRECT' }],
  },
  CKR_PIN_LOCKED: {
    what: 'The token takes no PIN any more.',
    causes: [{ why: 'See ERR_PIN_LOCKED.', cure: 'pksigd explain ERR_PIN_LOCKED' }],
  },
  CKR_PIN_EXPIRED: {
    what: 'The PIN is too old for the token, which takes it no more.',
    causes: [{ why: 'See ERR_PIN_LOCKED.', cure: 'pksigd explain ERR_PIN_LOCKED' }],
  },
  CKR_PIN_LEN_RANGE: {
    what: 'The PIN is too long or too short for the token.',
    causes: [
      {
        why: 'Its source has more than the PIN, such as blanks or a second word.',
        cure: 'The first line of the source is the PIN, whole.',
      },
    ],
  },
  CKR_TOKEN_NOT_PRESENT: {
    what: 'No token is in the slot.',
    causes: [{ why: 'It was pulled.', cure: 'Put it in: the agent goes on by itself.' }],
  },
  CKR_DEVICE_REMOVED: {
    what: 'The token was pulled while it was used.',
    causes: [{ why: 'It was pulled, or its contact is bad.', cure: 'Put it in: the agent goes on by itself.' }],
  },
  CKR_DEVICE_ERROR: {
    what: 'The token or its reader failed.',
    causes: [
      {
        why: 'Another program uses the card: gpg-agent, a browser, a second agent.',
        cure: "End it; for gpg-agent write 'pcsc-shared' and 'disable-ccid' into scdaemon.conf.",
      },
      { why: 'pcscd was restarted, or the reader unplugged.', cure: 'Nothing: the agent starts the module anew.' },
    ],
  },
  CKR_GENERAL_ERROR: {
    what: 'The module failed, and does not say at what.',
    causes: [
      {
        why: 'Its configuration, store or daemon is not there (SOFTHSM2_CONF, TPM2_PKCS11_STORE, pcscd).',
        cure: 'Set it for pksigd too: --module-env NAME=VALUE. pkcs11-tool --module PATH -T tries without pksigd.',
      },
      { why: 'The card was pulled in the middle of a signature.', cure: 'Put it in.' },
      { why: 'The TPM has no room for another key.', cure: 'One key a process: --module-hosts 1.' },
    ],
  },
  CKR_FUNCTION_FAILED: {
    what: 'The function failed, and the module does not say why.',
    causes: [{ why: 'As for CKR_GENERAL_ERROR.', cure: 'pksigd explain CKR_GENERAL_ERROR' }],
  },
  CKR_MECHANISM_INVALID: {
    what: 'The token does not do this kind of signature.',
    causes: [
      {
        why: "TLS 1.3 wants RSA-PSS, and the token has none. OpenVPN's own PKCS#11 ends here; pksigd pads by itself where the token does raw RSA.",
        cure: 'pksigd check --login says what it can, and prints the lines for the .ovpn.',
      },
    ],
  },
  CKR_USER_NOT_LOGGED_IN: {
    what: 'The token wants the PIN first, or wants it with each signature.',
    causes: [
      {
        why: 'The key has CKA_ALWAYS_AUTHENTICATE (PIV slot 9c).',
        cure: 'Give --pin-source, so that the PIN is at hand for each signature; or use slot 9a.',
      },
    ],
  },
  CKR_USER_ALREADY_LOGGED_IN: {
    what: 'Somebody in this process is logged in already.',
    causes: [
      {
        why: 'A module that lost its card in the middle of a signature says so (ykcs11).',
        cure: 'Nothing: the agent starts the module anew.',
      },
    ],
  },
  CKR_CRYPTOKI_ALREADY_INITIALIZED: {
    what: 'The module was started twice in one process.',
    causes: [
      {
        why: "OpenVPN's own PKCS#11 loads it, and something else does, such as an OpenSSL engine.",
        cure: 'Leave pkcs11-providers out: pksigd has each module in a process of its own.',
      },
    ],
  },
  CKR_HOST_MEMORY: {
    what: 'The module has no memory, or says so of something else.',
    causes: [{ why: "openCryptoki's daemon does not run.", cure: 'systemctl start pkcsslotd' }],
  },
  CKR_SESSION_COUNT: {
    what: 'The token has no further session.',
    causes: [{ why: 'Other programs hold them.', cure: 'End them, or give --module-hosts 1.' }],
  },
  CKR_ARGUMENTS_BAD: {
    what: 'The module does not take what it was given.',
    causes: [
      { why: 'NSS was started without its directory.', cure: '--module-init-args "configdir=\'sql:/path\'"' },
      { why: 'ykcs11 says so of a PIN that is too short.', cure: 'Correct the PIN at its source.' },
    ],
  },
};
