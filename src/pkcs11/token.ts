import { AgentError } from '../errors.ts';
import type { Secret } from '../secret.ts';
import { CKF } from './constants.ts';
import type { ModuleHost } from './module-host.ts';
import type { TokenInfo } from './protocol.ts';
import type { Pkcs11Uri } from './uri.ts';

/** A PIN and what became of it. It is asked for once, kept while the agent runs, and never tried again once refused. */
export class Pin {
  readonly #ask: (token: string) => Promise<Secret>;
  #secret: Promise<Secret> | undefined;
  #refusal: AgentError | undefined;

  /** @param ask gets the PIN; told the token's label, for a prompt */
  constructor(ask: (token: string) => Promise<Secret>) {
    this.#ask = ask;
  }

  /**
   * Logs in to a token.
   * @throws AgentError ERR_PIN_INCORRECT, ERR_PIN_LOCKED: then and at every later call, without another try
   */
  async login(host: ModuleHost, session: string, token: TokenInfo): Promise<void> {
    if (this.#refusal) throw this.#refusal;
    if ((token.flags & CKF.USER_PIN_LOCKED) !== 0) {
      throw new AgentError('ERR_PIN_LOCKED', `the PIN of token '${token.label}' is locked`, {
        hint: 'unlock it with its PUK or SO PIN',
      });
    }
    const secret = await (this.#secret ??= this.#ask(token.label));
    try {
      await host.login(session, secret);
    } catch (error) {
      if (!(error instanceof AgentError) || !error.code.startsWith('ERR_PIN_')) throw error;
      this.#refusal = new AgentError(error.code, `token '${token.label}' refused the PIN (${error.message})`, {
        cause: error,
        ...(error.ckr !== undefined && { ckr: error.ckr }),
      });
      this.destroy();
      throw this.#refusal;
    }
  }

  destroy(): void {
    this.#secret?.then(
      (secret) => {
        secret.destroy();
      },
      () => undefined,
    );
    this.#secret = undefined;
  }
}

function matches(uri: Pkcs11Uri, token: TokenInfo): boolean {
  return (
    (uri.token === undefined || uri.token === token.label) &&
    (uri.manufacturer === undefined || uri.manufacturer === token.manufacturer) &&
    (uri.model === undefined || uri.model === token.model) &&
    (uri.serial === undefined || uri.serial === token.serial) &&
    (uri.slotId === undefined || uri.slotId === slotNumber(token.slot))
  );
}

/** A slot's handle is CK_SLOT_ID as it lies in memory: little-endian on every platform that Node runs on here. */
function slotNumber(slot: string): number {
  const bytes = Buffer.from(slot, 'hex');
  return bytes.length < 4 ? bytes.readUIntLE(0, bytes.length) : bytes.readUInt32LE(0);
}

/**
 * The token that a URI names, among those that are there now.
 * @throws AgentError ERR_TOKEN_ABSENT, ERR_TOKEN_AMBIGUOUS
 */
export async function findToken(host: ModuleHost, uri: Pkcs11Uri): Promise<TokenInfo> {
  const tokens = await host.call('tokens', {});
  const found = tokens.filter((token) => matches(uri, token));
  const [token] = found;
  if (found.length > 1) {
    const names = found.map(({ label, serial }) => `'${label}' (serial ${serial})`).join(', ');
    throw new AgentError('ERR_TOKEN_AMBIGUOUS', `the pkcs11 URI fits several tokens: ${names}`, {
      hint: 'add token= or serial=',
    });
  }
  if (token) return token;
  const present = tokens.map(({ label }) => `'${label}'`).join(', ');
  const wanted = uri.token === undefined ? 'no token that the pkcs11 URI fits' : `no token '${uri.token}'`;
  throw new AgentError('ERR_TOKEN_ABSENT', `${wanted} in module ${host.modulePath}`, {
    hint: present === '' ? 'there is none at all' : `there is ${present}`,
  });
}

/**
 * Opens a session, logged in where the token wants that.
 * @throws AgentError ERR_PIN_*, ERR_TOKEN_*, ERR_MODULE_*
 */
export async function openSession(host: ModuleHost, token: TokenInfo, pin: Pin): Promise<string> {
  const session = await host.call('openSession', { slot: token.slot });
  if ((token.flags & CKF.LOGIN_REQUIRED) !== 0) await pin.login(host, session, token);
  return session;
}
