import { describe, expect, it } from 'vitest';
import type { HostTarget } from './host-entry.ts';
import { type ProxySettings, proxyChoice, proxySettings } from './proxy-choice.ts';

const target = (host: string, more: Partial<HostTarget> = {}): HostTarget => ({ scheme: 'https', host, port: 443, prefix: '', ...more });
const choose = (settings: ProxySettings, asked: HostTarget) => {
  const choice = proxyChoice(settings);
  if (!choice.ok) throw new TypeError(choice.error);
  return choice.value(asked);
};
const PROXY = { httpsProxy: 'http://proxy.test:3128' };

describe('the choice of a proxy', () => {
  it('follows the scheme of the target', () => {
    const both = { httpProxy: 'http://plain.test', httpsProxy: 'https://secure.test' };
    expect(choose(both, target('a.test', { scheme: 'http', port: 80 }))).toMatchObject({ kind: 'http', host: 'plain.test', port: 80 });
    expect(choose(both, target('a.test'))).toMatchObject({ kind: 'https', host: 'secure.test', port: 443 });
    expect(choose({ httpProxy: 'http://plain.test' }, target('a.test'))).toBeUndefined();
  });

  it.each([
    ['http://proxy.test:3128', { kind: 'http', host: 'proxy.test', port: 3128 }],
    ['proxy.test:3128', { kind: 'http', host: 'proxy.test', port: 3128 }],
    ['https://proxy.test', { kind: 'https', host: 'proxy.test', port: 443 }],
    ['socks5://PROXY.test', { kind: 'socks5', host: 'proxy.test', port: 1080 }],
    ['socks5h://[::1]:9050', { kind: 'socks5', host: '::1', port: 9050 }],
    ['socks5://10.0.0.1:80', { kind: 'socks5', host: '10.0.0.1', port: 80 }],
  ])('reads %s', (httpsProxy, expected) => {
    expect(choose({ httpsProxy }, target('a.test'))).toEqual(expected);
  });

  it('reads credentials, and never prints them', () => {
    const proxy = choose({ httpsProxy: 'http://us%40er:p%3Ass@proxy.test' }, target('a.test'));
    expect(proxy?.username).toBe('us@er');
    expect(proxy?.password?.reveal()).toBe('p:ss');
    expect(JSON.stringify(proxy)).not.toContain('p:ss');
  });

  it.each(['ftp://x', 'http://', 'http://a b', 'socks4://x', 'http://x:0', 'http://%zz:y@x', 'http://user:hunter2@'])(
    'refuses %j by the name of its variable',
    (url) => {
      const named = proxyChoice({ httpProxy: url });
      expect(named).toMatchObject({ ok: false, error: expect.stringMatching(/^HTTP_PROXY: /) });
      expect(JSON.stringify(named)).not.toContain('hunter2');
      expect(proxyChoice({ httpsProxy: url })).toMatchObject({ ok: false, error: expect.stringMatching(/^HTTPS_PROXY: /) });
    },
  );

  it.each([
    ['git.corp', [target('git.corp'), target('git.corp', { port: 8443 })], [target('a.git.corp'), target('git.corp.test')]],
    ['.corp', [target('git.corp'), target('a.git.corp')], [target('corp'), target('gitcorp')]],
    ['*.corp', [target('git.corp')], [target('corp')]],
    ['*', [target('a.test'), target('::1')], []],
    ['git.corp:8443', [target('git.corp', { port: 8443 })], [target('git.corp')]],
    ['.corp:8443', [target('git.corp', { port: 8443 })], [target('git.corp')]],
    ['[::1]:8443', [target('::1', { port: 8443 })], [target('::1')]],
    ['::1', [target('::1'), target('::1', { port: 1 })], [target('::2')]],
    ['[::1]', [target('::1')], [target('::2')]],
    ['10.0.0.0/8', [target('10.1.2.3')], [target('11.0.0.1'), target('a.test'), target('::ffff:a00:1')]],
    ['fd00::/8', [target('fd12::1')], [target('fc00::1'), target('10.0.0.1')]],
    ['127.0.0.1', [target('127.0.0.1')], [target('127.0.0.2')]],
    ['a.test, b.test c.test', [target('a.test'), target('b.test'), target('c.test')], [target('d.test')]],
  ])('NO_PROXY %s', (noProxy, direct, proxied) => {
    for (const asked of direct) expect([asked, choose({ ...PROXY, noProxy }, asked)]).toEqual([asked, undefined]);
    for (const asked of proxied) expect([asked, choose({ ...PROXY, noProxy }, asked)?.host]).toEqual([asked, 'proxy.test']);
  });

  it.each(['10.0.0.0/33', 'x/8', 'a:0', 'a:99999', 'a:b', 'ex*ple', '::1/129', '10.0.0.0/', 'a@b'])('NO_PROXY cannot be %s', (noProxy) => {
    expect(proxyChoice({ noProxy })).toMatchObject({ ok: false, error: expect.stringMatching(/^NO_PROXY: /) });
  });
});

describe('the environment', () => {
  it('is read in both cases; lower case wins, empty is absent', () => {
    expect(proxySettings({ HTTP_PROXY: 'a', http_proxy: 'b', HTTPS_PROXY: 'c', no_proxy: ' ', NO_PROXY: 'd' })).toEqual({
      httpProxy: 'b',
      httpsProxy: 'c',
      noProxy: 'd',
    });
    expect(proxySettings({})).toEqual({ httpProxy: undefined, httpsProxy: undefined, noProxy: undefined });
  });
});
