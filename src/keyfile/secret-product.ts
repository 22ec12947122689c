/** Digits to the base 256, the lowest first. All values stay small integers: no arithmetic that slows down for some of them. */
export type Digits = Int32Array;

/** @param bytes big-endian */
export function toDigits(bytes: Uint8Array): Digits {
  return Int32Array.from(bytes).reverse();
}

const at = (digits: Digits, index: number): number => digits[index] ?? 0;

/** −1/n modulo 256. */
function negativeInverse(n: Digits): number {
  let inverse = 1;
  // Newton's: 1 is right modulo 2, each step doubles the bits
  for (let bits = 1; bits < 8; bits *= 2) inverse = (inverse * (2 - at(n, 0) * inverse)) & 0xff;
  return -inverse & 0xff;
}

/**
 * a · b / 256^length modulo an odd n (Montgomery's product), for secret a and b, each less than n: what is done, and where in
 * memory, depends on the length alone.
 * @returns big-endian; the caller wipes it
 */
export function secretProduct(a: Digits, b: Digits, n: Digits): Buffer {
  const { length } = n;
  const complement = negativeInverse(n);
  const sum = new Int32Array(length + 1);
  for (let i = 0; i < length; i += 1) {
    const digit = at(a, i);
    // with so many n the lowest digit is zero, and falls away
    const multiple = ((at(sum, 0) + digit * at(b, 0)) * complement) & 0xff;
    let carry = (at(sum, 0) + digit * at(b, 0) + multiple * at(n, 0)) >> 8;
    for (let j = 1; j < length; j += 1) {
      carry += at(sum, j) + digit * at(b, j) + multiple * at(n, j);
      sum[j - 1] = carry & 0xff;
      carry >>= 8;
    }
    carry += at(sum, length);
    sum[length - 1] = carry & 0xff;
    sum[length] = carry >> 8;
  }
  // the sum is less than 2n: take n off, and choose by a mask
  const less = new Int32Array(length);
  let borrow = 0;
  for (let j = 0; j < length; j += 1) {
    borrow += at(sum, j) - at(n, j);
    less[j] = borrow & 0xff;
    borrow >>= 8;
  }
  const keep = (borrow + at(sum, length)) >> 8; // −1 if the sum was less than n, else 0
  const product = Buffer.alloc(length);
  for (let j = 0; j < length; j += 1) product[length - 1 - j] = (at(sum, j) & keep) | (at(less, j) & ~keep);
  sum.fill(0);
  less.fill(0);
  return product;
}
