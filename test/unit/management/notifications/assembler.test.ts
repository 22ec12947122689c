import { expect, test } from 'vitest';
import { type AssembledNotification, NotificationAssembler } from '../../../../src/management/index.ts';
import { coded } from '../pair.ts';

test('variables of an ENV block', () => {
  const assembler = new NotificationAssembler();
  const push = (line: string): void => {
    assembler.push(line, false, () => undefined);
  };
  push('>CLIENT:CONNECT,0,1');
  expect(() => {
    for (let line = 0; line < 4000; line += 1) push(`>CLIENT:ENV,${'x'.repeat(600)}`);
  }).toThrow(coded('ERR_MANAGEMENT_LIMIT'));
});

test('a block keeps its lines as they came beside the text', () => {
  const assembler = new NotificationAssembler();
  const came: AssembledNotification[] = [];
  const push = (line: string, bytes?: string): void => {
    assembler.push(line, false, (each) => came.push(each), bytes);
  };
  push('>CLIENT:ESTABLISHED,0');
  push('>CLIENT:ENV,cn=ü', '>CLIENT:ENV,cn=\xc3\xbc');
  push('>INFO:é', '>INFO:\xc3\xa9');
  push('>CLIENT:ENV,END');
  expect(came.map(({ bytes }) => bytes)).toEqual([
    ['>INFO:\xc3\xa9'],
    ['>CLIENT:ESTABLISHED,0', '>CLIENT:ENV,cn=\xc3\xbc', '>CLIENT:ENV,END'],
  ]);
  expect(came[1]?.notification).toMatchObject({ type: 'CLIENT', env: { cn: 'ü' } });
});
