/** So many leading zeros of r and s together at most: of more there is one signature in 2^64. */
const MOST_ZEROS = 8;

/**
 * What a module may have meant by an ECDSA signature that is too short: some write r and s each without its leading zeros
 * (aws-kms-pkcs11), which does not tell where the one ends. One signature in 128 is so.
 * @param orderBytes the length that r has, and s
 */
export function rawEcdsaReadings(bytes: Buffer, orderBytes: number): Buffer[] {
  const zeros = 2 * orderBytes - bytes.length;
  if (zeros <= 0 || zeros > MOST_ZEROS) return [];
  return Array.from({ length: zeros + 1 }, (_, ofR) => {
    const r = bytes.subarray(0, orderBytes - ofR);
    const s = bytes.subarray(orderBytes - ofR);
    return Buffer.concat([Buffer.alloc(ofR), r, Buffer.alloc(zeros - ofR), s]);
  });
}
