import { expect, test } from 'vitest';
import { base64Lines, certificateBlocks } from '../../../../src/management/wire/pem.ts';

const [BEGIN, END] = ['-----BEGIN CERTIFICATE-----', '-----END CERTIFICATE-----'];

test('base64 in lines of 64 characters', () => {
  expect(base64Lines(Buffer.alloc(0))).toEqual([]);
  expect(base64Lines(Buffer.alloc(48))).toEqual(['A'.repeat(64)]);
  expect(base64Lines(Buffer.alloc(49)).map((line) => line.length)).toEqual([64, 4]);
  // a view of a larger buffer
  expect(base64Lines(Buffer.from('xabcx').subarray(1, 4))).toEqual(['YWJj']);
});

test('certificates without the text around them', () => {
  const lines = ['subject=x', ` ${BEGIN}\r`, 'AAAA', END, '', END, 'more', BEGIN, 'BBBB', END, 'signal SIGTERM'];
  expect(certificateBlocks(lines)).toEqual([
    [BEGIN, 'AAAA', END],
    [BEGIN, 'BBBB', END],
  ]);
});

test.each([
  ['no certificate', ['a', END]],
  ['another kind of block', ['-----BEGIN PRIVATE KEY-----', 'AAAA', '-----END PRIVATE KEY-----']],
  ['one that the text’s end cuts', [BEGIN, 'AAAA', END, BEGIN, 'BBBB']],
  ['one that the next one cuts', [BEGIN, 'AAAA', BEGIN, 'BBBB', END]],
])('none of %s', (_, lines) => {
  expect(certificateBlocks(lines)).toEqual([]);
});
