import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cpuMsOf } from '../core/sample-cpu-time.ts';
import { sha256 } from '../core/secret.ts';
import { extractCredential, isBearerToken } from './extract.ts';

function found(headers: Record<string, string[]>) {
  const result = extractCredential(headers);
  return result.ok ? (result.value === undefined ? 'none' : `${result.value.scheme} ${result.value.token.reveal()}`) : result.error;
}

describe('extracting a credential', () => {
  it.each([
    ['Bearer abc', 'bearer abc'],
    ['bearer abc', 'bearer abc'],
    ['BEARER   abc==', 'bearer abc=='],
    ['Bearer a-b._~+/c', 'bearer a-b._~+/c'],
    ['Bearer', 'malformed'],
    ['Bearer ', 'malformed'],
    ['Bearer a b', 'malformed'],
    ['Bearer a=b', 'malformed'],
    ['Bearer =', 'malformed'],
    ['Bearer a, Bearer b', 'malformed'],
    ['Bearer ä', 'malformed'],
    ['Bearer\tabc', 'malformed'],
    ['Basic dTpw', 'malformed'],
    ['abc', 'malformed'],
    ['', 'malformed'],
    [`Bearer ${'a'.repeat(20_000)}`, 'malformed'],
  ])('Authorization: %s is %s', (value, expected) => {
    expect(found({ authorization: [value] })).toBe(expected);
  });

  it('finds nothing where there is nothing, the query included', () => {
    expect(found({})).toBe('none');
    expect(found({ 'x-api-key': ['abc'], cookie: ['token=abc'] })).toBe('none');
  });

  it('recognises the headers of GitLab', () => {
    expect(found({ 'private-token': ['glpat-1'] })).toBe('private-token glpat-1');
    expect(found({ 'job-token': ['1'] })).toBe('job-token 1');
    expect(found({ 'private-token': ['a b'] })).toBe('malformed');
    expect(found({ 'private-token': [''] })).toBe('malformed');
  });

  it.each([
    [{ authorization: ['Bearer a'], 'private-token': ['b'] }],
    [{ authorization: ['Bearer a'], 'job-token': ['b'] }],
    [{ 'private-token': ['a'], 'job-token': ['b'] }],
    [{ authorization: ['Bearer a', 'Bearer a'] }],
    [{ authorization: ['Bearer a', 'Basic b'] }],
    [{ 'private-token': ['a', 'a'] }],
    [{ authorization: ['nonsense'], 'private-token': ['a'] }],
  ] as Record<string, string[]>[][])('%o conflicts', (headers) => {
    expect(found(headers ?? {})).toBe('conflict');
  });

  it('gives the digest of the token and prints neither', () => {
    const result = extractCredential({ authorization: ['Bearer sentinel'] });
    const credential = result.ok ? result.value : undefined;
    expect(credential?.digest).toEqual(sha256('sentinel'));
    expect(credential?.key).toBe(sha256('sentinel').toString('base64url'));
    expect(JSON.stringify(credential)).not.toContain('sentinel');
  });

  it('takes every b64token and nothing else', () => {
    const b64 = fc.stringMatching(/^[A-Za-z0-9\-._~+/]{1,40}={0,2}$/);
    fc.assert(
      fc.property(b64, (token) => {
        expect(found({ authorization: [`Bearer ${token}`] })).toBe(`bearer ${token}`);
      }),
    );
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 20 }), (text) => {
        expect(isBearerToken(text)).toBe(text !== '' && /^[A-Za-z0-9\-._~+/]+=*$/.test(text) && !text.includes('\n'));
      }),
    );
  });

  it('is linear in hostile values', () => {
    const hostile = [
      `Bearer ${' '.repeat(16_000)}`,
      `Bearer ${'='.repeat(16_000)}`,
      `Bearer ${'a='.repeat(8_000)}`,
      `Bearer a${' '.repeat(16_000)}b`,
    ];
    const ms = cpuMsOf(() => {
      for (const value of hostile) found({ authorization: [value] });
    });
    expect(ms).toBeLessThan(50);
  });
});
