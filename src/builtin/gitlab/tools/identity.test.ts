import { describe, expect, it } from 'vitest';
import { GitLabError } from '../client/gitlab-error.ts';
import { bench, structured } from './sample-api.ts';

const SELF = 'GET /personal_access_tokens/self';
const health = async (self: unknown) => {
  const { run } = bench({ 'GET /version': { version: '18.5.0', revision: 'abc' }, [SELF]: self });
  return structured(await run('health_check')).item;
};

// The clock of the bench stands at 2026-01-01.
describe('health_check', () => {
  it.each([
    ['2026-01-07', 'the token expires in 6 days'],
    ['2026-01-08', 'the token expires in 7 days'],
    ['2026-01-09', undefined],
    ['2025-12-31', 'the token expires in 0 days'],
  ])('of a token until %s warns: %s', async (expires_at, warning) => {
    expect(await health({ expires_at })).toMatchObject({ status: 'ok', version: '18.5.0', token_expires_at: expires_at });
    expect((await health({ expires_at })).warning).toBe(warning);
  });

  it.each([
    [{ expires_at: null }],
    [{}],
    [new GitLabError('forbidden', 'no', { status: 403 })],
    [new GitLabError('unreachable', 'no')],
    [{ expires_at: 'soon' }],
  ])('does not depend on it: %j', async (self) => {
    expect(await health(self)).toEqual({ status: 'ok', version: '18.5.0', revision: 'abc', api_url: 'https://git.example.com/api/v4' });
  });
});
