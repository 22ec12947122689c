import type { AgentErrorCode } from '../../errors.ts';
import type { Explanation } from './explanation.ts';

export type KeyCode =
  | Extract<AgentErrorCode, `ERR_KEY_${string}` | `ERR_CERTIFICATE_${string}` | `ERR_PIN_${string}`>
  | 'ERR_OUTPUT_FILE'
  | 'ERR_SCHEME_UNSUPPORTED'
  | 'ERR_SIGNATURE_INVALID'
  | 'ERR_PASSPHRASE_INCORRECT';

/** Keys, certificates, PINs. */
export const KEYS: Readonly<Record<KeyCode, Explanation>> = {
  ERR_KEY_NOT_FOUND: {
    what: 'The key that was named is not there. What the token has is in the message.',
    causes: [
      { why: 'A label or an id is mistyped.', cure: 'Paste the URI that pksigd keys prints.' },
      { why: "'id=01' means the two characters 0 and 1.", cure: "Write 'id=%01' (in a systemd unit '%%01')." },
      {
        why: 'The token shows its keys only after a login, and none was made.',
        reason: 'no-login',
      },
      {
        why: 'The file is not there, or not yet: a file system that is mounted late.',
        cure: 'Correct the path. Under systemd, Restart=on-failure tries again.',
      },
      { why: 'No key is on the token yet.', cure: 'pksigd enrol makes one, and the request for its certificate.' },
    ],
  },
  ERR_KEY_AMBIGUOUS: {
    what: 'Several keys fit what was named. The message lists them.',
    causes: [
      {
        why: 'The URI says too little.',
        cure: 'Add id= or object=, as pksigd keys prints them, or --select what the certificate must be.',
      },
      { why: 'A file has several private keys.', cure: 'Put each into a file of its own.' },
    ],
  },
  ERR_KEY_EXISTS: {
    what: 'There is a key already where one was to be made. Nothing was changed.',
    causes: [{ why: 'enrol makes no key in place of another.', reason: 'key-exists' }],
  },
  ERR_KEY_FILE: {
    what: 'The file holds no private key that can be read.',
    causes: [
      { why: 'It is a certificate.', reason: 'certificate-as-key' },
      { why: 'It is a public key.', reason: 'public-key-as-key' },
      { why: 'The file is another one than when it was opened.', reason: 'key-changed' },
      {
        why: 'It is broken, or in a form that pksigd does not know.',
        cure: 'PEM and DER are known (PKCS#8, PKCS#1, SEC1), and PKCS#12: openssl pkey -in FILE converts.',
      },
    ],
  },
  ERR_KEY_PERMISSIONS: {
    what: 'Others can read the key file, or could change the program of an exec: key.',
    causes: [
      { why: "The key file\'s mode is too wide.", reason: 'readable-key' },
      {
        why: 'The program, or a folder above it, belongs to another user or can be written by others.',
        cure: 'Have root own it, mode 0755: docs/EXEC.md.',
      },
    ],
  },
  ERR_KEY_UNSUPPORTED: {
    what: 'No TLS client signs with such a key, or this OpenVPN or pksigd does not.',
    causes: [
      { why: 'It is DSA, X25519, X448 or RSA-PSS only.', cure: 'Use RSA, P-256, P-384, P-521, Ed25519 or Ed448.' },
      {
        why: 'It is RSA with less than 1024 bits, or an EC key on an unusual curve.',
        cure: 'Use RSA with 2048 bits, or P-256.',
      },
      {
        why: 'This OpenVPN takes no such key from outside: with mbed TLS, and before 2.5, RSA only; Ed25519 from 2.6 on.',
        cure: 'Use a release that does (2.6 with OpenSSL), or an RSA key.',
      },
      { why: 'The key tells no public key, so that no signature could be verified.', reason: 'no-public-key' },
    ],
  },
  ERR_KEY_TIMEOUT: {
    what: 'No signature came within --deadline. The daemon got an empty answer, and tries again.',
    causes: [
      {
        why: 'The token wants to be touched, or a PIN typed at its keypad.',
        cure: 'Do so; the log says when it waits, and --notify desktop shows it.',
      },
      {
        why: 'A reader or a network HSM hangs.',
        cure: 'See to it; pksigd starts its module anew by itself. More --key are copies to go on with.',
      },
    ],
  },
  ERR_KEY_UNAVAILABLE: {
    what: 'The key is not open, or no longer.',
    causes: [
      { why: 'The token is away.', cure: 'Put it in.' },
      { why: 'A PIN is waited for.', cure: 'Type it, or give --pin-source.' },
      { why: 'The agent is about to end, or the key left the configuration.', cure: 'Nothing: it starts anew.' },
    ],
  },
  ERR_CERTIFICATE_NOT_FOUND: {
    what: 'There is no certificate of the key, or none that fits the words.',
    causes: [
      { why: 'None lies with the key on the token or in its file.', reason: 'no-certificate' },
      {
        why: "The words of --select, or of the daemon\'s management-external-cert, fit none.",
        cure: 'The message lists the certificates there are; docs/CERTIFICATES.md has the words.',
      },
      { why: 'The file of --cert holds none.', cure: 'Give a file of PEM or DER.' },
    ],
  },
  ERR_CERTIFICATE_MISMATCH: {
    what: 'The certificate is of another key.',
    causes: [
      {
        why: "cert in the .ovpn, or --cert, names another one\'s file.",
        cure: 'Name the right one; pksigd check says of which key each is.',
      },
      { why: 'The key was made anew, and its certificate not yet.', cure: 'pksigd enrol writes the request for one.' },
      { why: 'Another key is in the place of the one that was opened.', reason: 'key-changed' },
    ],
  },
  ERR_CERTIFICATE_DATES: {
    what: 'The certificate has expired, or is not valid yet.',
    causes: [
      { why: 'It has ended.', cure: 'pksigd enrol --renew writes the request for the next one; docs/ENROL.md.' },
      { why: "This machine\'s clock is wrong.", cure: 'Set it: timedatectl.' },
    ],
  },
  ERR_CERTIFICATE_CHAIN: {
    what: 'Who issued the certificate can not be followed to a known authority.',
    causes: [
      {
        why: 'A certificate of an authority in between is missing.',
        cure: 'Put it into the file of --import, behind the other one.',
      },
      {
        why: 'It was issued by somebody else.',
        cure: 'Give --ca the right authority, or have the request signed by it.',
      },
      { why: 'No authorities are known.', reason: 'no-authorities' },
    ],
  },
  ERR_CERTIFICATE_PURPOSE: {
    what: 'The certificate is not for a client.',
    causes: [
      {
        why: 'The authority issued it for a server or for mail.',
        cure: 'Have it issued with the extended key usage clientAuth (easy-rsa: sign-req client).',
      },
    ],
  },
  ERR_OUTPUT_FILE: {
    what: 'A file that was to be written is something else, or can not be written.',
    causes: [{ why: 'There is another file of that name.', cure: 'Name another one.' }],
  },
  ERR_SCHEME_UNSUPPORTED: {
    what: 'The token, file or program can not sign what the daemon asks for. A cure is in the message, where there is one.',
    causes: [
      {
        why: 'It does neither RSA-PSS nor raw RSA, and TLS 1.3 wants PSS.',
        cure: "Write 'management-external-key nopadding pkcs1' and 'tls-version-max 1.2' into the .ovpn; the server must take PKCS #1 v1.5.",
      },
      {
        why: 'The .ovpn asks for more than it does.',
        cure: 'pksigd check --login tries everything, and prints the lines for the .ovpn.',
      },
    ],
  },
  ERR_SIGNATURE_INVALID: {
    what: 'The token gave a signature that its public key does not verify. It was not sent.',
    causes: [
      {
        why: 'The certificate on the token belongs to another key.',
        cure: 'pksigd keys shows what lies under which id.',
      },
      {
        why: 'The module or token is faulty.',
        cure: "Try another module (OpenSC, the maker's): docs/TOKENS.md lists what is known of each.",
      },
    ],
  },
  ERR_PIN_INCORRECT: {
    what: 'The PIN or passphrase is wrong. It is not tried again, over restarts too, until it changes.',
    causes: [
      {
        why: 'The source has an old or mistyped PIN.',
        cure: 'Correct the file, credential or command; at a prompt type it again.',
      },
      {
        why: 'The PIN is right, and was refused while the card was broken or locked.',
        cure: 'Remove the file that the message names: docs/PIN.md.',
      },
    ],
  },
  ERR_PIN_LOCKED: {
    what: 'Too many wrong PINs were given: the token takes none any more.',
    causes: [
      {
        why: 'Something else than pksigd tried often: pksigd tries a wrong PIN once.',
        cure: 'Unlock it with its PUK or SO PIN: pkcs15-tool --unblock-pin, ykman piv access unblock-pin, pkcs11-tool --init-pin.',
      },
      {
        why: 'The PIN has expired (CKR_PIN_EXPIRED).',
        cure: "Set a new one with the token's own tools, such as pkcs11-tool --change-pin.",
      },
    ],
  },
  ERR_PIN_FINAL_TRY: {
    what: 'The token has one try left. pksigd leaves it to you.',
    causes: [{ why: 'Wrong PINs were given before.', reason: 'final-pin-try' }],
  },
  ERR_PIN_REQUIRED: {
    what: 'A PIN or passphrase is needed, and nobody gave one.',
    causes: [
      {
        why: 'There is no terminal, as in a service.',
        cure: 'Give --pin-source, or pin-source in the URI: a file, credential:NAME, command:COMMAND, or on a desktop pinentry or askpass.',
      },
      { why: 'OpenVPN itself asked for the PIN before, by its own PKCS#11.', reason: 'pin-at-terminal' },
      { why: 'The key file is encrypted.', reason: 'no-passphrase' },
      { why: 'Nothing was typed at the prompt.', cure: 'Start again and type it.' },
    ],
  },
  ERR_PIN_SOURCE: {
    what: 'The source of the PIN can not be read. No try of the token was used.',
    causes: [
      {
        why: 'The file is not there, or not for this user.',
        cure: "Correct --pin-source; as the agent's user, cat FILE shows it.",
      },
      {
        why: 'The PIN itself stands there.',
        cure: "--pin-source takes where it is: a file, credential:NAME, command:COMMAND, pinentry, askpass, prompt. Change the PIN: it is in the shell's history now.",
      },
      {
        why: 'credential:NAME, and the service has no such credential.',
        cure: 'Write LoadCredential=NAME:/path into the unit: docs/SYSTEMD.md.',
      },
      { why: 'The command failed, or printed nothing.', cure: "Run it by hand as the agent's user." },
    ],
  },
  ERR_PIN_UNSETTLED: {
    what: 'The token never told what became of a login. The PIN is tried once more, and then counts as refused.',
    causes: [
      {
        why: 'The reader was pulled, hung or crashed in the middle of it.',
        cure: 'See to the reader, then start again. If the PIN is right, remove the file that the message names: docs/PIN.md.',
      },
      {
        why: 'Two logins in a row were not accepted, one of them a second one with a PIN, and the token does not show how many tries it has left.',
        cure: 'Log in by hand with the right PIN, then remove the file that the message names.',
      },
    ],
  },
  ERR_PASSPHRASE_INCORRECT: {
    what: 'The passphrase that the agent was locked with is another one.',
    causes: [{ why: 'It was mistyped.', cure: 'Type it again after a moment. Forgotten: restart the agent.' }],
  },
};
