import { describe, expect, it } from 'vitest';
import { profileOf } from '../upstream/profile.ts';
import { permitted } from './interactions.ts';

const ALL = ['f', 'u', 's', 't', 'c', 'r'];
const FULL = {
  elicitation: { form: {}, url: { x: 1 } },
  sampling: { tools: {}, context: {}, 'x-more': 1 },
  roots: { listChanged: true },
  extensions: { e: {} },
  'x-vendor': 1,
};

describe('capabilities that the configuration permits', () => {
  it('are all of them by default, with every member', () => {
    expect(permitted(FULL, ALL)).toEqual(FULL);
    expect(permitted({ elicitation: {} }, ALL)).toEqual({ elicitation: {} });
    expect(permitted({}, [])).toEqual({});
  });

  it('lose what a missing letter stands for, and nothing else', () => {
    const without = (letter: string) =>
      permitted(
        FULL,
        ALL.filter((one) => one !== letter),
      );
    expect(without('f')).toEqual({ ...FULL, elicitation: { url: { x: 1 } } });
    expect(without('u')).toEqual({ ...FULL, elicitation: { form: {} } });
    expect(without('t')).toEqual({ ...FULL, sampling: { context: {}, 'x-more': 1 } });
    expect(without('c')).toEqual({ ...FULL, sampling: { tools: {}, 'x-more': 1 } });
    const { sampling: _sampling, ...noSampling } = FULL;
    expect(without('s')).toEqual(noSampling);
    const { roots: _roots, ...noRoots } = FULL;
    expect(without('r')).toEqual(noRoots);
    expect(permitted({ elicitation: {} }, ['u'])).toEqual({});
    expect(permitted({ elicitation: { url: {} } }, ['f'])).toEqual({});
  });

  it('agree with the profile that connections are made for', () => {
    const declared = [FULL, {}, { elicitation: {} }, { elicitation: { url: {} } }, { sampling: {}, roots: {} }];
    for (const capabilities of declared) {
      for (let mask = 0; mask < 64; mask++) {
        const allowed = ALL.filter((_, index) => (mask >> index) & 1);
        // Tools and context of sampling mean nothing without it.
        if (!allowed.includes('s') && (allowed.includes('t') || allowed.includes('c'))) continue;
        expect(profileOf(permitted(capabilities, allowed), ALL), `${JSON.stringify(capabilities)} ${allowed.join('')}`).toBe(
          profileOf(capabilities, allowed),
        );
      }
    }
  });
});
