import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseApiUrl } from './api-url.ts';

const canonical = (text: string) => {
  const result = parseApiUrl(text);
  return result.kind === 'url' ? result.url.canonical : result.kind;
};

describe('API URLs', () => {
  it.each([
    ['https://gitlab.com', 'https://gitlab.com/api/v4'],
    ['https://gitlab.com/', 'https://gitlab.com/api/v4'],
    ['https://GitLab.com:443/api/v4/', 'https://gitlab.com/api/v4'],
    ['https://gitlab.com.', 'https://gitlab.com/api/v4'],
    ['HTTPS://gitlab.com/api/v4', 'https://gitlab.com/api/v4'],
    [' https://gitlab.com\t', 'https://gitlab.com/api/v4'],
    ['https://git.company.com/gitlab/api/v4', 'https://git.company.com/gitlab/api/v4'],
    ['https://git.company.com/gitlab//', 'https://git.company.com/gitlab/api/v4'],
    ['https://git.company.com/a/b/api/v4//', 'https://git.company.com/a/b/api/v4'],
    ['http://127.1:8080', 'http://127.0.0.1:8080/api/v4'],
    ['http://2130706433', 'http://127.0.0.1/api/v4'],
    ['http://h:80', 'http://h/api/v4'],
    ['https://[::1]:8443/x', 'https://[::1]:8443/x/api/v4'],
    ['https://bücher.test', 'https://xn--bcher-kva.test/api/v4'],
  ])('%s is %s', (text, expected) => {
    expect(canonical(text)).toBe(expected);
  });

  it.each([
    ...[
      '',
      'gitlab.com',
      'ftp://gitlab.com',
      'javascript:alert(1)',
      'https:gitlab.com',
      'https:/gitlab.com',
      'https:///gitlab.com',
      'https://',
      'https://a b',
    ],
    ...[
      'https://gitlab.com?x=1',
      'https://gitlab.com/?',
      'https://gitlab.com/#',
      'https://gitlab.com/api/v4/projects',
      'https://gitlab.com/api/v4/api/v4',
      'https://gitlab.com/api/v4?private_token=x',
    ],
    ...[
      'https://gitlab.com:0',
      'https://gitlab.com:99999',
      'https://gitlab..com',
      'https://.',
      'https://gitlab.com/a%20b',
      'https://a/x//y',
      'https://a, https://b',
      'https://a/,https://b/',
    ],
    `https://gitlab.com/${'a'.repeat(2048 - 18)}`,
  ])('%s is invalid', (text) => {
    const result = parseApiUrl(text);
    expect(result.kind).toBe('invalid');
    // The reason is for the caller, and the URL is not repeated to it.
    expect(result).not.toMatchObject({ reason: expect.stringContaining('gitlab.com') });
  });

  it.each([
    ...[
      'https://gitlab.com@evil.test',
      'https://user:pw@gitlab.com',
      'https://@gitlab.com',
      'https://gitlab.com/../x',
      'https://gitlab.com/a/./b',
      'https://gitlab.com/..',
    ],
    ...[
      'https://gitlab.com/%2e%2e/x',
      'https://gitlab.com/.%2E/x',
      'https://gitlab.com\\@evil.test',
      'https:\\\\gitlab.com',
      'https://gitlab.com/a%2fb',
      'https://gitlab.com/a%5Cb',
      'https://gitlab.com%2f@evil.test',
    ],
    ...['https://gitlab.com/\u0000', 'https://git\nlab.com', 'https://git\tlab.com', 'https://gitlab.com\u0085'],
  ])('%j is forbidden', (text) => {
    expect(parseApiUrl(text).kind).toBe('forbidden');
  });

  it('have a canonical form that is its own canonical form, and names the host that a URL parser sees', () => {
    const part = fc.constantFrom(
      'gitlab',
      'com',
      '.',
      '..',
      '/',
      '//',
      'api',
      'v4',
      '/api/v4',
      '@',
      ':',
      '8443',
      '%2f',
      '%2e',
      '\\',
      '?',
      '#',
      ' ',
      'evil.test',
      '127.1',
      '[::1]',
      'é',
      '\t',
    );
    const property = fc.property(fc.constantFrom('https://', 'http://', 'HTTPS://', ''), fc.array(part, { maxLength: 10 }), (scheme, parts) => {
      const text = scheme + parts.join('');
      const result = parseApiUrl(text);
      if (result.kind !== 'url') return;
      expect(parseApiUrl(result.url.canonical)).toEqual(result);
      expect(parseApiUrl(result.url.root)).toEqual(result);
      const [own, theirs] = [new URL(result.url.canonical), new URL(text)];
      expect(own.host).toBe(theirs.host.replace(/\.(?=:|$)/, ''));
      expect(own.protocol).toBe(theirs.protocol);
    });
    fc.assert(property, { numRuns: 2000 });
  });

  it('takes no longer for blanks within a text than for other characters', () => {
    const start = performance.now();
    expect(parseApiUrl(`https://a${' '.repeat(200_000)}b`)).toMatchObject({ kind: 'invalid' });
    expect(performance.now() - start).toBeLessThan(1_000);
  });
});
