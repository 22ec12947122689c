import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { OPENVPN_LINES } from '../../src/cli/explanations/index.ts';
import { OPENVPN } from '../support/openvpn.ts';

function found(command: string, ...args: string[]): string | undefined {
  try {
    return execFileSync(command, args, { encoding: 'utf8' });
  } catch {
    return undefined;
  }
}

/** OpenVPN's program and the OpenSSL that it is linked with: what they can say stands in them. */
const path = found('/bin/sh', '-c', 'command -v "$0"', OPENVPN)?.trim();
const libraries = [...(found('ldd', path ?? OPENVPN) ?? '').matchAll(/(\/\S*lib(?:ssl|crypto)\.so\S*)/g)].map(
  ([, file = '']) => file,
);
const says = [...(path === undefined ? [] : [path]), ...libraries].map((file) => readFileSync(file, 'latin1'));

describe.skipIf(libraries.length < 2)('lines of OpenVPN that pksigd explains', () => {
  test.for(OPENVPN_LINES.filter(({ only }) => only === undefined))('$text', ({ text }) => {
    expect(says.some((binary) => binary.includes(text))).toBe(true);
  });
});
