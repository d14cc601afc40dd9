import { hostInUrl, isLoopbackHost } from './addresses.ts';
import type { Config } from './schema.ts';
import { unpinnedLaunches } from './unpinned.ts';

/** A setting in use that takes away a protection. */
export interface Weakening {
  readonly setting: string;
  readonly why: string;
}

/**
 * The settings of security.md, "Settings that weaken", that are in use: each is a line at every start and a metric.
 * `stdio`: the front is a pipe, where nobody but the parent process can come in.
 */
export function weakenedSettings(config: Config, { stdio = false }: { readonly stdio?: boolean } = {}): Weakening[] {
  const weak: Weakening[] = [];
  const { auth, bridge, policy } = config;
  if (auth.modes.includes('none') && !stdio) weak.push({ setting: 'auth.modes: none', why: 'every process of this machine may use every upstream' });
  if (policy.yolo) weak.push({ setting: 'policy.yolo', why: 'destructive tools may be called' });
  if (policy.annotations === 'ignore')
    weak.push({ setting: 'policy.annotations: ignore', why: 'tools that call themselves destructive may be called' });
  if (!bridge.blockSecretForms)
    weak.push({ setting: 'bridge.blockSecretForms: false', why: 'upstreams may ask people for passwords, tokens and keys' });
  for (const [index, upstream] of config.upstreams.entries()) {
    const at = `upstreams[${index}]`;
    if (upstream.sharing === 'shared') weak.push({ setting: `${at}.sharing: shared`, why: `all callers share one connection to '${upstream.name}'` });
    if (upstream.type === 'gitlab' && upstream.gitlab.dynamicUrl.enabled) {
      const { allowedHosts, allowPrivateHosts } = upstream.gitlab.dynamicUrl;
      const dynamic = `${at}.gitlab.dynamicUrl`;
      if (allowedHosts.includes('*'))
        weak.push({ setting: `${dynamic}.allowedHosts: *`, why: `callers of '${upstream.name}' may name any public host` });
      if (allowPrivateHosts.length > 0)
        weak.push({ setting: `${dynamic}.allowPrivateHosts`, why: `callers of '${upstream.name}' may name hosts of your own network` });
    }
    if (upstream.type === 'stdio') {
      if (upstream.allowUnsafeEnv) weak.push({ setting: `${at}.allowUnsafeEnv`, why: `variables may make '${upstream.name}' run other code` });
    } else if (upstream.tls?.insecureSkipVerify === true) {
      weak.push({ setting: `${at}.tls.insecureSkipVerify`, why: `whoever is between us and '${upstream.name}' can read and change everything` });
    }
  }
  return weak;
}

/**
 * Why a valid configuration is too dangerous to start with (identity.md 1, security classes 4 and 30); empty if it is not.
 * `stdio`: nothing listens, so the address does not matter.
 */
export function refusals(config: Config, { stdio = false }: { readonly stdio?: boolean } = {}): string[] {
  const { listen, auth, policy } = config;
  const refused: string[] = [];
  if (!stdio && auth.modes.includes('none') && !isLoopbackHost(listen.host)) {
    const where = `${hostInUrl(listen.host)}:${listen.port}`;
    refused.push(`Refusing to listen on ${where} without authentication. Set auth.modes, or listen.host to 127.0.0.1.`);
  }
  if (policy.requirePinned) {
    for (const { upstream, line, package: name } of unpinnedLaunches(config)) {
      refused.push(`Refusing to start upstream '${upstream}': '${line}' fetches ${name} without a fixed version, and policy.requirePinned is set.`);
    }
  }
  return refused;
}
