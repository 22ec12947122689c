import type { SecretGuard, Signed } from '../exec/index.ts';
import type { Module, Pin, TokenInfo } from '../pkcs11/index.ts';
import type { Secret } from '../secret.ts';

/** What is sent to the program in place of a module's calls. */
type Send = (secret: Secret, onLogin: () => void) => Promise<unknown>;

/** A program as a token whose PIN is tried: all that guards tokens' PINs guards its secret, over restarts too. */
class ProgramAsToken implements Module {
  readonly modulePath: string;
  readonly isAlive = true;
  readonly epoch = 0;
  readonly pending = 0;
  readonly #token: TokenInfo;
  readonly #send: Send;

  constructor(token: TokenInfo, send: Send) {
    this.modulePath = token.label;
    this.#token = token;
    this.#send = send;
  }

  /** Only ever asked which tokens there are. */
  call<Result>(): Promise<Result> {
    return Promise.resolve({ tokens: [this.#token], rss: 0 } as Result);
  }

  async login(_session: string, secret: Secret): Promise<boolean> {
    return (await this.#send(secret, () => undefined)) === true;
  }

  async sign(_params: unknown, _data: Buffer, options: Parameters<Module['sign']>[2] = {}): Promise<Buffer> {
    const { login } = options;
    if (!login) throw new TypeError('there is a secret in each signature');
    await this.#send(login.pin, login.onLogin);
    return NOTHING;
  }

  async stop(): Promise<void> {
    // whoever has the program ends it
  }
}

const NOTHING = Buffer.alloc(0);
/** Of a call whose parameters are the program's own business. */
const PARAMS = { session: '', key: '', mechanism: { type: 0 } };

/** The secret of one program, guarded as a token's PIN is. @param name the key's, which stands for the token */
export function programSecret(name: string, pin: Pin): SecretGuard {
  const token: TokenInfo = {
    slot: name,
    label: name,
    manufacturer: 'pksigd',
    model: 'exec',
    serial: '',
    flags: 0,
    minPinLength: 0,
    maxPinLength: 0,
  };
  return {
    login: async (send) => {
      await pin.login(new ProgramAsToken(token, send), '', token);
    },
    sign: async (send, signal) => {
      let signed: Signed | undefined;
      const keep: Send = async (secret, onLogin) => {
        signed = await send(secret, onLogin);
      };
      await pin.sign(new ProgramAsToken(token, keep), token, PARAMS, NOTHING, signal);
      if (!signed) throw new TypeError('nothing was signed');
      return signed;
    },
    forget: () => {
      pin.forget();
    },
  };
}
