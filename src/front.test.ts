import { expect, it } from 'vitest';
import { Credential } from './auth/credential.ts';
import { ManualClock } from './core/manual-clock.ts';
import { Secret } from './core/secret.ts';
import { Sessions } from './edge/sessions.ts';
import { type FrontParts, GATEWAY_FRONT } from './front.ts';
import { standaloneFront } from './standalone-front.ts';

const CONTEXT = { peer: '192.0.2.1', address: '192.0.2.1' };

it('standalone a client that takes anything gets JSON; in a gateway it may get a stream', () => {
  const front = standaloneFront({ maxRequestsPerMinute: 60, remote: true, dynamic: false });
  expect([front.wildcardIsJson, GATEWAY_FRONT.wildcardIsJson]).toEqual([true, false]);
});

it.each([0, 1, 250, 499, 500, 501, 777, 999])(
  'standalone the place of a session that expired is free within a second, %i ms after another one',
  (later) => {
    const clock = new ManualClock();
    const { sessions: settings } = standaloneFront({ maxRequestsPerMinute: 60, remote: true, dynamic: false });
    const sessions = new Sessions({ clock, max: 2, idle: 2_000, patience: 1_000, onEnd: () => {}, ...settings });
    const caller = { principal: { issuer: 'https://gitlab.com', subject: '42' }, tenant: 'default', scopes: new Set<never>() };
    sessions.create(caller, '2025-03-26', {});
    clock.advance(later);
    sessions.create(caller, '2025-03-26', {});
    clock.advance(2_000 - 1);
    expect(sessions.size).toBeGreaterThan(0);
    clock.advance(1_001);
    expect([sessions.size, sessions.full]).toEqual([0, false]);
  },
);

it('a known Bearer is not known with a token of GitLab beside it, unless that one is in use', () => {
  const pooled = new Set<string>();
  const parts = {
    clock: new ManualClock(),
    config: () => ({ auth: { modes: ['static'] } }),
    gitlab: { isPooled: ({ token }: Credential) => pooled.has(token.reveal()) },
  } as unknown as FrontParts;
  const { knownGood } = GATEWAY_FRONT.edge(parts);
  const bearer = new Credential('bearer', new Secret('ours'));
  const both = new Credential('bearer', new Secret('ours'), new Credential('private-token', new Secret('theirs')));
  knownGood.prove(bearer);
  expect([knownGood.has(bearer, CONTEXT), knownGood.has(both, CONTEXT)]).toEqual([true, false]);
  pooled.add('theirs');
  expect(knownGood.has(both, CONTEXT)).toBe(true);
  knownGood.forget(both);
  expect(knownGood.has(bearer, CONTEXT)).toBe(true);
});

it.each([
  [['gitlab'], true],
  [['static'], false],
])('a gateway with the modes %j lets a credential past the limits of addresses that GitLab proved and that is in use: %s', (modes, passes) => {
  const clock = new ManualClock();
  const parts = { clock, config: () => ({ auth: { modes } }), gitlab: { isPooled: () => true } } as unknown as FrontParts;
  const { knownGood } = GATEWAY_FRONT.edge(parts);
  const credential = new Credential('private-token', new Secret('token'));
  expect(knownGood.has(credential, CONTEXT)).toBe(passes);
  knownGood.prove(credential);
  expect(knownGood.has(credential, CONTEXT)).toBe(true);
  clock.advance(6 * 60_000);
  expect(knownGood.has(credential, CONTEXT)).toBe(passes);
});
