import { describe, expect, it } from 'vitest';
import { loadConfig } from './config/load.ts';
import type { Config } from './config/schema.ts';
import { LOCAL_ISSUER, STATIC_ISSUER } from './core/caller.ts';
import { ManualClock } from './core/manual-clock.ts';
import { GATEWAY_FRONT } from './front.ts';
import { inForce, revokedBy } from './in-force.ts';
import { Instruments } from './telemetry/instruments.ts';

async function load(document: object): Promise<Config> {
  const bytes = Buffer.from(JSON.stringify(document));
  return (await loadConfig({ file: 'turnpike.json', cwd: '/w', env: { HOME: '/home/u' }, readFile: async () => bytes })).config;
}

const auth = async (...tokens: object[]) => (await load(tokens.length === 0 ? {} : { auth: { modes: ['static'], static: tokens } })).auth;
const ci = { issuer: STATIC_ISSUER, subject: 'ci' };
const everybody = { admits: () => true };
const dev = { name: 'dev', token: 'dev-token' };

describe('who is revoked', () => {
  it.each<[string, object | undefined, boolean]>([
    ['nothing changed', { name: 'ci', token: 'one' }, false],
    ['the token is given by its digest now', { name: 'ci', sha256: '7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed' }, false],
    ['it ends earlier, which is asked at each request', { name: 'ci', token: 'one', expires: '2100-01-01' }, false],
    ['another token', { name: 'ci', token: 'two' }, true],
    ['another tenant', { name: 'ci', token: 'one', tenant: 'other' }, true],
    ['other scopes', { name: 'ci', token: 'one', scopes: ['turnpike:read'] }, true],
    ['removed', undefined, true],
  ])('%s', async (_what, entry, expected) => {
    const isRevoked = revokedBy(await auth({ name: 'ci', token: 'one' }, dev), await auth(...(entry === undefined ? [] : [entry]), dev), everybody);
    expect(isRevoked(ci)).toBe(expected);
    expect(isRevoked({ issuer: STATIC_ISSUER, subject: 'dev' })).toBe(false);
    expect(isRevoked({ issuer: LOCAL_ISSUER, subject: 'anonymous' })).toBe(false);
  });

  it('everybody without a token, once one is needed; and all tokens, when the mode goes', async () => {
    const [open, closed] = [await auth(), await auth({ name: 'ci', token: 'one' })];
    expect(revokedBy(open, closed, everybody)({ issuer: LOCAL_ISSUER, subject: 'anonymous' })).toBe(true);
    expect(revokedBy(closed, open, everybody)(ci)).toBe(true);
    expect(revokedBy(closed, open, everybody)({ issuer: LOCAL_ISSUER, subject: 'stdio' })).toBe(false);
  });
});

it('whoever came with a token of a GitLab leaves when that mode goes, and nobody else', async () => {
  const upstreams = [{ name: 'com', type: 'gitlab' }];
  const [both, tokens] = await Promise.all(
    [['static', 'gitlab'], ['static']].map(async (modes) => (await load({ auth: { modes, static: [dev] }, upstreams })).auth),
  );
  if (both === undefined || tokens === undefined) throw new Error('not loaded');
  const alice = { issuer: 'https://gitlab.com', subject: '42' };
  expect([revokedBy(both, tokens, everybody)(alice), revokedBy(both, both, everybody)(alice), revokedBy(tokens, both, everybody)(alice)]).toEqual([
    true,
    false,
    false,
  ]);
  expect(revokedBy(both, tokens, everybody)({ issuer: STATIC_ISSUER, subject: 'dev' })).toBe(false);
});

it('whoever came with a token of an instance that is left out leaves, and nobody else', async () => {
  const { auth: settings } = await load({ auth: { modes: ['none', 'gitlab'] }, upstreams: [{ name: 'com', type: 'gitlab' }] });
  const isRevoked = revokedBy(settings, settings, { admits: (issuer) => issuer === 'https://gitlab.com' });
  const people = ['https://gitlab.com', 'https://git.corp', LOCAL_ISSUER, STATIC_ISSUER].map((issuer) => ({ issuer, subject: '42' }));
  expect(people.map(isRevoked)).toEqual([false, true, false, false]);
});

it('what counts goes on counting while its settings stay', async () => {
  const clock = new ManualClock();
  const gitlab = { verify: () => Promise.reject(new Error('nobody is asked')) };
  const options = { clock, serverInfo: {}, instruments: new Instruments(clock), gitlab, front: GATEWAY_FRONT };
  const first = inForce(await load({}), options);
  const other = inForce(await load({ policy: { nonDestructive: true }, limits: { sessions: 3 } }), options, first);
  expect([other.admission === first.admission, other.authentication === first.authentication]).toEqual([true, true]);
  expect(other.edge.limits.sessions).toBe(3);
  const limited = inForce(await load({ limits: { user: 1 } }), options, first);
  expect([limited.admission === first.admission, limited.authentication === first.authentication]).toEqual([false, true]);
  const guarded = inForce(await load({ auth: { modes: ['static'], static: [dev] } }), options, first);
  expect(guarded.authentication.modes).toEqual(['static']);
});

it('a token of GitLab may be brought, or no more, as soon as an upstream passes tokens on, or none does', async () => {
  const clock = new ManualClock();
  const gitlab = { verify: () => Promise.reject(new Error('nobody is asked')) };
  const options = { clock, serverInfo: {}, instruments: new Instruments(clock), gitlab, front: GATEWAY_FRONT };
  const configOf = (mode: string) =>
    load({
      auth: { modes: ['static'], static: [dev] },
      upstreams: [
        { name: 'com', type: 'gitlab', auth: mode === 'header' ? { mode, header: { name: 'PRIVATE-TOKEN', value: `\${env:HOME}` } } : { mode } },
      ],
    });
  const headers = { authorization: ['Bearer dev-token'], 'private-token': [`glpat-${'a'.repeat(20)}`] };
  const first = inForce(await configOf('header'), options);
  expect(() => first.authentication.extract(headers)).toThrow('Conflicting credentials');
  const second = inForce(await configOf('passthrough'), options, first);
  expect(second.authentication.extract(headers)?.beside?.scheme).toBe('private-token');
  const third = inForce(await configOf('header'), options, second);
  expect(() => third.authentication.extract(headers)).toThrow('Conflicting credentials');
});
