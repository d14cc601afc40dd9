import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { gitlab } from '../../src/cli/gitlab/gitlab.ts';
import { sampleSurroundings } from '../../src/cli/sample-surroundings.ts';
import { TestProxy } from '../../src/net/server-fixture.ts';
import { Rig, type Started } from '../e2e/cli-rig.ts';
import { refusal, StandaloneRig, text } from './standalone.ts';

/** How `turnpike gitlab` starts, with which credential, and how it reaches GitLab (gitlab.md 2.1, 2.7). */

let rig: StandaloneRig;
let cli: Rig;
let robot: string;

beforeAll(async () => {
  rig = await StandaloneRig.make();
  cli = await Rig.make();
  robot = rig.com.person('robot').token.value;
});
afterAll(async () => {
  await rig[Symbol.asyncDispose]();
  await cli[Symbol.asyncDispose]();
});

const whoami = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'whoami', arguments: {} } };
const initialize = {
  jsonrpc: '2.0',
  id: 0,
  method: 'initialize',
  params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'c', version: '1' } },
};

async function refused(env: Readonly<Record<string, string>>, ...args: string[]): Promise<string> {
  const started = cli.start(['gitlab', ...args], { env });
  expect([env, await started.ended, started.out()]).toEqual([env, 1, '']);
  return started.err();
}

/** Over stdio: says something, and reads lines of the output until one is the answer. */
async function ask({ child, out }: Started, message: { readonly id: number }): Promise<string> {
  child.stdin?.write(`${JSON.stringify(message)}\n`);
  const deadline = performance.now() + 20_000;
  for (;;) {
    const found = out()
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as { readonly id?: number })
      .find(({ id }) => id === message.id);
    if (found !== undefined) return JSON.stringify(found);
    if (performance.now() > deadline) throw new Error(`no answer: ${out()}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

describe('what cannot be started with ends with 1 and names the variable, or the flag', () => {
  it('a credential or a guard that is missing', async () => {
    expect(await refused({})).toContain('GITLAB_PERSONAL_ACCESS_TOKEN is missing');
    expect(await refused({ GITLAB_PERSONAL_ACCESS_TOKEN: robot, HOST: '0.0.0.0' }, '--transport', 'streamable-http')).toMatch(
      /HOST=0\.0\.0\.0 .* STREAMABLE_HTTP_AUTH_TOKEN, or REMOTE_AUTHORIZATION=true, or HOST=127\.0\.0\.1/,
    );
    expect(await refused({ ENABLE_DYNAMIC_API_URL: 'true', REMOTE_AUTHORIZATION: 'true', GITLAB_PERSONAL_ACCESS_TOKEN: robot })).toContain(
      'ENABLE_DYNAMIC_API_URL=true requires REMOTE_AUTHORIZATION=true and STREAMABLE_HTTP=true',
    );
  });

  it('a certificate that is none', async () => {
    const none = join(cli.folder, 'none.pem');
    expect(await refused({ GITLAB_PERSONAL_ACCESS_TOKEN: robot, GITLAB_CA_CERT_PATH: none })).toContain(`Failed to read CA certificate: ${none}`);
    const file = join(cli.folder, 'text.pem');
    writeFileSync(file, 'no certificate');
    expect(await refused({ GITLAB_PERSONAL_ACCESS_TOKEN: robot, GITLAB_CA_CERT_PATH: file })).toContain(`Failed to read CA certificate: ${file}`);
  });

  it('a value that is wrong, and nobody sees a configuration that was never written', async () => {
    const env = { GITLAB_PERSONAL_ACCESS_TOKEN: robot };
    expect(await refused({ ...env, GITLAB_TOOLSETS: 'nope' })).toMatch(/^turnpike: Unknown toolset "nope" in GITLAB_TOOLSETS\./m);
    expect(await refused(env, '--gitlab-denied-tools-regex', '(a+)+')).toMatch(/^turnpike: --gitlab-denied-tools-regex nests quantifiers/m);
    const proxy = 'ftp://user:hunter2@proxy.test';
    const said = await refused({ ...env, HTTPS_PROXY: proxy });
    expect(said).toMatch(/^turnpike: HTTPS_PROXY: not the URL of an http, https or socks5 proxy/m);
    expect(said).not.toMatch(/hunter2|upstreams\[|dynamicUrl/);
    const guarded = { REMOTE_AUTHORIZATION: 'true', STREAMABLE_HTTP: 'true', ENABLE_DYNAMIC_API_URL: 'true', GITLAB_ALLOWED_HOSTS: '*' };
    expect(await refused({ ...guarded, HTTPS_PROXY: 'http://proxy.test:1' })).toMatch(/^turnpike: GITLAB_ALLOWED_HOSTS: \* cannot stand together/m);
  });
});

it('over stdio it acts with the configured token, without a HOME, and standard output is the protocol’s alone', async () => {
  const env = { HOME: '', GITLAB_PERSONAL_ACCESS_TOKEN: robot, GITLAB_API_URL: rig.com.url, GITLAB_CA_CERT_PATH: rig.com.caFile ?? '' };
  const started = cli.start(['gitlab'], { env, open: true });
  await ask(started, initialize);
  expect(await ask(started, whoami)).toContain('robot');
  started.child.stdin?.end();
  expect(await started.ended).toBe(0);
  expect(started.err()).toContain('"upstream":"gitlab"');
  expect(started.out() + started.err()).not.toContain(robot.slice(-8));
});

it('the token of a job is sent as such', async () => {
  const { user } = rig.com.person('ci');
  const { value } = rig.com.world.addToken(user, { kind: 'job', name: 'ci-job' });
  rig.com.log.clear();
  const server = await rig.start({ REMOTE_AUTHORIZATION: '', ENABLE_DYNAMIC_API_URL: '', GITLAB_API_URL: rig.com.url, GITLAB_JOB_TOKEN: value });
  const { headers } = await server.initialize();
  await server.post(whoami, { 'mcp-session-id': String(headers['mcp-session-id']) });
  const seen = rig.com.log.of({ token: 'ci-job' });
  expect(seen.length).toBeGreaterThan(0);
  expect(new Set(seen.map(({ header }) => header))).toEqual(new Set(['job-token']));
});

describe('over HTTP with the configured token', () => {
  it('callers show the Bearer that they were given', async () => {
    const server = await rig.start({
      ...{ REMOTE_AUTHORIZATION: '', ENABLE_DYNAMIC_API_URL: '', GITLAB_API_URL: rig.com.url },
      ...{ GITLAB_PERSONAL_ACCESS_TOKEN: robot, STREAMABLE_HTTP_AUTH_TOKEN: 'shown-by-callers' },
    });
    for (const headers of [{}, { authorization: 'Bearer something-else' }, { 'private-token': robot }])
      expect([headers, (await server.initialize(headers)).status]).toEqual([headers, 401]);
    const own = { authorization: 'Bearer shown-by-callers' };
    const opened = await server.initialize(own);
    expect(text(await server.post(whoami, { ...own, 'mcp-session-id': String(opened.headers['mcp-session-id']) }))).toContain('robot');
  });

  it('but never beside REMOTE_AUTHORIZATION: neither for a caller who brings none, nor in place of one that is brought', async () => {
    const server = await rig.start({ GITLAB_PERSONAL_ACCESS_TOKEN: robot, GITLAB_JOB_TOKEN: robot, STREAMABLE_HTTP_AUTH_TOKEN: 'shown-by-callers' });
    rig.com.log.clear();
    expect(refusal(await server.post(whoami))).toEqual([401, 'Missing Authorization or Private-Token header', undefined]);
    expect((await server.post(whoami, { authorization: 'Bearer shown-by-callers' })).status).toBe(401);
    expect((await server.post(whoami, { 'private-token': 'glpat-aaaaaaaaaaaaaaaaaaaa' })).status).toBe(401);
    const alice = { 'private-token': rig.com.person('alice').token.value };
    expect(text(await server.post(whoami, alice))).toContain('alice');
    expect(rig.com.log.of({ token: 'robot' })).toEqual([]);
  });
});

describe('certificates of GitLab', () => {
  it('are checked, unless NODE_TLS_REJECT_UNAUTHORIZED is 0, which is warned about', async () => {
    const alice = { 'private-token': rig.com.person('alice').token.value };
    const strict = await rig.start({ GITLAB_CA_CERT_PATH: '' });
    expect(refusal(await strict.post(whoami, alice))).toEqual([503, 'GitLab is unreachable', 'The credential could not be checked.']);
    const loose = await rig.start({ GITLAB_CA_CERT_PATH: '', NODE_TLS_REJECT_UNAUTHORIZED: '0' });
    expect(text(await loose.post(whoami, alice))).toContain('alice');
    expect(loose.process.err()).toContain('Warning: NODE_TLS_REJECT_UNAUTHORIZED=0: certificates of GitLab are not checked');
    // What Node says when it finds the variable itself.
    expect(loose.process.err()).not.toContain('makes TLS connections');
  });

  it('are nobody else’s: the variable is taken out of the environment', async () => {
    const taken: string[] = [];
    const around = { ...sampleSurroundings({ env: { NODE_TLS_REJECT_UNAUTHORIZED: '0' } }), unset: (name: string) => void taken.push(name) };
    expect([await gitlab({}, around), taken]).toEqual([1, ['NODE_TLS_REJECT_UNAUTHORIZED']]);
  });
});

it('a proxy is used for its scheme, but not for those that NO_PROXY names', async () => {
  await using proxy = await TestProxy.http();
  const alice = { 'private-token': rig.com.person('alice').token.value };
  const carol = { 'private-token': rig.corp.person('carol').token.value, 'x-gitlab-api-url': rig.corp.url };
  const corp = new URL(rig.corp.url).host;
  const proxies = { HTTPS_PROXY: `http://127.0.0.1:${proxy.port}`, HTTP_PROXY: 'http://127.0.0.1:1', no_proxy: corp };
  const server = await rig.start(proxies);
  expect(text(await server.post(whoami, alice))).toContain('alice');
  expect(text(await server.post(whoami, carol))).toContain('carol');
  expect(new Set(proxy.asked)).toEqual(new Set([`CONNECT ${new URL(rig.com.url).host}`]));
});
