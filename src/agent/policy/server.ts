import { X509Certificate } from 'node:crypto';
import type { PolicySettings } from '../../config/settings.ts';
import { AgentError } from '../../errors.ts';
import { readFileLimited } from '../../read-file-limited.ts';
import { certificateOf } from '../../signing/tls/certificate.ts';
import { chainFault } from '../../signing/tls/server-chain.ts';
import { hasName, toldSubject } from '../../signing/tls/server-name.ts';
import { isSignedByServer } from '../../signing/tls/server-signature.ts';
import type { Asked } from './asked.ts';

export const MAX_CA_BYTES: number = 4 * 1024 * 1024;
const PEM = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

function refuse(why: string): never {
  throw new AgentError('ERR_POLICY_SERVER', why);
}

/** Which servers a key may be shown to. Only handshakes of TLS 1.0 to 1.2 show the server, and only as whole messages. */
export class ServerRule {
  readonly #authorities: readonly X509Certificate[] | undefined;
  readonly #name: string | undefined;

  private constructor(authorities: readonly X509Certificate[] | undefined, name: string | undefined) {
    this.#authorities = authorities;
    this.#name = name;
  }

  /** @returns undefined if any server will do @throws AgentError ERR_CONFIG, ERR_CONFIG_NOT_FOUND for the CAs' file */
  static async open({ serverCa, serverName }: PolicySettings): Promise<ServerRule | undefined> {
    if (serverCa === undefined && serverName === undefined) return undefined;
    return new ServerRule(serverCa === undefined ? undefined : await readAuthorities(serverCa), serverName);
  }

  /** Whoever passes it is a server of one of the CAs: a name alone may be anybody's. */
  get verifies(): boolean {
    return this.#authorities !== undefined;
  }

  /** @param now milliseconds since 1970 @throws AgentError ERR_POLICY_SERVER */
  check({ context }: Asked, now: number): void {
    if (!('transcript' in context)) {
      const text = "the server can't be seen, of which the key's policy requires something";
      throw new AgentError('ERR_POLICY_SERVER', text, { reason: 'server-not-seen' });
    }
    const { transcript } = context;
    const [first = Buffer.alloc(0), ...sent] = transcript.serverCertificates;
    try {
      const server = certificateOf(first);
      const fault = this.#authorities && chainFault(server, sent, this.#authorities, now);
      if (fault !== undefined) refuse(`the server's certificate (${toldSubject(server)}): ${fault}`);
      if (this.#name !== undefined && !hasName(server, this.#name))
        refuse(`the server is '${toldSubject(server)}', and not '${this.#name}'`);
      if (isSignedByServer(transcript, server.publicKey) === false)
        refuse(`the server that is called '${toldSubject(server)}' did not take part in the handshake`);
    } catch (error) {
      if (error instanceof AgentError) throw error;
      refuse("a certificate of the server's can't be read");
    }
  }
}

/** The certificates in a PEM file. */
async function readAuthorities(path: string): Promise<X509Certificate[]> {
  const codes = { code: 'ERR_CONFIG', absent: 'ERR_CONFIG_NOT_FOUND' } as const;
  const bytes = await readFileLimited(path, { what: 'CA file', ...codes, maxBytes: MAX_CA_BYTES });
  try {
    const found = (bytes.toString('latin1').match(PEM) ?? []).map((pem) => new X509Certificate(pem));
    if (found.length > 0) return found;
  } catch {
    // told as none
  }
  throw new AgentError('ERR_CONFIG', `${path} holds no certificate in PEM, or one that can't be read`);
}
