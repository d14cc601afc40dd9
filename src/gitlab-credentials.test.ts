import { describe, expect, it } from 'vitest';
import { type AuthContext, Authentication, UNCLAIMED, type Verdict } from './auth/authenticator.ts';
import { challengeFor } from './auth/challenge.ts';
import type { Credential } from './auth/credential.ts';
import { NoAuthenticator } from './auth/none.ts';
import { StaticTokens } from './auth/static-token.ts';
import { CredentialRejectedError } from './builtin/gitlab/pool/errors.ts';
import type { Config } from './config/schema.ts';
import { asTurnpikeError } from './core/errors.ts';
import { ManualClock } from './core/manual-clock.ts';
import { Secret } from './core/secret.ts';
import { gatewayExtractor, mayBringGitLabs, standaloneExtractor } from './gitlab-credentials.ts';

const A = `glpat-${'a'.repeat(20)}`;
const B = `glpat-${'b'.repeat(20)}`;
const OURS = 'sk-ours/with+everything==';

type Modes = readonly ('none' | 'static' | 'gitlab')[];

function config(modes: Modes, upstream = 'passthrough'): Config {
  const upstreams = upstream === '' ? [] : [{ type: 'gitlab', auth: { mode: upstream } }];
  return { auth: { modes }, upstreams } as unknown as Config;
}

function shown(credential: Credential | undefined): string {
  if (credential === undefined) return 'nothing';
  const { scheme, token, beside } = credential;
  return `${scheme} ${token.reveal()}${beside === undefined ? '' : ` + ${shown(beside)}`}`;
}

/** What comes of headers, or the code and text of the refusal. */
function found(modes: Modes, headers: Record<string, string[]>, upstream?: string): string {
  const authentication = new Authentication([new NoAuthenticator()], () => {}, { extractor: gatewayExtractor(config(modes, upstream)) });
  try {
    return shown(authentication.extract(headers));
  } catch (error) {
    const { code, message } = asTurnpikeError(error);
    return `${code}: ${message}`;
  }
}

const MALFORMED = 'auth/invalid: Malformed GitLab token';
const CONFLICT = 'auth/conflict: Conflicting credentials';
const MISSING = 'auth/missing: Missing Authorization or Private-Token header';

describe('a credential of a gateway', () => {
  it.each<[Modes, Record<string, string[]>, string]>([
    [['gitlab'], { 'private-token': [` ${A}\t`] }, `private-token ${A}`],
    [['gitlab'], { 'private-token': [''], authorization: [`bearer ${A}`] }, `bearer ${A}`],
    [['gitlab'], { 'private-token': [A], authorization: [`Bearer ${A}`] }, `private-token ${A}`],
    [['gitlab'], { 'private-token': [A], authorization: [`Bearer ${B}`] }, CONFLICT],
    [['gitlab'], { 'private-token': [A], 'job-token': [B] }, CONFLICT],
    [['gitlab'], { 'private-token': [A], 'job-token': [A] }, CONFLICT],
    [['gitlab'], { 'private-token': [A], authorization: [`Bearer ${OURS}`] }, MALFORMED],
    [['gitlab'], { 'private-token': [A, A] }, MALFORMED],
    [['gitlab'], { authorization: [`Bearer ${A}`, `Bearer ${A}`] }, MALFORMED],
    [['gitlab'], { 'private-token': ['short'] }, MALFORMED],
    [['gitlab'], { authorization: ['Basic dTpw'] }, MALFORMED],
    [['gitlab'], { authorization: [`Bearer ${OURS}`] }, MALFORMED],
    [['gitlab'], {}, MISSING],
    [['gitlab'], { 'private-token': [' '] }, MISSING],
    [['none', 'gitlab'], {}, 'nothing'],
    // Beside another mode of Bearers, those alone are GitLab's that look like it.
    [['static', 'gitlab'], { authorization: [`Bearer ${OURS}`] }, `bearer ${OURS}`],
    [['static', 'gitlab'], { authorization: [`Bearer ${A}`] }, `bearer ${A}`],
    [['static', 'gitlab'], { authorization: [`Bearer ${A}`], 'private-token': [B] }, CONFLICT],
    [['static', 'gitlab'], { authorization: [`Bearer ${OURS}`], 'private-token': [A] }, `bearer ${OURS} + private-token ${A}`],
    [['static'], { authorization: [`Bearer ${OURS}`], 'private-token': [A] }, `bearer ${OURS} + private-token ${A}`],
    [['static'], { authorization: [`Bearer ${OURS}`], 'job-token': [A] }, `bearer ${OURS} + job-token ${A}`],
    [['static'], { authorization: [`Bearer ${OURS}`], 'private-token': [' '] }, `bearer ${OURS}`],
    [['static'], { authorization: [`Bearer ${OURS}`], 'private-token': ['short'] }, MALFORMED],
    [['static'], { authorization: [`Bearer ${OURS}`], 'private-token': [A, A] }, MALFORMED],
    [['static'], { authorization: [`Bearer ${OURS}`], 'private-token': [A], 'job-token': [B] }, CONFLICT],
    [['static'], { authorization: [`Bearer ${OURS}`, `Bearer ${OURS}`], 'private-token': [A] }, CONFLICT],
    [['static'], { 'private-token': [A] }, `private-token ${A}`],
    [['static'], { authorization: [`Bearer ${OURS}`] }, `bearer ${OURS}`],
  ])('%j %o: %s', (modes, headers, expected) => {
    expect(found(modes, headers)).toBe(expected);
  });

  it.each(['header', ''])('comes alone where no upstream could pass another one on (%j)', (upstream) => {
    const both = { authorization: [`Bearer ${OURS}`], 'private-token': [A] };
    for (const modes of [['static'], ['static', 'gitlab']] as const) expect(found(modes, both, upstream)).toBe(CONFLICT);
    expect(mayBringGitLabs(config(['static'], upstream))).toBe(false);
  });

  it('is nothing of GitLab’s where it has no part', () => {
    for (const modes of [['none'], ['static']] as const) expect(gatewayExtractor(config(modes, 'header'))).toBeUndefined();
    expect(gatewayExtractor(config(['none']))).toBeUndefined();
  });
});

it('standalone the first that is there wins', () => {
  const usual = () => undefined;
  expect(shown(standaloneExtractor({ authorization: [`Bearer ${A}`], 'private-token': [B], 'job-token': [A] }, usual))).toBe(`private-token ${B}`);
  expect(shown(standaloneExtractor({ authorization: [`Bearer ${A}`], 'job-token': [B] }, usual))).toBe(`job-token ${B}`);
  expect(() => standaloneExtractor({}, usual)).toThrow('Missing Authorization or Private-Token header');
});

describe('a token of GitLab beside a Bearer of ours', () => {
  const context: AuthContext = { peer: '192.0.2.1', address: '192.0.2.1' };
  const signal = new AbortController().signal;
  const brought = { scheme: 'private-token', token: new Secret(A), instance: 'https://gitlab.com/api/v4' } as const;
  const identity = {
    mode: 'gitlab',
    principal: { issuer: 'https://gitlab.com', subject: '42' },
    tenant: 'default',
    scopes: new Set<never>(),
  } as const;

  function asking(verdict: () => Promise<Verdict>) {
    const asked: string[] = [];
    const verify = async (credential: Credential) => {
      asked.push(shown(credential));
      return verdict();
    };
    const entries = [{ name: 'ann', token: new Secret(OURS) }];
    const options = { extractor: gatewayExtractor(config(['static'])), beside: { verify } };
    const authentication = new Authentication([new StaticTokens(entries, new ManualClock())], () => {}, options);
    const enter = (bearer: string) => {
      const credential = authentication.extract({ authorization: [`Bearer ${bearer}`], 'private-token': [A] });
      return Promise.resolve(authentication.authenticate(credential, context, signal));
    };
    return { asked, enter };
  }

  it('says what upstreams may act with, and not who it is', async () => {
    const { asked, enter } = asking(async () => ({ kind: 'accepted', identity: { ...identity, credential: brought } }));
    expect(await enter(OURS)).toMatchObject({ mode: 'static', principal: { issuer: 'static', subject: 'ann' }, credential: brought });
    expect(asked).toEqual([`private-token ${A}`]);
  });

  it('is not shown to GitLab for somebody who is not let in', async () => {
    const { asked, enter } = asking(async () => UNCLAIMED);
    await expect(enter('sk-somebody-else')).rejects.toMatchObject({ code: 'auth/invalid' });
    expect(asked).toEqual([]);
  });

  it('is refused as if it stood alone, and a scope that it lacks is one of GitLab’s', async () => {
    const error = new CredentialRejectedError(['api', 'read_api', 'read_user']);
    await expect(asking(async () => ({ kind: 'refused', reason: 'scope', error })).enter(OURS)).rejects.toBe(error);
    for (const scopes of [['api', 'read_api', 'read_user'], []])
      expect(challengeFor(new CredentialRejectedError(scopes), { publicUrl: 'https://mcp.example.com', metadata: false })).toBe(
        'Bearer scope="api read_api read_user", error="insufficient_scope"',
      );
    const broken = asking(() => Promise.reject(new Error('bug')));
    await expect(broken.enter(OURS)).rejects.toMatchObject({ code: 'auth/unavailable' });
  });
});
