import { isUtf8 } from 'node:buffer';
import type { Fault, Place } from './fault.ts';

const REPLACEMENT = '\uFFFD';
const REPLACEMENT_BYTES = Buffer.from(REPLACEMENT);

/** Where the first bytes stand that are no UTF-8. */
function brokenPlace(bytes: Buffer, file: string): Place {
  let [line, column, offset] = [1, 1, 0];
  for (const character of bytes.toString()) {
    const length = Buffer.byteLength(character);
    // the decoder writes it where something is broken, but a file may have it as well
    if (character === REPLACEMENT && !bytes.subarray(offset, offset + length).equals(REPLACEMENT_BYTES)) break;
    offset += length;
    if (character === '\n') [line, column] = [line + 1, 1];
    else column += character.length;
  }
  return { file, line, column };
}

/** The text of a file; undefined if it is not UTF-8, which goes to `faults`. */
export function decoded(bytes: Buffer, file: string, faults: Fault[]): string | undefined {
  if (isUtf8(bytes)) return new TextDecoder().decode(bytes);
  faults.push({ place: brokenPlace(bytes, file), message: 'this is not UTF-8' });
  return undefined;
}
