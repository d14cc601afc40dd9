import type { Given, VariableName } from './variables.ts';

/** Where the document (`document.ts`) has what a variable said. */
const PLACES: Readonly<Record<string, VariableName>> = {
  'listen.host': 'HOST',
  'listen.port': 'PORT',
  'auth.static[0].token': 'STREAMABLE_HTTP_AUTH_TOKEN',
  'limits.sessions': 'MAX_SESSIONS',
  'limits.sessionIdle': 'SESSION_TIMEOUT_SECONDS',
  'pool.limits.gitlabCredentials': 'GITLAB_SERVER_POOL_MAX_SIZE',
  'telemetry.log.level': 'LOG_LEVEL',
  'upstreams[0].tls.caFile': 'GITLAB_CA_CERT_PATH',
  'upstreams[0].gitlab.url': 'GITLAB_API_URL',
  'upstreams[0].gitlab.dynamicUrl.enabled': 'ENABLE_DYNAMIC_API_URL',
  'upstreams[0].gitlab.dynamicUrl.allowedHosts': 'GITLAB_ALLOWED_HOSTS',
  'upstreams[0].gitlab.dynamicUrl.allowPrivateHosts': 'GITLAB_ALLOW_PRIVATE_HOSTS',
  'upstreams[0].gitlab.pool.maxSize': 'GITLAB_POOL_MAX_SIZE',
  'upstreams[0].gitlab.pool.idleTimeout': 'GITLAB_POOL_IDLE_TIMEOUT',
  'upstreams[0].gitlab.pool.cleanupInterval': 'GITLAB_POOL_CLEANUP_INTERVAL',
  'upstreams[0].gitlab.readOnly': 'GITLAB_READ_ONLY_MODE',
  'upstreams[0].gitlab.masking': 'GITLAB_MASKING_ENABLED',
  'upstreams[0].gitlab.toolsets': 'GITLAB_TOOLSETS',
  'upstreams[0].gitlab.tools': 'GITLAB_TOOLS',
  'upstreams[0].gitlab.deniedTools': 'GITLAB_DENIED_TOOLS_REGEX',
  'upstreams[0].gitlab.project': 'GITLAB_PROJECT_ID',
  'upstreams[0].gitlab.allowedProjects': 'GITLAB_ALLOWED_PROJECT_IDS',
  'upstreams[0].gitlab.confirm': 'GITLAB_CONFIRM',
  'upstreams[0].gitlab.allowReveal': 'GITLAB_ALLOW_REVEAL',
  'upstreams[0].gitlab.maxResultBytes': 'GITLAB_MAX_RESULT_BYTES',
};

/**
 * What is wrong with the document, in the words of whoever gave the variables and never saw one (gitlab.md 2.1: wrong values name the
 * variable).
 * @param file what the document is called
 */
export function retold(text: string, given: Given, file: string): string {
  return text
    .split('\n')
    .map((line) => lineRetold(line, given, file))
    .join('\n');
}

function lineRetold(line: string, given: Given, file: string): string {
  const own = line.startsWith(file)
    ? line
        .slice(file.length)
        .replace(/^:\d+:\d+/, '')
        .trimStart()
    : line;
  const place = /^([\w.[\]]+): /.exec(own)?.[1] ?? '';
  const base = Object.keys(PLACES).find((known) => place === known || place.startsWith(`${known}[`));
  if (own !== line && base !== undefined) {
    const rest = own.slice(place.length).replace(/\blisten\.publicUrl\b/, 'TURNPIKE_LISTEN_PUBLIC_URL');
    return `${nameAt(base, given)}${rest}`;
  }
  // Advice about the listener, and problems that are found when an upstream is made.
  return own
    .replace(/\blisten\.(host|port) or --listen-(?:host|port)/g, (_, key: string) => `${key.toUpperCase()} or --${key}`)
    .replace(/^upstream 'gitlab': /, '')
    .replace(/\bgitlab\.\w+ \((GITLAB_[A-Z_]+)\)/g, (_, name: VariableName) => given.nameOf(name))
    .replace(/^(GITLAB_[A-Z_]+): /, (_, name: VariableName) => `${given.nameOf(name)}: `);
}

function nameAt(place: string, given: Given): string {
  const name = PLACES[place];
  return name === undefined ? place : given.nameOf(name);
}
