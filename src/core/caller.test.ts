import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hasScope, principalKey, principalOf, SCOPES, type Scope } from './caller.ts';

describe('the key of a principal', () => {
  it('says issuer and subject, unambiguously, however often it is asked for', () => {
    const part = fc.oneof(fc.constantFrom('a', 'a","b', '"', ',', ''), fc.string());
    fc.assert(
      fc.property(part, part, (issuer, subject) => {
        const principal = Object.freeze({ issuer, subject });
        for (let time = 0; time < 2; time++) expect(principalOf(principalKey(principal))).toEqual(principal);
        expect(principalKey(principal)).toBe(principalKey({ ...principal }));
      }),
    );
  });
});

describe('scopes', () => {
  const holding = (...scopes: Scope[]) => ({ principal: { issuer: 'static', subject: 'ci' }, tenant: 't', scopes: new Set(scopes) });

  it.each(SCOPES.flatMap((held, has) => SCOPES.map((asked, needs) => [held, asked, has >= needs] as const)))(
    '%s includes %s: %s',
    (held, asked, expected) => {
      expect(hasScope(holding(held), asked)).toBe(expected);
    },
  );

  it('none includes none', () => {
    for (const asked of SCOPES) expect(hasScope(holding(), asked)).toBe(false);
  });
});
