// What a daemon asks for, and whether the answers fit.
import { constants, createHash, createPublicKey, randomBytes, verify } from 'node:crypto';
import { readFileSync } from 'node:fs';

/** What OpenVPN 2.6 and newer writes behind the data: without and with the word `digest` of management-external-key. */
const ALGORITHMS = {
  EC: { digest: 'ECDSA', message: 'ECDSA,hashalg=SHA256,data=message' },
  RSA: {
    digest: 'RSA_PKCS1_PSS_PADDING,hashalg=SHA256,saltlen=digest',
    message: 'RSA_PKCS1_PSS_PADDING,hashalg=SHA256,saltlen=digest,data=message',
  },
  ED25519: { message: 'ED25519,data=message' },
};

/** Whether OpenVPN has such requests for a key: Ed25519 never comes with a digest. */
export function isAsked(key, data) {
  return ALGORITHMS[kindOf(key)][data] !== undefined;
}

/** As many different requests as told: TLS 1.3's message, whole or hashed. */
export class Requests {
  #messages;
  #key;
  #kind;

  constructor(workshop, { key, data }, count = 64) {
    this.#kind = kindOf(key);
    this.#key = createPublicKey(readFileSync(workshop.keyFile(key, 'pub.pem')));
    this.#messages = Array.from({ length: count }, tls13Message);
    const algorithm = ALGORITHMS[this.#kind][data];
    const tbs = (message) => (data === 'message' ? message : createHash('sha256').update(message).digest());
    this.lines = this.#messages.map((message) => `${tbs(message).toString('base64')},${algorithm}`);
  }

  /** Throws if one of these answers is not a signature of what was asked. */
  verify(answers) {
    for (const { request, base64 } of answers) {
      if (this.#fits(this.#messages[request], Buffer.from(base64, 'base64'))) continue;
      throw new Error(`a wrong signature: '${base64}' for ${this.lines[request]}`);
    }
  }

  #fits(message, signature) {
    if (this.#kind === 'ED25519') return verify(null, message, this.#key, signature);
    if (this.#kind === 'EC') return verify('sha256', message, this.#key, signature);
    const pss = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 };
    return verify('sha256', message, { key: this.#key, ...pss }, signature);
  }
}

function tls13Message() {
  const head = `${' '.repeat(64)}TLS 1.3, client CertificateVerify\0`;
  return Buffer.concat([Buffer.from(head, 'latin1'), randomBytes(48)]);
}

function kindOf(key) {
  if (key.startsWith('rsa')) return 'RSA';
  return key.startsWith('p') ? 'EC' : 'ED25519';
}
