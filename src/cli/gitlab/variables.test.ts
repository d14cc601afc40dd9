import { describe, expect, it } from 'vitest';
import { proxySettings } from '../../net/proxy-choice.ts';
import { judgedConfig } from '../configuration.ts';
import { sampleSurroundings } from '../sample-surroundings.ts';
import { type Standalone, standalone } from './document.ts';
import { GITLAB_HELP } from './help.ts';
import { retold } from './retold.ts';
import { flagOf, Given, VARIABLES, type Variable } from './variables.ts';

/** From variables to the configuration that is in force (gitlab.md 2.1, 2.7). */

const TOKEN = `glpat-${'a'.repeat(20)}`;
const FILE = 'the variables of turnpike gitlab';
type Env = Readonly<Record<string, string>>;

function given(env: Env, flags: Env = {}): Given {
  const read = Given.read(env, flags);
  if (!read.ok) throw new Error(read.error.join('\n'));
  return read.value;
}

/** What it comes to, or why it does not start. */
function made(env: Env, { insecure = false, flags = {} }: { readonly insecure?: boolean; readonly flags?: Env } = {}): Standalone | string {
  const read = Given.read(env, flags);
  if (!read.ok) return read.error.join('\n');
  const result = standalone(read.value, { insecure });
  return result.ok ? result.value : result.error;
}

async function configOf(env: Env, how?: { readonly insecure?: boolean }) {
  const known = made(env, how);
  if (typeof known === 'string') throw new Error(known);
  const { stdio, document } = known;
  const options = { file: FILE, document: Buffer.from(JSON.stringify(document)), stdio, flags: {}, readFile: async () => Buffer.from('PEM') };
  const { loaded } = await judgedConfig(options, sampleSurroundings({ env }));
  return loaded.config;
}

const HTTP: Env = { STREAMABLE_HTTP: 'true', REMOTE_AUTHORIZATION: 'true' };
const DYNAMIC: Env = { ...HTTP, ENABLE_DYNAMIC_API_URL: 'true' };
const at = (value: unknown, path: string): unknown =>
  path.split('.').reduce<unknown>((inner, key) => (inner as Record<string, unknown> | undefined)?.[key], value);

describe('a variable', () => {
  it.each<[string, string, string, unknown, Env?]>([
    ['HOST', '127.0.0.2', 'listen.host', '127.0.0.2'],
    ['PORT', '4000', 'listen.port', 4000],
    ['MAX_SESSIONS', '7', 'limits.sessions', 7],
    ['SESSION_TIMEOUT_SECONDS', '90', 'limits.sessionIdle', 90_000],
    ['GITLAB_SERVER_POOL_MAX_SIZE', '5', 'pool.limits.gitlabCredentials', 5],
    ['LOG_LEVEL', 'DEBUG', 'telemetry.log.level', 'debug'],
    ['REMOTE_AUTHORIZATION', 'yes', 'auth.modes', ['gitlab']],
    ['GITLAB_API_URL', 'https://git.corp:8443', 'upstreams.0.gitlab.url', 'https://git.corp:8443'],
    ['GITLAB_CA_CERT_PATH', '/etc/hosts', 'upstreams.0.tls.caFile', '/etc/hosts'],
    ['ENABLE_DYNAMIC_API_URL', '1', 'upstreams.0.gitlab.dynamicUrl.enabled', true],
    ['GITLAB_ALLOWED_HOSTS', 'a.test, b.test ,a.test', 'upstreams.0.gitlab.dynamicUrl.allowedHosts', ['a.test', 'b.test'], DYNAMIC],
    ['GITLAB_ALLOW_PRIVATE_HOSTS', 'a.test', 'upstreams.0.gitlab.dynamicUrl.allowPrivateHosts', ['a.test'], DYNAMIC],
    ['GITLAB_POOL_MAX_SIZE', '9', 'upstreams.0.gitlab.pool.maxSize', 9],
    ['GITLAB_POOL_IDLE_TIMEOUT', '60000', 'upstreams.0.gitlab.pool.idleTimeout', 60_000],
    ['GITLAB_POOL_CLEANUP_INTERVAL', '5000', 'upstreams.0.gitlab.pool.cleanupInterval', 5_000],
    ['GITLAB_READ_ONLY_MODE', 'YES', 'upstreams.0.gitlab.readOnly', true],
    ['GITLAB_MASKING_ENABLED', '0', 'upstreams.0.gitlab.masking', false],
    ['GITLAB_TOOLSETS', 'ci+,issues', 'upstreams.0.gitlab.toolsets', ['ci+', 'issues']],
    ['GITLAB_TOOLS', 'whoami', 'upstreams.0.gitlab.tools', ['whoami']],
    ['GITLAB_DENIED_TOOLS_REGEX', '^delete_', 'upstreams.0.gitlab.deniedTools', '^delete_'],
    ['GITLAB_PROJECT_ID', '77', 'upstreams.0.gitlab.project', '77'],
    ['GITLAB_ALLOWED_PROJECT_IDS', '77,group/app,77', 'upstreams.0.gitlab.allowedProjects', ['77', 'group/app']],
    ['GITLAB_CONFIRM', 'Deny', 'upstreams.0.gitlab.confirm', 'deny'],
    ['GITLAB_ALLOW_REVEAL', 'true', 'upstreams.0.gitlab.allowReveal', true],
    ['GITLAB_MAX_RESULT_BYTES', '5000', 'upstreams.0.gitlab.maxResultBytes', 5_000],
  ])('%s=%s sets %s', async (name, value, path, expected, more = {}) => {
    expect(at(await configOf({ ...DYNAMIC, ...more, [name]: value }), path)).toEqual(expected);
    // The flag says the same, and wins.
    const flagged = made({ ...DYNAMIC, ...more, [name]: 'nonsense' }, { flags: { [name]: value } });
    expect(flagged).toEqual(made({ ...DYNAMIC, ...more, [name]: value }));
  });

  it('that is not given has the default of the page', async () => {
    const config = await configOf(HTTP);
    expect(config).toMatchObject({
      listen: { host: '127.0.0.1', port: 3002 },
      limits: { sessions: 1_000, sessionIdle: 3_600_000 },
      policy: { annotations: 'ignore' },
      telemetry: { log: { level: 'info' } },
    });
    expect(config.upstreams).toMatchObject([
      {
        naming: 'passthrough',
        auth: { mode: 'passthrough' },
        gitlab: {
          dynamicUrl: { enabled: false, allowedHosts: [], allowPrivateHosts: [] },
          pool: { maxSize: 100, idleTimeout: 300_000, cleanupInterval: 60_000 },
          ...{ readOnly: false, masking: true, toolsets: ['default'], tools: [], allowedProjects: [] },
          ...{ confirm: 'ask', allowReveal: false, maxResultBytes: 100_000 },
        },
      },
    ]);
    // What nobody wrote is not the operator's word: gitlab.com is guarded like any other then.
    expect(at(config, 'upstreams.0.gitlab.url')).toBeUndefined();
    expect(made(HTTP)).toMatchObject({ stdio: false, front: { maxRequestsPerMinute: 60, remote: true, dynamic: false }, warnings: [] });
  });

  it('is read as the page says, and none is forgotten by the start', () => {
    for (const { name, kind } of VARIABLES as readonly Variable[]) {
      const wrong = typeof kind === 'object' ? 'nonsense' : kind === 'boolean' ? 'maybe' : undefined;
      if (wrong === undefined) continue;
      expect(made({ ...DYNAMIC, [name]: wrong })).toMatch(new RegExp(`^${name} must be`));
      expect(made(DYNAMIC, { flags: { [name]: wrong } })).toMatch(new RegExp(`^${flagOf(name)} must be`));
      if (typeof kind === 'object' && 'from' in kind)
        for (const value of [kind.from - 1, kind.to + 1])
          expect(made({ ...DYNAMIC, [name]: String(value) })).toMatch(`from ${kind.from} to ${kind.to}`);
      // Empty is not given at all.
      expect(made({ ...HTTP, [name]: '', STREAMABLE_HTTP: 'true', REMOTE_AUTHORIZATION: 'true' })).toEqual(made(HTTP));
    }
    for (const value of ['true', '1', 'yes', 'TRUE']) expect(given({ STREAMABLE_HTTP: value }).flag('STREAMABLE_HTTP')).toBe(true);
    for (const value of ['false', '0', 'no', 'No']) expect(given({ GITLAB_MASKING_ENABLED: value }).flag('GITLAB_MASKING_ENABLED', true)).toBe(false);
  });
});

describe('a start', () => {
  it.each<[Env, string]>([
    [{}, 'GITLAB_PERSONAL_ACCESS_TOKEN is missing: stdio needs the token to work with'],
    [
      { REMOTE_AUTHORIZATION: 'false', STREAMABLE_HTTP: 'true' },
      'GITLAB_PERSONAL_ACCESS_TOKEN is missing: set it, or REMOTE_AUTHORIZATION=true so that',
    ],
    [{ ENABLE_DYNAMIC_API_URL: 'true' }, 'ENABLE_DYNAMIC_API_URL=true requires REMOTE_AUTHORIZATION=true and STREAMABLE_HTTP=true'],
    [{ ...DYNAMIC, STREAMABLE_HTTP: 'false' }, 'ENABLE_DYNAMIC_API_URL=true requires REMOTE_AUTHORIZATION=true and STREAMABLE_HTTP=true'],
    [{ ...DYNAMIC, REMOTE_AUTHORIZATION: 'false' }, 'ENABLE_DYNAMIC_API_URL=true requires REMOTE_AUTHORIZATION=true and STREAMABLE_HTTP=true'],
    [
      { STREAMABLE_HTTP: 'true', HOST: '0.0.0.0', GITLAB_JOB_TOKEN: TOKEN },
      'HOST=0.0.0.0 would let everybody act with the configured token: set STREAMABLE_HTTP_AUTH_TOKEN, or REMOTE_AUTHORIZATION=true, or HOST=127.0.0.1',
    ],
    [{ ...HTTP, GITLAB_API_URL: 'https://a.test,ftp://b.test' }, 'GITLAB_API_URL: a value is no URL of a GitLab instance: not an http or https URL'],
    [{ ...HTTP, GITLAB_API_URL: 'https://u:p@a.test' }, 'GITLAB_API_URL: a value is no URL of a GitLab instance: user info'],
    [{ ...HTTP, GITLAB_PROJECT_ID: 'a/../b' }, 'GITLAB_PROJECT_ID: a value is neither the id nor the path of a project'],
    [{ ...HTTP, GITLAB_ALLOWED_PROJECT_IDS: '77,a//b' }, 'GITLAB_ALLOWED_PROJECT_IDS: a value is neither the id nor the path of a project'],
  ])('with %o is refused', (env, expected) => {
    expect(made(env)).toMatch(expected);
  });

  it('acts with the configured token where there is no other, and never beside REMOTE_AUTHORIZATION', async () => {
    const secrets = { GITLAB_PERSONAL_ACCESS_TOKEN: TOKEN, GITLAB_JOB_TOKEN: 'j'.repeat(20), STREAMABLE_HTTP_AUTH_TOKEN: 'callers-show-this' };
    const own = await configOf({ STREAMABLE_HTTP: 'true', ...secrets });
    expect(own.upstreams[0]).toMatchObject({ auth: { mode: 'header', header: { name: 'PRIVATE-TOKEN' } } });
    expect(own.auth).toMatchObject({ modes: ['static'], static: [{ name: 'http' }] });
    expect(own.auth.static[0]?.token?.matches('callers-show-this')).toBe(true);
    const job = await configOf({ STREAMABLE_HTTP: 'true', GITLAB_JOB_TOKEN: secrets.GITLAB_JOB_TOKEN });
    expect([job.upstreams[0]?.auth, job.auth.modes]).toMatchObject([{ mode: 'header', header: { name: 'JOB-TOKEN' } }, ['none']]);
    const remote = await configOf({ ...HTTP, ...secrets });
    expect([remote.upstreams[0]?.auth, remote.auth.modes]).toEqual([{ mode: 'passthrough' }, ['gitlab']]);
    expect(made({ GITLAB_PERSONAL_ACCESS_TOKEN: TOKEN })).toMatchObject({ stdio: true });
    // The document holds references only.
    expect(JSON.stringify(made({ STREAMABLE_HTTP: 'true', ...secrets }))).not.toMatch(/glpat-|jjjj|callers-show/);
  });

  it('warns of what opens a door', async () => {
    expect(made({ ...DYNAMIC, GITLAB_ALLOWED_HOSTS: '*' })).toMatchObject({ warnings: ['GITLAB_ALLOWED_HOSTS=*: callers may name any public host'] });
    expect(made(HTTP, { insecure: true })).toMatchObject({ warnings: ['NODE_TLS_REJECT_UNAUTHORIZED=0: certificates of GitLab are not checked'] });
    expect((await configOf(HTTP, { insecure: true })).upstreams[0]).toMatchObject({ tls: { insecureSkipVerify: true } });
  });

  it('takes further URLs of GITLAB_API_URL for allowed ones, wherever they are', async () => {
    const config = await configOf({ ...DYNAMIC, GITLAB_API_URL: 'https://gitlab.com, http://10.1.2.3:8080/git/api/v4/' });
    expect(at(config, 'upstreams.0.gitlab')).toMatchObject({
      url: 'https://gitlab.com',
      dynamicUrl: { allowedHosts: ['http://10.1.2.3:8080/git'], allowPrivateHosts: ['10.1.2.3'] },
    });
    expect(proxySettings({ https_proxy: 'http://low:1', HTTPS_PROXY: 'http://up:1' }).httpsProxy).toBe('http://low:1');
  });
});

it('the help explains what to do about refusals, and names what is no flag', () => {
  for (const text of [
    /Missing Authorization or Private-Token header\n +Send either header; a token has at least 20 characters/,
    /Invalid custom API URL provided\n +X-GitLab-API-URL must be a URL such as https:.* that can be reached from here/,
    /Server capacity reached\n +Wait until idle instances are cleaned up, or raise GITLAB_POOL_MAX_SIZE/,
    /Rate limit exceeded\n +Wait a minute, or raise MAX_REQUESTS_PER_MINUTE/,
    /10 to 20 for up to 10 instances, 50 to 100 for up to 50, then 100 to 200/,
    /600000 if instances are used often, 60000 if rarely/,
    /HTTP_PROXY, HTTPS_PROXY, NO_PROXY/,
  ])
    expect(GITLAB_HELP).toMatch(text);
  for (const { name, kind } of VARIABLES as readonly Variable[]) if (kind === 'secret') expect(GITLAB_HELP).toContain(name);
});

describe('what is wrong with the document', () => {
  it.each<[string, string]>([
    [`${FILE}:1:2 upstreams[0].gitlab.url: is empty (expected a URL)`, 'GITLAB_API_URL: is empty (expected a URL)'],
    [`${FILE}:1:2 upstreams[0].gitlab.dynamicUrl.allowedHosts[1]: is empty`, '--gitlab-allowed-hosts: is empty'],
    [`${FILE} listen.host: is every address; set listen.publicUrl`, 'HOST: is every address; set TURNPIKE_LISTEN_PUBLIC_URL'],
    [`${FILE}:1:2 auth.static[0].token: cannot be sent`, 'STREAMABLE_HTTP_AUTH_TOKEN: cannot be sent'],
    [`TURNPIKE_LISTEN_PORT listen.port: is too large`, 'TURNPIKE_LISTEN_PORT listen.port: is too large'],
    [
      '127.0.0.1:1 is in use. Choose another port with listen.port or --listen-port.',
      '127.0.0.1:1 is in use. Choose another port with PORT or --port.',
    ],
    ["upstream 'gitlab': GITLAB_ALLOWED_HOSTS: 'a@b' is not", "--gitlab-allowed-hosts: 'a@b' is not"],
    ['Unknown tool "x" in gitlab.tools (GITLAB_TOOLS)', 'Unknown tool "x" in GITLAB_TOOLS'],
    ["upstream 'gitlab': HTTPS_PROXY: not the URL", 'HTTPS_PROXY: not the URL'],
  ])('%s is told as %s', (problem, expected) => {
    expect(retold(`${problem}\n${problem}`, given(DYNAMIC, { GITLAB_ALLOWED_HOSTS: 'x' }), FILE)).toBe(`${expected}\n${expected}`);
  });
});
