import type { LoadedConfig } from '../../config/load.ts';
import type { UpstreamConfig } from '../../config/schema.ts';
import { GITLAB_COM } from '../../config/sections/gitlab.ts';
import type { Era } from '../../core/mcp.ts';
import { redactText } from '../../telemetry/redact.ts';

/** What the child gets besides `env` (aggregator.md section 1). */
const INHERITED = 'PATH, HOME, LANG, LC_ALL, TZ and TMPDIR';

/** Where an upstream is: its program, or the address without anything that may be a secret. */
export function addressText(upstream: UpstreamConfig, loaded: LoadedConfig): string {
  const index = loaded.config.upstreams.indexOf(upstream);
  const isReferred = (key: string) => [...loaded.referenced].some((path) => path.startsWith(`upstreams[${index}].${key}`));
  if (upstream.type === 'stdio') return `stdio, ${isReferred('command') ? 'a program by reference' : redactText(upstream.command)}`;
  if (upstream.type === 'gitlab')
    return `gitlab, ${isReferred('gitlab.url') ? 'an address by reference' : redactText(upstream.gitlab.url ?? GITLAB_COM)}`;
  const [first, ...others] = upstream.endpoints;
  const replicas = others.length === 0 ? '' : ` and ${others.length} more`;
  return `${upstream.type}, ${isReferred('url') || isReferred('endpoints') ? 'an address by reference' : redactText(first?.url ?? '')}${replicas}`;
}

/** Which credential goes with a call. No value, ever. */
export function credentialText(upstream: UpstreamConfig, { provenance, config }: LoadedConfig): string {
  const index = config.upstreams.indexOf(upstream);
  if (upstream.type === 'stdio') {
    const names = Object.keys(upstream.env);
    const own = names.length === 0 ? '' : `${names.map((name) => redactText(name, 80)).join(', ')} of env, besides `;
    return `none of the caller's; the child process has ${own}${INHERITED}`;
  }
  if (upstream.type === 'gitlab' && upstream.auth.mode === 'passthrough') return "the caller's own GitLab token, where this instance verified it";
  const headers = upstream.type === 'gitlab' ? [] : Object.keys(upstream.headers);
  const also = headers.length === 0 ? '' : `; headers ${headers.map((name) => redactText(name, 80)).join(', ')} for everybody`;
  const { mode, header } = upstream.auth;
  if (mode !== 'header' || header === undefined) return `none is sent, and the caller's own never goes on${also}`;
  const origin = provenance.get(`upstreams[${index}].auth.header.value`)?.where;
  return `header ${redactText(header.name, 80)}, the same for every caller${origin === undefined ? '' : ` (${origin})`}; the caller's own never goes on${also}`;
}

/** Whose connection a call takes, as `upstream/connection-key.ts` decides it. */
export function sharingText({ sharing, type }: UpstreamConfig, era: Era | undefined): string {
  if (era === 'modern' && (sharing === 'shared' || type !== 'stdio')) return 'one for everybody; each request carries what is of its caller';
  if (sharing === 'shared') return 'one for everybody whose client answers no questions of servers, else one for each principal';
  return sharing === 'principal' ? 'one for each principal' : 'one for each session, or for each principal without one';
}
