import { describe, expect, test } from 'vitest';
import { Uses } from '../../../../src/agent/policy/rate.ts';

function left(uses: Uses): number {
  for (let count = 0; ; count++) {
    try {
      uses.take();
    } catch (error) {
      expect(error).toMatchObject({ code: 'ERR_POLICY_USES' });
      return count;
    }
  }
}

describe('uses', () => {
  test('without a bound are not counted', () => {
    expect(Uses.upTo(undefined)).toBe(undefined);
  });

  test.for(['CONNECTING', 'RECONNECTING', 'CONNECTED'])('are there again at %s', (state) => {
    const uses = Uses.upTo(3);
    if (!uses) throw new Error('none');
    expect([left(uses), left(uses)]).toEqual([3, 0]);
    uses.tellState(state);
    expect(left(uses)).toBe(3);
  });

  test.for(['RESOLVE', 'TCP_CONNECT', 'WAIT', 'AUTH', 'GET_CONFIG', 'ASSIGN_IP', 'ADD_ROUTES', 'EXITING', ''])(
    'stay used up at %j',
    (state) => {
      const uses = Uses.upTo(1);
      if (!uses) throw new Error('none');
      uses.take();
      uses.tellState(state);
      expect(left(uses)).toBe(0);
    },
  );
});
