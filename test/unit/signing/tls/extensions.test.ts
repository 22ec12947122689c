import { describe, expect, test } from 'vitest';
import { type Extension, GROUPS, isRight, SCHEMES } from '../../../support/made-transcripts.ts';

const asked = (...more: readonly Extension[]): boolean => isRight({ clientExtensions: [GROUPS, SCHEMES, ...more] });
/** The client offers an extension with a content, and the server answers with another. */
const answered = (type: number, offered: string, content: string): boolean =>
  isRight({ clientExtensions: [GROUPS, SCHEMES, [type, offered]], serverExtensions: [[type, content]] });

describe('extensions of a hello', () => {
  test('need not be there', () => {
    expect(isRight({ clientExtensions: undefined, serverExtensions: undefined })).toBe(true);
    expect(isRight({ clientExtensions: [], serverExtensions: [] })).toBe(true);
  });

  test('stand there once', () => {
    for (const one of [[0x7777, ''], [23, ''], SCHEMES] as const) {
      expect(isRight({ clientExtensions: [one] }), String(one)).toBe(true);
      expect(isRight({ clientExtensions: [one, one] }), String(one)).toBe(false);
    }
    expect(isRight({ clientExtensions: [[23, '']], serverExtensions: [[23, '']] })).toBe(true);
    expect(
      isRight({
        clientExtensions: [[23, '']],
        serverExtensions: [
          [23, ''],
          [23, ''],
        ],
      }),
    ).toBe(false);
  });

  test('hold anything where they are not known (RFC 8701)', () => {
    for (const content of ['', '00', '0a0b0c']) expect(asked([0x0a0a, content])).toBe(true);
  });
});

/** What an extension of the client holds, and what it can't. */
const CLIENT: readonly (readonly [name: string, type: number, right: readonly string[], wrong: readonly string[]])[] = [
  ['server_name', 0, ['00050000027670'], ['', '0000', '00020000', '0003000000', '0004000002767000', '000500000376']],
  ['max_fragment_length', 1, ['01'], ['', '0101']],
  ['status_request', 5, ['0100000000', '01000151000152'], ['', '01', '010000', '010000000000', '0100010000']],
  ['supported_groups', 10, ['00020017', '000400170018'], ['', '0000', '000100', '0003001700', '0002001700']],
  ['ec_point_formats', 11, ['0100', '03020100'], ['', '00', '0101', '020001ff']],
  ['signature_algorithms', 13, ['00020401'], ['', '0000', '0003040104', '0002040100']],
  ['protocols', 16, ['0003026832', '0006026832026833'], ['', '0000', '000100', '000401683200', '00020268']],
  ['extended_master_secret', 23, [''], ['00']],
  ['supported_versions', 43, ['020303', '0403040303'], ['', '00', '0103', '03030303', '02030300']],
  ['psk_key_exchange_modes', 45, ['0101'], ['', '00', '020100ff']],
  [
    'key_share',
    51,
    ['0000', '0005001d000107', '000a001d0001070017000108'],
    ['', '0004001d0000', '000100', '0003001d00'],
  ],
  ['renegotiation_info', 0xff01, ['00'], ['', '0107', '0000']],
];

test.for(CLIENT)('the client: %s', ([, type, right, wrong]) => {
  const withIt = (content: string): boolean =>
    isRight({ clientExtensions: [...[GROUPS, SCHEMES].filter(([other]) => other !== type), [type, content]] });
  for (const content of right) expect(withIt(content), content).toBe(true);
  for (const content of wrong) expect(withIt(content), content).toBe(false);
});

/** What the server answers to an extension of the client, and what it can't. */
const SERVER: readonly (readonly [
  name: string,
  type: number,
  offered: string,
  right: readonly string[],
  wrong: readonly string[],
])[] = [
  ['server_name', 0, '00050000027670', [''], ['00', '00050000027670']],
  ['max_fragment_length', 1, '01', ['01'], ['', '0101']],
  ['status_request', 5, '0100000000', [''], ['00', '0100000000']],
  ['ec_point_formats', 11, '0100', ['0100', '020001'], ['', '00', '0101']],
  ['extended_master_secret', 23, '', [''], ['00']],
  ['session_ticket', 35, 'a5a5', [''], ['00']],
  ['supported_versions', 43, '020303', [], ['0303', '020303', '']],
  ['psk_key_exchange_modes', 45, '0101', [], ['', '0101']],
  ['key_share', 51, '0000', [], ['', '0000', '0017']],
];

test.for(SERVER)('the server answers: %s', ([, type, offered, right, wrong]) => {
  for (const content of right) expect(answered(type, offered, content), content).toBe(true);
  for (const content of wrong) expect(answered(type, offered, content), content).toBe(false);
});
