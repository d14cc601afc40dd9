import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { apiPath, isApiPath, projectOrGroup } from './api-path.ts';

const refusal = expect.objectContaining({ name: 'GitLabError', code: 'invalid_request', status: null });

describe('paths', () => {
  it('encode each part once', () => {
    expect(apiPath`/projects/${projectOrGroup('group/app')}/repository/branches/${'feature/x y'}`).toBe(
      '/projects/group%2Fapp/repository/branches/feature%2Fx%20y',
    );
    expect(apiPath`/projects/${projectOrGroup('group%2Fapp')}/issues/${7}`).toBe('/projects/group%2Fapp/issues/7');
    expect(apiPath`/projects/${projectOrGroup(42)}`).toBe('/projects/42');
    expect(apiPath`/groups/${projectOrGroup('a%2fb/c')}`).toBe('/groups/a%2Fb%2Fc');
    expect(apiPath`/x/${'a?dryRun=1#y&z'}/${'100%'}/${'--server=x'}/${';ls'}`).toBe('/x/a%3FdryRun%3D1%23y%26z/100%25/--server%3Dx/%3Bls');
    expect(apiPath`/user`).toBe('/user');
  });

  it.each([
    '',
    ' ',
    '.',
    '..',
    'a/../b',
    'a/./b',
    '../x',
    'x/..',
    'a\\..\\b',
    '%2e%2e',
    'a/%2E%2e/b',
    '..%2fx',
    '%252e%252e',
    'a\nb',
    'a\u0000',
    'a\u0085',
    '\ud800',
  ])('refuse the part %j', (part) => {
    expect(() => apiPath`/x/${part}`).toThrow(refusal);
    expect(() => apiPath`/x/${projectOrGroup(part)}`).toThrow(refusal);
  });

  it('refuse projects with empty parts, and numbers that are no ids', () => {
    for (const project of ['/app', 'group/', 'a//b', '%2Fapp', 'group%2f']) expect(() => projectOrGroup(project)).toThrow(refusal);
    for (const id of [-1, 1.5, Number.NaN, 2 ** 53]) expect(() => apiPath`/x/${id}`).toThrow(refusal);
  });

  it('stay below their template whatever the part is, also for a server that decodes twice', () => {
    const part = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.array(fc.constantFrom('.', '..', '/', '\\', '%2e', '%2F', '%25', 'a', '?', '#', ' '), { maxLength: 6 }).map((texts) => texts.join('')),
    );
    const property = fc.property(part, (text) => {
      let path: string;
      try {
        path = apiPath`/projects/${text}/end`;
      } catch {
        return;
      }
      expect(isApiPath(path)).toBe(true);
      expect(path.split('/')).toHaveLength(4);
      expect(new URL(`https://h/api/v4${path}`).pathname).toBe(`/api/v4${path}`);
      const segment = path.slice('/projects/'.length, -'/end'.length);
      expect(decodeURIComponent(segment)).toBe(text);
      expect(decodeURIComponent(segment).split(/[/\\]/)).not.toContain('..');
    });
    fc.assert(property, { numRuns: 1000 });
  });

  it('are told from other texts', () => {
    for (const path of ['/user', '/projects/a%2Fb/issues', '/x/a.b']) expect([path, isApiPath(path)]).toEqual([path, true]);
    for (const path of [
      '',
      '/',
      'user',
      '/a/',
      '//a',
      '/a//b',
      '/a?b',
      '/a#b',
      '/../a',
      '/a/..',
      '/%2e%2e',
      '/a%2F..%2Fb',
      '/a b',
      '/a\\b',
      '/%zz',
      '/é',
    ])
      expect([path, isApiPath(path)]).toEqual([path, false]);
  });
});
