import { describe, expect, it } from 'vitest';
import { errorOfAnswer, retryAfterOf } from './error-answer.ts';

const NOW = Date.UTC(2026, 10, 21, 12);
const TOKEN = 'glpat-abcdefghijklmnopqrst';
const of = (status: number, body: unknown = {}, headers: Record<string, string> = {}) =>
  errorOfAnswer(status, headers, Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)), [TOKEN], NOW);

describe('errors of GitLab', () => {
  it('have exactly the members that callers are promised', () => {
    const error = of(404, { message: '404 Project Not Found' }, { 'x-request-id': '01HX-7.a', 'set-cookie': 'secret' });
    expect(JSON.parse(JSON.stringify(error))).toEqual({
      ...{ status: 404, code: 'not_found', message: '404 Project Not Found', request_id: '01HX-7.a', retry_after_seconds: null },
      hint: expect.stringContaining('may not see it'),
    });
  });

  it.each([401, 403, 404, 405, 409, 412, 413, 422, 429])('have a hint for %i', (status) => {
    expect(of(status).hint).toEqual(expect.any(String));
  });

  it.each([
    [{ message: 'plain' }, 'plain'],
    [{ message: { title: ["can't be blank", 'is too short'], base: ['no'] } }, "title can't be blank, is too short; base no"],
    [{ message: ['a', 'b'] }, 'a, b'],
    [{ error: 'invalid_token', error_description: 'Token was revoked.' }, 'invalid_token: Token was revoked.'],
    [{ error: 'scope is missing' }, 'scope is missing'],
    [{ message: 'two\nlines\u202e \u0007' }, 'two lines'],
    ['<html>Bad Gateway</html>', 'GitLab refused the values (422)'],
    ['', 'GitLab refused the values (422)'],
    [[1], 'GitLab refused the values (422)'],
    [{ message: { a: { b: { c: { d: { e: 'deep' } } } } } }, 'a b c d'],
  ])('say what %j says', (body, expected) => {
    expect(of(422, body).message).toBe(expected);
  });

  it('are cut at 500 characters, after the token was taken out', () => {
    expect(of(400, { message: 'x'.repeat(2000) }).message).toHaveLength(500);
    const { message } = of(400, { message: `${'x'.repeat(490)}${TOKEN} and ${TOKEN}` });
    expect(message).not.toContain('glpat');
    expect(message).toContain('[MASKED]');
  });

  it('name the scopes that are missing', () => {
    expect(of(403, { error: 'insufficient_scope', error_description: 'no', scope: 'api read_api' })).toMatchObject({
      code: 'insufficient_scope',
      scopes: ['api', 'read_api'],
    });
    expect(of(403, { message: '403 Forbidden' })).toMatchObject({ code: 'forbidden', scopes: [] });
  });

  it('say when to come again, and never what RateLimit-Reset says', () => {
    expect(of(429, {}, { 'retry-after': '7', 'ratelimit-reset': '99999' }).retry_after_seconds).toBe(7);
    expect(of(429, {}, { 'ratelimit-reset': '99999' }).retry_after_seconds).toBeNull();
    expect(retryAfterOf('Sat, 21 Nov 2026 12:00:30 GMT', NOW)).toBe(30);
    expect(retryAfterOf('Sat, 21 Nov 2026 11:00:00 GMT', NOW)).toBe(0);
    for (const nonsense of ['', 'soon', '-1', '1.5', '2027-01-01', '1e9']) expect(retryAfterOf(nonsense, NOW)).toBeUndefined();
  });
});
