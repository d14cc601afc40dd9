import { describe, expect, it } from 'vitest';
import type { JsonObject } from '../core/mcp.ts';
import { capabilitiesOf, profileOf } from './profile.ts';

const ALL = ['f', 'u', 's', 't', 'c', 'r'];

describe('the profile of declared capabilities (protocol.md section 10)', () => {
  const cases: readonly [JsonObject, string][] = [
    [{}, '-'],
    [{ elicitation: {} }, 'f'],
    [{ elicitation: { url: {} } }, 'u'],
    [{ elicitation: { form: {}, url: {} } }, 'fu'],
    [{ roots: {}, sampling: { tools: {}, context: {} }, elicitation: {} }, 'fstcr'],
    [{ sampling: true, roots: 1, elicitation: null, tasks: {} }, '-'],
  ];
  for (const [capabilities, profile] of cases)
    it(`${JSON.stringify(capabilities)} is ${profile}`, () => expect(profileOf(capabilities, ALL)).toBe(profile));

  it('is cut to what is allowed', () => {
    expect(profileOf({ elicitation: {}, sampling: {} }, ['s'])).toBe('s');
    expect(profileOf({ elicitation: {} }, [])).toBe('-');
  });
});

describe('what a profile declares', () => {
  it('is exactly it, as far as the revision knows it', () => {
    expect(capabilitiesOf('-', '2025-11-25')).toEqual({});
    expect(capabilitiesOf('fustcr', '2025-11-25')).toEqual({
      elicitation: { form: {}, url: {} },
      sampling: { tools: {}, context: {} },
      roots: { listChanged: true },
    });
    expect(capabilitiesOf('fustcr', '2025-06-18')).toEqual({ elicitation: {}, sampling: {}, roots: { listChanged: true } });
    expect(capabilitiesOf('fustcr', '2025-03-26')).toEqual({ sampling: {}, roots: { listChanged: true } });
    expect(capabilitiesOf('u', '2025-06-18')).toEqual({});
  });
});
