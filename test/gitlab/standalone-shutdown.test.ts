import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Rig } from '../e2e/cli-rig.ts';
import { GitLabDouble } from '../fixtures/gitlab/double.ts';
import { BOTH, refusal, StandaloneRig, text } from './standalone.ts';

/** SIGTERM in the middle of calls of `turnpike gitlab` (acceptance 31). */

const ping = { jsonrpc: '2.0', id: 7, method: 'ping' };
const whoami = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'whoami', arguments: {} } };
const initialize = {
  jsonrpc: '2.0',
  id: 0,
  method: 'initialize',
  params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'c', version: '1' } },
};

/** The next requests of `whoami` are answered when the returned function is called. */
function hold(gitlab: GitLabDouble): () => void {
  const { promise, resolve } = Promise.withResolvers<void>();
  gitlab.faults.add({ path: '/user', times: Number.POSITIVE_INFINITY, fault: { kind: 'hold', until: promise } });
  return resolve;
}

describe('over HTTP', () => {
  let rig: StandaloneRig;
  beforeAll(async () => {
    rig = await StandaloneRig.make();
  });
  afterAll(() => rig[Symbol.asyncDispose]());

  it('lets running calls finish, with and without a session, tells newcomers to come again, and ends with 0', async () => {
    const server = await rig.start();
    const own = { 'private-token': rig.com.person('alice').token.value };
    const session = { ...own, accept: BOTH, 'mcp-session-id': String((await server.initialize(own)).headers['mcp-session-id']) };
    const release = hold(rig.com);
    const before = rig.com.log.of({ path: '/user' }).length;
    const running = [server.post(whoami, own), server.post({ ...whoami, id: 2 }, session)];
    await rig.com.log.waitFor({ path: '/user' }, before + 2, AbortSignal.timeout(5_000));
    server.process.child.kill('SIGTERM');
    await server.process.until(/Stopping: /);
    for (const headers of [own, session]) {
      const refused = await server.post(ping, headers);
      expect(refusal(refused)).toEqual([503, 'Server is shutting down', undefined]);
      expect(refused.headers['retry-after']).toBe('5');
    }
    release();
    const replies = await Promise.all(running);
    expect(replies.map((reply) => [reply.status, text(reply).includes('alice')])).toEqual([
      [200, true],
      [200, true],
    ]);
    expect(await server.process.ended).toBe(0);
    expect(rig.com.front.open).toBe(0);
  });
});

it('after a restart sessions, verdicts and cursors of before are nobody’s, and tokens are proven anew', async () => {
  await using rig = await StandaloneRig.make();
  const { user, token } = rig.com.person('alice');
  for (const path of ['one', 'two']) rig.com.world.addProject(user, path, { files: { 'README.md': '#' } });
  const own = { 'private-token': token.value };
  const list = (more: object) => ({ ...whoami, params: { name: 'list_projects', arguments: { per_page: 1, ...more } } });
  const first = await rig.start();
  const opened = await first.post(list({}), own);
  const session = { ...own, 'mcp-session-id': String(opened.headers['mcp-session-id']) };
  const [, cursor] = /"?next_cursor"?\W+(gl1[^"\s,]+)/.exec(text(opened)) ?? [];
  expect(cursor).toBeDefined();
  first.process.child.kill('SIGTERM');
  expect(await first.process.ended).toBe(0);

  const second = await rig.start();
  rig.com.log.clear();
  expect(refusal(await second.post(ping, session))).toEqual([404, 'Session not found', undefined]);
  expect(rig.com.log.entries).toEqual([]);
  expect(text(await second.post(whoami, own))).toContain('alice');
  // Who it is, and what was called.
  expect(rig.com.log.of({ path: '/user' })).toHaveLength(2);
  expect(text(await second.post(list({ cursor }), own))).toContain('cursor is not a next_cursor of');
  expect(text(await second.post(list({}), own))).toMatch(/alice\/(one|two)/);
  expect(await second.metrics()).toMatchObject({ totalSessions: 1, activeSessions: 1, authFailures: 0, requestsProcessed: 3 });
});

it('over stdio: the running call finishes, what comes after is refused, and it ends with 0', async () => {
  await using gitlab = await GitLabDouble.start();
  await using rig = await Rig.make();
  const server = rig.start(['gitlab'], {
    open: true,
    env: {
      GITLAB_PERSONAL_ACCESS_TOKEN: gitlab.person('alice').token.value,
      GITLAB_API_URL: gitlab.url,
      GITLAB_CA_CERT_PATH: gitlab.caFile ?? '',
    },
  });
  const tell = (message: object) => void server.child.stdin?.write(`${JSON.stringify(message)}\n`);
  tell(initialize);
  await server.until(/"id":0/);
  tell({ jsonrpc: '2.0', method: 'notifications/initialized' });
  const release = hold(gitlab);
  tell(whoami);
  await gitlab.log.waitFor({ path: '/user' }, 1, AbortSignal.timeout(5_000));
  server.child.kill('SIGTERM');
  await server.until(/Stopping: /);
  tell(ping);
  await server.until(/"id":7/);
  release();
  expect(await server.ended).toBe(0);
  const messages = server
    .out()
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as { readonly id?: number });
  const answer = (id: number) => JSON.stringify(messages.find((message) => message.id === id));
  expect(answer(7)).toContain('is shutting down');
  expect(answer(1)).toContain('alice');
});
