import { describe, expect, it } from 'vitest';
import { ManualClock } from '../core/manual-clock.ts';
import { Secret, sha256 } from '../core/secret.ts';
import { Credential } from './credential.ts';
import { StaticTokens } from './static-token.ts';

function bearer(token: string): Credential {
  return new Credential('bearer', new Secret(token));
}

const clock = new ManualClock();
const tokens = new StaticTokens(
  [
    { name: 'ci', token: new Secret('alpha'), tenant: 'platform', scopes: ['turnpike:read'] },
    { name: 'bot', sha256: sha256('beta').toString('hex').toUpperCase() },
    { name: 'brief', token: new Secret('gamma'), expires: new Date(clock.now() + 1000) },
  ],
  clock,
);

describe('static tokens', () => {
  it('know their bearer by token and by digest', () => {
    expect(tokens.authenticate(bearer('alpha'))).toMatchObject({
      kind: 'accepted',
      identity: { mode: 'static', principal: { issuer: 'static', subject: 'ci' }, tenant: 'platform', scopes: new Set(['turnpike:read']) },
    });
    expect(tokens.authenticate(bearer('beta'))).toMatchObject({
      kind: 'accepted',
      identity: { principal: { issuer: 'static', subject: 'bot' }, tenant: 'default', scopes: new Set(['turnpike:read', 'turnpike:write']) },
    });
  });

  it('leave every other credential to other modes', () => {
    for (const token of ['alphA', 'alpha0', 'alph', 'x', sha256('beta').toString('hex')])
      expect(tokens.authenticate(bearer(token)).kind).toBe('unclaimed');
    expect(tokens.authenticate(undefined).kind).toBe('unclaimed');
    expect(tokens.authenticate(new Credential('private-token', new Secret('alpha'))).kind).toBe('unclaimed');
  });

  it('refuse their own when expired, to the millisecond, and say which one', () => {
    clock.advance(999);
    expect(tokens.authenticate(bearer('gamma')).kind).toBe('accepted');
    clock.advance(1);
    expect(tokens.authenticate(bearer('gamma'))).toEqual({ kind: 'refused', reason: "static token 'brief' has expired" });
  });

  it.each([
    [[{ name: '', token: new Secret('a') }], 'auth.static[0]: the name is empty'],
    [[{ name: 'a' }], 'auth.static[0]: exactly one of token, tokenFile and sha256 is needed'],
    [[{ name: 'a', token: new Secret('a'), sha256: '0'.repeat(64) }], 'auth.static[0]: exactly one of token, tokenFile and sha256 is needed'],
    [[{ name: 'a', sha256: 'abc' }], 'auth.static[0]: sha256 must be 64 hexadecimal digits'],
    [[{ name: 'a', token: new Secret('') }], 'auth.static[0]: the token cannot be sent as a Bearer: use letters, digits and -._~+/ (RFC 6750)'],
    [[{ name: 'a', token: new Secret('a b') }], 'auth.static[0]: the token cannot be sent as a Bearer: use letters, digits and -._~+/ (RFC 6750)'],
    [[{ name: 'a', token: new Secret('a\n') }], 'auth.static[0]: the token cannot be sent as a Bearer: use letters, digits and -._~+/ (RFC 6750)'],
    [
      [
        { name: 'a', token: new Secret('a') },
        { name: 'a', token: new Secret('b') },
      ],
      "auth.static[1]: another entry has the name 'a'",
    ],
    [
      [
        { name: 'a', token: new Secret('a') },
        { name: 'b', sha256: sha256('a').toString('hex') },
      ],
      "auth.static[1]: it has the token of 'a'",
    ],
    [[{ name: 'a', token: new Secret('a'), tenant: '' }], 'auth.static[0]: the tenant is empty'],
    [[{ name: 'a', token: new Secret('a'), expires: new Date('soon') }], 'auth.static[0]: the expiry is no date'],
  ])('refuse entries that could never work: %#', (entries, message) => {
    expect(() => new StaticTokens(entries, clock)).toThrow(expect.objectContaining({ code: 'config/invalid', message }));
  });
});
