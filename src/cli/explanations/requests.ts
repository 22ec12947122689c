import type { AgentErrorCode } from '../../errors.ts';
import type { Explanation } from './explanation.ts';

const NEVER_OF_OPENVPN =
  'Something else than OpenVPN asked, or a release of it that is newer than pksigd: see which client and release it is, and report it.';

/** What was to be signed is refused: nothing was sent to the key. */
export const REQUESTS: Readonly<
  Record<Extract<AgentErrorCode, `ERR_REQUEST_${string}` | `ERR_POLICY_${string}`>, Explanation>
> = {
  ERR_REQUEST_BASE64: {
    what: 'The data of a request are not base64.',
    causes: [
      { why: 'With pksigd sign, standard input is not base64.', cure: 'Pipe it through base64(1).' },
      { why: 'The daemon sent something broken.', cure: NEVER_OF_OPENVPN },
    ],
  },
  ERR_REQUEST_EMPTY: {
    what: 'There is nothing to sign.',
    causes: [
      { why: 'With pksigd sign, standard input is empty.', cure: 'Give the data, as base64, on standard input.' },
      { why: 'The daemon sent a request without data.', cure: NEVER_OF_OPENVPN },
    ],
  },
  ERR_REQUEST_TRUNCATED: {
    what: 'The daemon sent only the beginning of what is to be signed: OpenVPN cuts a message at some 10 KB.',
    causes: [
      {
        why: "With 'digest' behind management-external-key TLS 1.2 sends whole transcripts, and the server's certificates make them long.",
        cure: "Let TLS 1.3 in (no 'tls-version-max 1.2'), or leave 'digest' out, or have the server send fewer certificates.",
      },
    ],
  },
  ERR_REQUEST_ALGORITHM: {
    what: "The request's algorithm text is none that pksigd knows.",
    causes: [
      {
        why: 'With pksigd sign, --algorithm has a mistake.',
        cure: 'Write it as OpenVPN does, such as RSA_PKCS1_PSS_PADDING,hashalg=SHA256,saltlen=digest or ECDSA: docs/SIGNING.md lists them.',
      },
      { why: 'OpenVPN asks for something new.', cure: NEVER_OF_OPENVPN },
    ],
  },
  ERR_REQUEST_HASH: {
    what: 'The request names a hash that is unknown, or that does not go with the signature.',
    causes: [{ why: 'See the algorithm text in the log.', cure: NEVER_OF_OPENVPN }],
  },
  ERR_REQUEST_LENGTH: {
    what: 'The data are too long or too short for what is asked.',
    causes: [
      {
        why: 'With pksigd sign, the data are no digest of the hash that --algorithm names.',
        cure: 'Hash them first: openssl dgst -sha256 -binary FILE | base64.',
      },
      {
        why: 'The key is of another length than the certificate that the daemon has.',
        cure: "Give the daemon the key's own certificate: pksigd check compares them.",
      },
    ],
  },
  ERR_REQUEST_DIGEST_INFO: {
    what: 'For RSA with PKCS #1 v1.5 the data must be a DigestInfo (RFC 8017 section 9.2), and are none.',
    causes: [
      {
        why: 'With pksigd sign, a bare hash was given.',
        cure: 'Name the hash: --algorithm RSA_PKCS1_PADDING,hashalg=SHA256,data=message takes the message itself.',
      },
      {
        why: 'Somebody tries to have something else signed.',
        cure: 'See who reaches the management interface: docs/SECURITY.md.',
      },
    ],
  },
  ERR_REQUEST_PADDING: {
    what: 'A block for RSA without padding is not padded as a signature is. pksigd decrypts for nobody.',
    causes: [
      {
        why: 'Somebody tries to use the key for decryption.',
        cure: 'See who reaches the management interface: docs/SECURITY.md.',
      },
      {
        why: "The key is shorter than OpenVPN takes it to be: it has another key's certificate.",
        cure: "Give the daemon the key's own certificate: pksigd check compares them.",
      },
    ],
  },
  ERR_REQUEST_SALT: {
    what: 'A PSS signature with such a salt does not fit the key, or its length is no number.',
    causes: [
      {
        why: 'The RSA key is too short for the hash: 1024 bits are, with SHA-512.',
        cure: 'Use a key of 2048 bits or more.',
      },
    ],
  },
  ERR_REQUEST_KEY_TYPE: {
    what: 'The daemon asks for a signature of another kind of key, such as ECDSA of an RSA key.',
    causes: [
      {
        why: "The daemon has another key's certificate.",
        cure: "Give it the key's own: pksigd check compares them and prints the lines for the .ovpn.",
      },
    ],
  },
  ERR_POLICY_SCHEME: {
    what: "The key's policy allows no such signature scheme.",
    causes: [{ why: 'allow-scheme does not name it.', reason: 'scheme-not-allowed' }],
  },
  ERR_POLICY_HASH: {
    what: "The key's policy allows no such hash; by default SHA-1 and MD5 are not allowed.",
    causes: [
      {
        why: 'The server does TLS 1.0 or 1.1 only, or prefers SHA-1.',
        reason: 'old-hash-not-allowed',
      },
      { why: 'allow-hash leaves out a hash that the server prefers.', reason: 'hash-not-allowed' },
    ],
  },
  ERR_POLICY_SALT: {
    what: 'The salt of a PSS signature is not as long as its hash, which is what TLS has.',
    causes: [{ why: 'No OpenVPN asks so by itself.', cure: NEVER_OF_OPENVPN }],
  },
  ERR_POLICY_CONTEXT: {
    what: "What is to be signed was not seen to be for a TLS client's handshake with this key.",
    causes: [
      { why: 'The policy wants to see it, and the daemon sends hashes.', reason: 'hash-without-context' },
      { why: 'It is a message of something else.', reason: 'foreign-message' },
    ],
  },
  ERR_POLICY_SERVER: {
    what: 'The server is not the one that the policy wants, or it was not seen.',
    causes: [
      { why: 'The handshake does not show the server.', reason: 'server-not-seen' },
      {
        why: 'The server has another name, or its certificate leads to another authority.',
        cure: 'Compare require-server-name and require-server-ca with the certificate of the server: the log names what was seen. If it is the wrong server, all is well.',
      },
    ],
  },
  ERR_POLICY_RATE: {
    what: 'The key was to sign more often than --rate and --burst allow.',
    causes: [
      {
        why: 'A daemon reconnects again and again: each handshake is a signature.',
        cure: "See the daemon's log for why its handshakes fail.",
      },
      { why: 'Many tunnels share the key.', cure: 'Raise --burst to what they need when they all start at once.' },
    ],
  },
  ERR_POLICY_USES: {
    what: 'A connection wanted more signatures than --uses-per-connect allows.',
    causes: [
      {
        why: 'A connection needs one for each handshake: one at its start, one an hour (reneg-sec).',
        cure: 'Raise --uses-per-connect, or see who asks: docs/POLICY.md.',
      },
    ],
  },
  ERR_POLICY_CONFIRM: {
    what: 'The command of --confirm did not say yes.',
    causes: [
      { why: 'A person said no, or did not answer within --deadline.', cure: 'Say yes at the next handshake.' },
      {
        why: 'The command failed: it has no display, or is not installed.',
        cure: 'Run it by hand as the user that pksigd runs as; its exit status must be 0.',
      },
    ],
  },
  ERR_POLICY_LIFETIME: {
    what: "The key's lifetime (--lifetime) is over: it signs nothing.",
    causes: [
      {
        why: 'So much time has passed since it was opened.',
        cure: 'pksigd reload, or start pksigd anew, and type the PIN.',
      },
    ],
  },
};
