import { err, ok, type Result } from '../core/result.ts';
import { Secret } from '../core/secret.ts';
import { defaultPort, type HostTarget, hostOf } from './host-entry.ts';
import { parseNoProxy } from './no-proxy.ts';

export interface ProxySettings {
  readonly httpProxy?: string | undefined;
  readonly httpsProxy?: string | undefined;
  readonly noProxy?: string | undefined;
}

/** One proxy. Its URL may hold a password. */
export interface ProxyServer {
  readonly kind: 'http' | 'https' | 'socks5';
  readonly host: string;
  readonly port: number;
  readonly username?: string;
  readonly password?: Secret;
}

/** Which proxy a target is reached through: undefined is none. */
export type ProxyChoice = (target: HostTarget) => ProxyServer | undefined;

/** Names of the settings, in upper and lower case: the latter wins, as with curl. */
const NAMES = { httpProxy: ['http_proxy', 'HTTP_PROXY'], httpsProxy: ['https_proxy', 'HTTPS_PROXY'], noProxy: ['no_proxy', 'NO_PROXY'] } as const;

/** The settings of an environment; empty variables are absent ones. */
export function proxySettings(env: Readonly<Record<string, string | undefined>>): ProxySettings {
  const value = (names: readonly string[]) => names.map((name) => env[name]?.trim()).find((text) => text !== undefined && text !== '');
  return { httpProxy: value(NAMES.httpProxy), httpsProxy: value(NAMES.httpsProxy), noProxy: value(NAMES.noProxy) };
}

/**
 * Reads the settings (gitlab.md 2.1). The proxy follows from the scheme of the target: `http` from `HTTP_PROXY`, `https` from
 * `HTTPS_PROXY`. The error names the variable and never shows a URL, which may hold a password.
 */
export function proxyChoice(settings: ProxySettings): Result<ProxyChoice, string> {
  const http = parseProxy('HTTP_PROXY', settings.httpProxy);
  if (!http.ok) return http;
  const https = parseProxy('HTTPS_PROXY', settings.httpsProxy);
  if (!https.ok) return https;
  const exempt = parseNoProxy(settings.noProxy ?? '');
  if (!exempt.ok) return err(`NO_PROXY: ${exempt.error}`);
  const proxies = { http: http.value, https: https.value };
  return ok((target) => {
    const proxy = proxies[target.scheme];
    return proxy === undefined || exempt.value(target) ? undefined : proxy;
  });
}

function parseProxy(name: string, text: string | undefined): Result<ProxyServer | undefined, string> {
  if (text === undefined || text.trim() === '') return ok(undefined);
  const full = /^[a-z][a-z0-9+.-]*:\/\//i.test(text.trim()) ? text.trim() : `http://${text.trim()}`;
  const url = URL.parse(full);
  const kind = kindOf(url?.protocol);
  if (url === null || kind === undefined) return err(`${name}: not the URL of an http, https or socks5 proxy`);
  // A URL of another scheme keeps its host as it was written; as one of http it is put into the usual form.
  const host = hostOf(kind === 'socks5' ? (URL.parse(`http://${url.host}`) ?? url) : url);
  const decoded = credentialsOf(url);
  if (host === undefined || decoded === undefined || url.port === '0') return err(`${name}: not the URL of an http, https or socks5 proxy`);
  const port = url.port === '' ? (kind === 'socks5' ? 1080 : defaultPort(kind)) : Number(url.port);
  return ok({ kind, host, port, ...decoded });
}

function kindOf(protocol: string | undefined): ProxyServer['kind'] | undefined {
  if (protocol === 'http:') return 'http';
  if (protocol === 'https:') return 'https';
  return protocol === 'socks5:' || protocol === 'socks5h:' ? 'socks5' : undefined;
}

function credentialsOf(url: URL): { readonly username?: string; readonly password?: Secret } | undefined {
  try {
    return {
      ...(url.username === '' ? {} : { username: decodeURIComponent(url.username) }),
      ...(url.password === '' ? {} : { password: new Secret(decodeURIComponent(url.password)) }),
    };
  } catch {
    return undefined;
  }
}
