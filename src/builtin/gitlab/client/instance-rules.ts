import { err, ok, type Result } from '../../../core/result.ts';
import { canonicalHost, type HostEntry, parseHostEntry } from '../../../net/host-entry.ts';
import { type ProxySettings, proxyChoice } from '../../../net/proxy-choice.ts';
import { type ApiUrl, parseApiUrl } from './api-url.ts';
import type { InstanceRules } from './instance.ts';

/** The settings as they are written; lists are separated by commas. */
export interface InstanceSettings extends ProxySettings {
  readonly dynamic: boolean;
  /** `GITLAB_API_URL`: the default, then further ones that are allowed. */
  readonly apiUrl?: string | undefined;
  /** `GITLAB_ALLOWED_HOSTS` */
  readonly allowedHosts?: string | undefined;
  /** `GITLAB_ALLOW_PRIVATE_HOSTS` */
  readonly allowPrivateHosts?: string | undefined;
}

/** Reads the settings about instances (gitlab.md 2.1 to 2.3). The error names the variable: it stops the start. */
export function instanceRules(settings: InstanceSettings): Result<InstanceRules, string> {
  const operatorUrls = eachOf('GITLAB_API_URL', settings.apiUrl, readUrl);
  if (!operatorUrls.ok) return operatorUrls;
  const allowed = eachOf('GITLAB_ALLOWED_HOSTS', settings.allowedHosts, readEntry);
  if (!allowed.ok) return allowed;
  const privates = eachOf('GITLAB_ALLOW_PRIVATE_HOSTS', settings.allowPrivateHosts, readHost);
  if (!privates.ok) return privates;
  const proxies = proxyChoice(settings);
  if (!proxies.ok) return proxies;
  const hasProxy = [settings.httpProxy, settings.httpsProxy].some((proxy) => proxy !== undefined && proxy.trim() !== '');
  if (settings.dynamic && hasProxy && allowed.value.some(({ kind }) => kind === 'any'))
    return err('GITLAB_ALLOWED_HOSTS: * cannot stand together with HTTP_PROXY or HTTPS_PROXY, since the proxy resolves names; list the hosts');
  const known = new Set(privates.value);
  return ok({
    operatorUrls: operatorUrls.value,
    dynamic: settings.dynamic,
    allowed: allowed.value,
    allowsPrivate: (host) => known.has(host),
    proxies: proxies.value,
  });
}

function eachOf<T>(name: string, list: string | undefined, read: (text: string) => Result<T, string>): Result<readonly T[], string> {
  const values: T[] = [];
  for (const item of (list ?? '').split(',')) {
    const text = item.trim();
    if (text === '') continue;
    const value = read(text);
    if (!value.ok) return err(`${name}: ${value.error}`);
    values.push(value.value);
  }
  return ok(values);
}

function readUrl(text: string): Result<ApiUrl, string> {
  const parsed = parseApiUrl(text);
  return parsed.kind === 'url' ? ok(parsed.url) : err(`a value is no URL of a GitLab instance: ${parsed.reason}`);
}

function readEntry(text: string): Result<HostEntry, string> {
  // People copy API URLs into the list; the prefix ends before them.
  const entry = parseHostEntry(text.replace(/\/api\/v4\/*$/, ''));
  return entry.ok ? entry : err(`'${text.slice(0, 100)}' ${entry.error}`);
}

function readHost(text: string): Result<string, string> {
  const host = text.includes('*') ? undefined : canonicalHost(text);
  return host === undefined ? err(`'${text.slice(0, 100)}' is not a host`) : ok(host);
}
