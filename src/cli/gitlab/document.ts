import { projectOrGroup } from '../../builtin/gitlab/client/api-path.ts';
import { parseApiUrl } from '../../builtin/gitlab/client/api-url.ts';
import { isLoopbackHost } from '../../config/addresses.ts';
import type { JsonObject } from '../../core/mcp.ts';
import { err, ok, type Result } from '../../core/result.ts';
import type { StandaloneSettings } from '../../front.ts';
import type { Given, VariableName } from './variables.ts';

/** What the variables come to. */
export interface Standalone {
  readonly stdio: boolean;
  /** How requests come in over HTTP. */
  readonly front: StandaloneSettings;
  /** A configuration as a file would hold it: secrets by reference. */
  readonly document: JsonObject;
  readonly warnings: readonly string[];
}

const TOKENS = { GITLAB_PERSONAL_ACCESS_TOKEN: 'PRIVATE-TOKEN', GITLAB_JOB_TOKEN: 'JOB-TOKEN' } as const;

/**
 * The gateway that stands for the standalone server (gitlab.md 2.7): one upstream, its names as they are.
 * @param insecure the certificates of instances are not to be checked (`NODE_TLS_REJECT_UNAUTHORIZED=0`)
 * @returns why it cannot start
 */
export function standalone(given: Given, { insecure }: { readonly insecure: boolean }): Result<Standalone, string> {
  for (const text of given.list('GITLAB_API_URL')) {
    const parsed = parseApiUrl(text);
    if (parsed.kind !== 'url') return err(`${given.nameOf('GITLAB_API_URL')}: a value is no URL of a GitLab instance: ${parsed.reason}`);
  }
  for (const name of ['GITLAB_PROJECT_ID', 'GITLAB_ALLOWED_PROJECT_IDS'] as const) {
    if (given.list(name).some((project) => !isProject(project)))
      return err(`${given.nameOf(name)}: a value is neither the id nor the path of a project`);
  }
  const stdio = !given.flag('STREAMABLE_HTTP');
  const remote = given.flag('REMOTE_AUTHORIZATION');
  const dynamic = given.flag('ENABLE_DYNAMIC_API_URL');
  const own = (Object.keys(TOKENS) as (keyof typeof TOKENS)[]).find((name) => given.has(name));
  const host = given.text('HOST') ?? '127.0.0.1';
  if (dynamic && !(remote && !stdio)) return err('ENABLE_DYNAMIC_API_URL=true requires REMOTE_AUTHORIZATION=true and STREAMABLE_HTTP=true');
  if (!remote && own === undefined)
    return err(
      stdio
        ? 'GITLAB_PERSONAL_ACCESS_TOKEN is missing: stdio needs the token to work with'
        : 'GITLAB_PERSONAL_ACCESS_TOKEN is missing: set it, or REMOTE_AUTHORIZATION=true so that each request brings its own token',
    );
  const guarded = given.has('STREAMABLE_HTTP_AUTH_TOKEN');
  if (!stdio && !remote && !guarded && !isLoopbackHost(host))
    return err(
      `HOST=${host} would let everybody act with the configured token: set STREAMABLE_HTTP_AUTH_TOKEN, or REMOTE_AUTHORIZATION=true, or HOST=127.0.0.1`,
    );
  const warnings = [
    ...(insecure ? ['NODE_TLS_REJECT_UNAUTHORIZED=0: certificates of GitLab are not checked'] : []),
    ...(given.list('GITLAB_ALLOWED_HOSTS').includes('*') ? ['GITLAB_ALLOWED_HOSTS=*: callers may name any public host'] : []),
  ];
  const front = { maxRequestsPerMinute: given.number('MAX_REQUESTS_PER_MINUTE', 60), remote, dynamic };
  return ok({ stdio, front, document: documentOf(given, { stdio, remote, dynamic, host, own, guarded, insecure }), warnings });
}

interface Choices {
  readonly stdio: boolean;
  readonly remote: boolean;
  readonly dynamic: boolean;
  readonly host: string;
  readonly own: keyof typeof TOKENS | undefined;
  readonly guarded: boolean;
  readonly insecure: boolean;
}

function documentOf(given: Given, { stdio, remote, dynamic, host, own, guarded, insecure }: Choices): JsonObject {
  const [url, ...further] = given.list('GITLAB_API_URL');
  const tls = { ...optional('caFile', given.text('GITLAB_CA_CERT_PATH')), ...(insecure ? { insecureSkipVerify: true } : {}) };
  const level = given.text('LOG_LEVEL');
  return {
    ...(stdio ? {} : { listen: { host, port: given.number('PORT', 3002) } }),
    auth: authOf({ stdio, remote, guarded }),
    // Nothing is written there; its default needs a HOME, which clients that start servers may leave out.
    store: { type: 'memory', dir: '.' },
    limits: {
      sessions: given.number('MAX_SESSIONS', 1_000),
      sessionIdle: `${given.number('SESSION_TIMEOUT_SECONDS', 3_600)}s`,
    },
    ...(given.has('GITLAB_SERVER_POOL_MAX_SIZE') ? { pool: { limits: { gitlabCredentials: given.number('GITLAB_SERVER_POOL_MAX_SIZE', 0) } } } : {}),
    policy: { annotations: 'ignore' },
    telemetry: { audit: { file: '-' }, ...(level === undefined ? {} : { log: { level: level.toLowerCase() } }) },
    upstreams: [
      {
        name: 'gitlab',
        type: 'gitlab',
        naming: 'passthrough',
        auth: remote || own === undefined ? { mode: 'passthrough' } : { mode: 'header', header: { name: TOKENS[own], value: reference(own) } },
        ...(Object.keys(tls).length === 0 ? {} : { tls }),
        gitlab: {
          ...optional('url', url),
          dynamicUrl: {
            enabled: dynamic,
            allowedHosts: [...further.map(entryOf), ...given.list('GITLAB_ALLOWED_HOSTS')],
            // Where its URL leads is the operator's word.
            allowPrivateHosts: [...further.flatMap(hostOf), ...given.list('GITLAB_ALLOW_PRIVATE_HOSTS')],
          },
          pool: {
            maxSize: given.number('GITLAB_POOL_MAX_SIZE', 100),
            idleTimeout: `${given.number('GITLAB_POOL_IDLE_TIMEOUT', 300_000)}ms`,
            cleanupInterval: `${given.number('GITLAB_POOL_CLEANUP_INTERVAL', 60_000)}ms`,
          },
          readOnly: given.flag('GITLAB_READ_ONLY_MODE'),
          masking: given.flag('GITLAB_MASKING_ENABLED', true),
          toolsets: given.has('GITLAB_TOOLSETS') ? given.list('GITLAB_TOOLSETS') : ['default'],
          tools: given.list('GITLAB_TOOLS'),
          ...optional('deniedTools', given.text('GITLAB_DENIED_TOOLS_REGEX')),
          ...optional('project', given.text('GITLAB_PROJECT_ID')),
          allowedProjects: given.list('GITLAB_ALLOWED_PROJECT_IDS'),
          confirm: given.text('GITLAB_CONFIRM')?.toLowerCase() ?? 'ask',
          allowReveal: given.flag('GITLAB_ALLOW_REVEAL'),
          maxResultBytes: given.number('GITLAB_MAX_RESULT_BYTES', 100_000),
        },
      },
    ],
  };
}

function isProject(text: string): boolean {
  try {
    projectOrGroup(text);
    return true;
  } catch {
    return false;
  }
}

function authOf({ stdio, remote, guarded }: Pick<Choices, 'stdio' | 'remote' | 'guarded'>): JsonObject {
  if (stdio) return {};
  if (remote) return { modes: ['gitlab'] };
  if (!guarded) return { modes: ['none'] };
  return { modes: ['static'], static: [{ name: 'http', token: reference('STREAMABLE_HTTP_AUTH_TOKEN') }] };
}

function reference(name: VariableName): string {
  return `\${env:${name}}`;
}

function optional(key: string, value: string | undefined): JsonObject {
  return value === undefined ? {} : { [key]: value };
}

function hostOf(url: string): string[] {
  const host = URL.parse(url)?.hostname ?? '';
  return host === '' ? [] : [host];
}

/** An instance that the operator names, as an entry of the list of allowed ones. */
function entryOf(url: string): string {
  return url.replace(/^https:\/\//, '').replace(/\/api\/v4\/*$/, '');
}
