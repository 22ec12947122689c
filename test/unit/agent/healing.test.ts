import { describe, expect, test } from 'vitest';
import type { TunnelEvent } from '../../../src/agent/events.ts';
import { Healing, type HealingMemory, type Wanted } from '../../../src/agent/healing.ts';
import type { HealAction } from '../../../src/config/settings.ts';
import { AgentError } from '../../../src/errors.ts';
import { HOLD, PATIENTLY, request, bed } from './daemon-bed.ts';

const REFUSAL = new AgentError('ERR_MANAGEMENT_COMMAND', 'The pk-sig command is not currently available');

interface Made {
  readonly healing: Healing;
  readonly events: TunnelEvent[];
  readonly signals: string[];
}

function make(action?: HealAction, memory: HealingMemory = {}): Made {
  const events: TunnelEvent[] = [];
  const signals: string[] = [];
  const healing = new Healing({
    ...{ action, memory },
    emit: (event) => events.push(event),
    signal: (name) => Promise.resolve(void signals.push(name)),
  });
  return { healing, events, signals };
}

describe('an answer that is not awaited', () => {
  test.each(['PK_SIGN', 'RSA_SIGN'] as const)('%s: to what was asked first: SIGUSR1, and an event', (wanted) => {
    const { healing, events, signals } = make();
    healing.asked(wanted);
    healing.refused(wanted, REFUSAL);
    expect(signals).toEqual(['SIGUSR1']);
    expect(events).toEqual([{ type: 'daemon-stuck', notification: wanted, signal: 'SIGUSR1' }]);
    // told once
    healing.refused(wanted, REFUSAL);
    expect(events).toHaveLength(1);
  });

  test.each([
    ['none', 'PK_SIGN'],
    ['restart', 'NEED-CERTIFICATE'],
  ] satisfies [HealAction, Wanted][])('%s, %s: an event alone', (action, wanted) => {
    const { healing, events, signals } = make(action);
    healing.asked(wanted);
    healing.refused(wanted, REFUSAL);
    expect(signals).toEqual([]);
    expect(events).toEqual([{ type: 'daemon-stuck', notification: wanted, signal: undefined }]);
  });

  test('on the next connection again: no second signal, until an answer was taken', () => {
    const memory: HealingMemory = {};
    const again = (): Made => {
      const made = make('restart', memory);
      made.healing.asked('PK_SIGN');
      made.healing.refused('PK_SIGN', REFUSAL);
      return made;
    };
    expect(again().signals).toHaveLength(1);
    const second = again();
    expect(second.signals).toEqual([]);
    expect(second.events).toHaveLength(1);
    second.healing.taken();
    expect(again().signals).toHaveLength(1);
  });

  test.each([
    ['it was held before', ['moved', 'asked']],
    ['it was held since', ['asked', 'moved']],
    ['it has asked twice', ['asked', 'asked']],
    ['it has taken one before', ['asked', 'taken', 'asked']],
    ['it asked for nothing', []],
  ] as const)('%s: it is not stuck', (_, before) => {
    const { healing, events } = make();
    for (const each of before) healing[each]('PK_SIGN');
    healing.refused('PK_SIGN', REFUSAL);
    expect(events).toEqual([]);
  });

  test('to something else than what was asked for first: it is not stuck', () => {
    const { healing, events } = make();
    healing.asked('NEED-CERTIFICATE');
    healing.refused('PK_SIGN', REFUSAL);
    expect(events).toEqual([]);
  });

  test('another error is none of its business', () => {
    const { healing, events } = make();
    healing.asked('PK_SIGN');
    healing.refused('PK_SIGN', new AgentError('ERR_MANAGEMENT_COMMAND', 'command failed'));
    healing.refused('PK_SIGN', new AgentError('ERR_MANAGEMENT_TIMEOUT', 'not currently available'));
    expect(events).toEqual([]);
  });
});

describe('a daemon that is served', () => {
  const NOT_AWAITED = 'ERROR: The pk-sig command is not currently available\r\n';

  test('and takes no answer to what it waited for: it gets the signal, and is served on', async () => {
    const { daemon, openKey, signer, events } = await bed();
    openKey();
    daemon.say(request('x'));
    (await signer.call(0)).finish();
    await daemon.hear('END\n');
    daemon.say(NOT_AWAITED);
    await daemon.hear('signal SIGUSR1\n');
    daemon.say('SUCCESS: signal SIGUSR1 thrown\r\n' + HOLD);
    await daemon.hear('hold release\n');
    expect(events.filter(({ type }) => type === 'daemon-stuck')).toHaveLength(1);
  });

  test('and was in its hold before: it gets none', async () => {
    const { daemon, openKey, signer, events } = await bed();
    openKey();
    daemon.say(HOLD);
    await daemon.hear('hold release\n');
    daemon.say('SUCCESS: hold release succeeded\r\n' + request('x'));
    (await signer.call(0)).finish();
    await daemon.hear('END\n');
    daemon.say(NOT_AWAITED);
    await expect.poll(() => events.some(({ type }) => type === 'answer-refused'), PATIENTLY).toBe(true);
    expect(events.filter(({ type }) => type === 'daemon-stuck')).toEqual([]);
  });
});
