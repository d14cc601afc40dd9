import { expect, it } from 'vitest';
import { Credential } from './auth/credential.ts';
import { ManualClock } from './core/manual-clock.ts';
import { Secret } from './core/secret.ts';
import { type FrontParts, GATEWAY_FRONT } from './front.ts';

const CONTEXT = { peer: '192.0.2.1', address: '192.0.2.1' };

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
