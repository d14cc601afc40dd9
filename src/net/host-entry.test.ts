import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalHost, entryAllows, type HostTarget, parseHostEntry } from './host-entry.ts';

const target = (host: string, more: Partial<HostTarget> = {}): HostTarget => ({ scheme: 'https', host, port: 443, prefix: '', ...more });
const allows = (entry: string, asked: HostTarget) => {
  const parsed = parseHostEntry(entry);
  if (!parsed.ok) throw new TypeError(parsed.error);
  return entryAllows(parsed.value, asked);
};

describe('entries of allow-lists', () => {
  it('mean https, the default port and the root where they say nothing', () => {
    expect(allows('git.corp', target('git.corp'))).toBe(true);
    expect(allows('GIT.corp.', target('git.corp'))).toBe(true);
    const others = [
      { scheme: 'http', port: 80 },
      { scheme: 'http' },
      { port: 8443 },
      { prefix: '/gitlab' },
      { host: 'a.git.corp' },
      { host: 'git.corp.evil.test' },
    ] as const;
    for (const other of others) expect([other, allows('git.corp', target('git.corp', other))]).toEqual([other, false]);
  });

  it('must be equal in scheme, host, port and prefix', () => {
    const asked = target('git.corp', { scheme: 'http', port: 8080, prefix: '/gitlab' });
    expect(allows('http://git.corp:8080/gitlab/', asked)).toBe(true);
    for (const entry of [
      'git.corp:8080/gitlab',
      'http://git.corp/gitlab',
      'http://git.corp:8080',
      'http://git.corp:8080/git',
      'http://git.corp:8080/gitlab/x',
    ])
      expect([entry, allows(entry, asked)]).toEqual([entry, false]);
    expect(allows('git.corp:443', target('git.corp'))).toBe(true);
    expect(allows('[::1]:8443', target('::1', { port: 8443 }))).toBe(true);
    expect(allows('127.1', target('127.0.0.1'))).toBe(true);
  });

  it('of a suffix allow names below it, never itself, over https at the root alone', () => {
    expect(allows('*.corp.test', target('a.b.corp.test'))).toBe(true);
    for (const asked of [
      target('corp.test'),
      target('evilcorp.test'),
      target('a.corp.test', { port: 8443 }),
      target('a.corp.test', { prefix: '/x' }),
      target('a.corp.test', { scheme: 'http', port: 80 }),
    ])
      expect([asked, allows('*.corp.test', asked)]).toEqual([asked, false]);
  });

  it('of * allow every host over https at the root alone', () => {
    expect(allows('*', target('any.test'))).toBe(true);
    expect(allows('*', target('any.test', { scheme: 'http', port: 80 }))).toBe(false);
    expect(allows('*', target('any.test', { port: 8443 }))).toBe(false);
    expect(allows('*', target('any.test', { prefix: '/gitlab' }))).toBe(false);
  });

  it.each([
    '',
    ' ',
    'a b',
    'user@host',
    'host:0',
    'host:99999',
    'host?x',
    'host#x',
    'host\\x',
    'host/../x',
    'host/%2e',
    'ex*mple',
    '*.',
    '*.1.2.3.4',
    '*.x:80',
    '**',
    'ftp://h',
    'a..b',
    '::1',
    '*.a/b',
  ])('cannot be %j', (entry) => {
    expect(parseHostEntry(entry)).toMatchObject({ ok: false, error: expect.stringContaining('is not of the form') });
  });

  it('are read whatever they are', () => {
    fc.assert(fc.property(fc.string(), (text) => typeof parseHostEntry(text).ok === 'boolean'));
  });
});

describe('hosts', () => {
  it('have one spelling', () => {
    expect(['GitLab.com', 'gitlab.com.', '127.1', '2130706433', '0x7f000001', '::1', '[::1]', '[0:0::1]', 'bücher.test'].map(canonicalHost)).toEqual([
      ...['gitlab.com', 'gitlab.com', '127.0.0.1', '127.0.0.1', '127.0.0.1', '::1', '::1', '::1', 'xn--bcher-kva.test'],
    ]);
    expect(['', 'a:80', 'a/b', 'u@a', 'a b', 'a%41', '.', 'a..'].map(canonicalHost)).toEqual(new Array(8).fill(undefined));
  });
});
