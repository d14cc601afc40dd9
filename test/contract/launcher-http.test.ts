import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { type ConfigDocument, configFrom, getOrLaunch, getOrLaunchForSession, Launcher } from '../../src/launcher/index.ts';
import { until } from '../fixtures/processes.ts';
import { type Fixture, HttpFixture } from '../security/kit/fixtures.ts';
import { count } from './launcher-rig.ts';

/** The launcher in front of servers over HTTP, of both eras. */
const open: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
});

async function start(era: Fixture, more: object = {}): Promise<{ launcher: Launcher; server: HttpFixture }> {
  const folder = await mkdtemp(join(tmpdir(), 'turnpike-launcher-'));
  open.push(() => rm(folder, { recursive: true }));
  const server = await HttpFixture.start(era);
  open.push(async () => server[Symbol.asyncDispose]());
  const upstreams: ConfigDocument['upstreams'] = [{ name: 'up', type: 'streamable-http', url: server.url, ...more }];
  const launcher = new Launcher({ config: await configFrom({ upstreams }, { cwd: folder }) });
  open.push(() => launcher.close());
  return { launcher, server };
}

it('a session server: a session for each of ours, ended with it', async () => {
  const { launcher, server } = await start('legacy');
  const [one, two] = [await getOrLaunchForSession(launcher, 'up', 'one'), await getOrLaunchForSession(launcher, 'up', 'two')];
  expect([await count(one), await count(one), await count(two)]).toEqual([1, 2, 1]);
  expect(one.era).toBe('legacy');
  const ids = async () => new Set((await server.logged('tools/call')).map(({ headers }) => headers?.['mcp-session-id']));
  expect((await ids()).size).toBe(2);
  await launcher.endSession('one');
  expect([launcher.getMetadata(one.key), await count(two)]).toEqual([undefined, 2]);
  expect(await count(one)).toBe(1);
  expect((await ids()).size).toBe(3);
});

it('a modern server: one connection for all, named calls, and arguments that it wants as headers', async () => {
  const { launcher, server } = await start('modern');
  const [one, two] = [await getOrLaunchForSession(launcher, 'up', 'one'), await getOrLaunch(launcher, 'up')];
  expect([one.era, (await one.listTools()).length > 10]).toEqual(['modern', true]);
  await count(one);
  await count(two);
  const [call] = await server.logged('tools/call');
  expect(call?.headers).toMatchObject({ 'mcp-method': 'tools/call', 'mcp-name': 'counter' });
  const wanting = (await one.listTools()).find((tool) => JSON.stringify(tool).includes('"x-mcp-header":"Region"'));
  const args = { region: 'eu', priority: 3, verbose: true };
  expect(await one.callTool(String(wanting?.name), args)).not.toHaveProperty('isError', true);
  const last = (await server.logged('tools/call')).at(-1);
  expect(last?.headers).toMatchObject({ 'mcp-param-region': 'eu', 'mcp-param-priority': '3', 'mcp-param-verbose': 'true' });
});

it('hears of changes between calls where a session server says so', async () => {
  const { launcher } = await start('legacy');
  const one = await getOrLaunchForSession(launcher, 'up', 'one');
  const heard: string[] = [];
  using _ = one.onNotification(({ method }) => void heard.push(method));
  // The stream that brings it opens beside the handshake: the first change may come before it.
  for (let tries = 0; tries < 20 && !heard.includes('notifications/tools/list_changed'); tries++) {
    await one.callTool('test_trigger_tool_change');
    await until(
      () => heard,
      (seen) => seen.includes('notifications/tools/list_changed'),
      500,
    ).catch(() => {});
  }
  expect(heard).toContain('notifications/tools/list_changed');
});

it('a server that is not there, and one that does not answer in time', async () => {
  const { launcher, server } = await start('legacy', { timeouts: { call: '1s' } });
  const one = await getOrLaunchForSession(launcher, 'up', 'one');
  await expect(one.callTool('sleep', { ms: 20_000 })).rejects.toThrow("tool 'sleep' timed out after 1s");
  await server[Symbol.asyncDispose]();
  await expect(getOrLaunchForSession(launcher, 'up', 'two')).rejects.toMatchObject({
    code: 'upstream/down',
    message: "failed to create connection: upstream 'up' cannot be reached",
  });
});
