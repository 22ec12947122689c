import { AgentError } from '../../errors.ts';

/**
 * What agent and module host send each other, both ways:
 * length of all that follows (u32, big-endian), length of the header (u32), the header (JSON), the payload.
 * The payload is what must not be turned into text: data to sign, signatures, the PIN.
 */
export interface Frame {
  readonly header: object;
  readonly payload: Buffer;
}

const PREFIX = 4;
/** Nothing that is signed comes near; what claims to be longer is garbage that the module wrote into the pipe. */
const MAX_FRAME_BYTES = 4 * 1024 * 1024;

function noFrame(): AgentError {
  const text = 'the module host sent no frame (does the module write to its standard output?)';
  return new AgentError('ERR_MODULE_DIED', text);
}

/** @throws AgentError ERR_MODULE_DIED without a word of it: it may be anything */
function parseHeader(json: string): object {
  let header: unknown;
  try {
    header = JSON.parse(json);
  } catch {
    throw noFrame();
  }
  if (typeof header !== 'object' || header === null) throw noFrame();
  return header;
}

export function encodeFrame(header: object, payload: Uint8Array = new Uint8Array()): Buffer {
  const json = Buffer.from(JSON.stringify(header), 'utf8');
  const frame = Buffer.allocUnsafe(2 * PREFIX + json.length + payload.length);
  frame.writeUInt32BE(PREFIX + json.length + payload.length, 0);
  frame.writeUInt32BE(json.length, PREFIX);
  json.copy(frame, 2 * PREFIX);
  frame.set(payload, 2 * PREFIX + json.length);
  return frame;
}

/** Collects chunks of any size and gives back whole frames, each with bytes of its own. */
export class FrameDecoder {
  #chunks: Buffer[] = [];
  #length = 0;

  /**
   * @returns the frames that this chunk completes
   * @throws AgentError ERR_MODULE_DIED if the bytes can't be a frame: the channel is of no use any more
   */
  push(chunk: Buffer): Frame[] {
    this.#chunks.push(Buffer.from(chunk));
    this.#length += chunk.length;
    const frames: Frame[] = [];
    for (;;) {
      const frame = this.#next();
      if (!frame) return frames;
      frames.push(frame);
    }
  }

  #next(): Frame | undefined {
    if (this.#length < 2 * PREFIX) return undefined;
    const bytes = this.#chunks.length === 1 ? (this.#chunks[0] ?? Buffer.alloc(0)) : Buffer.concat(this.#chunks);
    this.#chunks = [bytes];
    const length = bytes.readUInt32BE(0);
    const headerLength = bytes.readUInt32BE(PREFIX);
    if (length > MAX_FRAME_BYTES || headerLength > length - PREFIX) throw noFrame();
    if (bytes.length < PREFIX + length) return undefined;
    const rest = bytes.subarray(PREFIX + length);
    this.#chunks = rest.length > 0 ? [rest] : [];
    this.#length = rest.length;
    const payloadStart = 2 * PREFIX + headerLength;
    const header = parseHeader(bytes.toString('utf8', 2 * PREFIX, payloadStart));
    const payload = Buffer.from(bytes.subarray(payloadStart, PREFIX + length));
    bytes.fill(0, 0, PREFIX + length); // it may have been a PIN
    return { header, payload };
  }
}
