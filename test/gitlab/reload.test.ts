import { copyFile, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/mcp.ts';
import { Rig } from '../e2e/cli-rig.ts';
import { answerIn, RawSession } from '../e2e/raw-client.ts';
import { Served } from '../e2e/reload-rig.ts';
import { Authority } from '../fixtures/authority.ts';
import { GitLabDouble } from '../fixtures/gitlab/double.ts';
import { until } from '../fixtures/processes.ts';
import { LegacyClient, ModernClient } from '../security/kit/clients.ts';
import { get, open } from '../security/kit/http.ts';
import { GitLabRig } from './rig.ts';

/** Upstreams of type `gitlab` that change, go and come while `turnpike serve` runs. */

let rig: Rig;
let authority: Authority;
let com: GitLabDouble;
let corp: GitLabDouble;

beforeAll(async () => {
  rig = await Rig.make();
  authority = new Authority('IP:127.0.0.1,IP:::1,DNS:localhost');
  com = await GitLabDouble.start({ authority });
  corp = await GitLabDouble.start({ authority, root: '/gitlab' });
});
afterEach(() => corp.faults.clear());
afterAll(async () => {
  await rig[Symbol.asyncDispose]();
  await Promise.all([com[Symbol.asyncDispose](), corp[Symbol.asyncDispose]()]);
  authority[Symbol.dispose]();
});

const upstream = (name: string, double: GitLabDouble, block: JsonObject = {}, more: JsonObject = {}) =>
  ({
    name,
    type: 'gitlab',
    family: { name: 'gitlab', instanceArg: 'instance' },
    tls: { caFile: double.caFile as string },
    gitlab: { url: double.url, ...block },
    ...more,
  }) satisfies JsonObject;
/** JSON is YAML. */
const document = (upstreams: readonly JsonObject[], auth: JsonObject = { modes: ['gitlab'] }) =>
  `auth: ${JSON.stringify(auth)}\nupstreams: ${JSON.stringify(upstreams)}\n`;
const whoami = (instance: string): [string, JsonObject] => ['x_gitlab_whoami', { instance }];
const nameIn = ({ result }: { readonly result: JsonObject }) =>
  ((result.structuredContent as JsonObject | undefined)?.item as JsonObject | undefined)?.username;
const metric = async (served: Served, line: string) =>
  Number((await get(`${new URL('/metrics', served.url)}`, { accept: 'text/plain' })).text.match(new RegExp(`^${line} (\\d+)`, 'm'))?.[1]);
const SERVER_MISSES = 'turnpike_pool_misses_total\\{pool="gitlab_servers"\\}';
/** A promise, and what fulfils it. */
function gate() {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { until: promise, open: () => resolve() };
}

describe('an instance that is left out', () => {
  it('loses its people at once, and its connections when its last call is over; nobody else notices', async () => {
    const served = await Served.start(rig, document([upstream('com', com), upstream('corp', corp)]));
    const url = served.url.href;
    const [alice, carol] = [com.person('alice').token.value, corp.person('carol').token.value];
    const named = { 'x-gitlab-api-url': corp.url };
    const headers = { authorization: `Bearer ${carol}`, accept: 'application/json, text/event-stream' };
    const initialize = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'c', version: '1' } };
    const opened = await open(
      url,
      'POST',
      { ...headers, ...named, 'content-type': 'application/json' },
      JSON.stringify({ jsonrpc: '2.0', id: 0, method: 'initialize', params: initialize }),
    );
    await opened.ended;
    const session = { ...headers, 'mcp-session-id': String(opened.headers['mcp-session-id']) };
    const stream = await open(url, 'GET', session);
    expect([opened.status, stream.status]).toEqual([200, 200]);
    const hers = await LegacyClient.open(url, alice);
    const herStream = await open(url, 'GET', hers.headers());
    let isOpen = true;
    void herStream.ended.then(() => {
      isOpen = false;
    });
    // A call of somebody without a session, which its instance answers only later.
    const modern = new ModernClient(url, carol);
    const held = gate();
    corp.faults.add({ path: '/user', fault: { kind: 'hold', until: held.until } });
    const before = corp.log.of({ path: '/user' }).length;
    const running = modern.call('x_gitlab_whoami', { instance: 'corp' }, { headers: named });
    await corp.log.waitFor({ path: '/user' }, before + 1, AbortSignal.timeout(5_000));

    await served.reload(document([upstream('com', com)]));
    expect(await stream.ended).toBe('complete');
    expect((await open(url, 'POST', { ...session, 'content-type': 'application/json' }, '{"jsonrpc":"2.0","id":1,"method":"ping"}')).status).toBe(
      404,
    );
    expect((await modern.send('tools/list', {}, { headers: named })).status).toBeGreaterThanOrEqual(400);
    expect(corp.front.open).toBeGreaterThan(0);
    held.open();
    expect(nameIn(await running)).toBe('carol');
    await until(
      () => corp.front.open,
      (sockets) => sockets === 0,
      5_000,
    );
    expect(nameIn(await hers.call(...whoami('com')))).toBe('alice');
    expect([isOpen, await metric(served, 'turnpike_pool_size\\{pool="gitlab_servers"\\}')]).toEqual([true, 1]);
    herStream.close();
    expect(await served.stop()).toBe(0);
  });
});

it('an instance that callers may name no more loses its people, and one that gets an upstream of its own keeps them', async () => {
  const dynamic = upstream('com', com, GitLabRig.dynamic(corp));
  const served = await Served.start(rig, document([dynamic]));
  const named = { 'x-gitlab-api-url': corp.url };
  const quin = { authorization: `Bearer ${corp.person('quin').token.value}`, ...named };
  const session = await RawSession.open(served.url, {}, quin);
  const other = await RawSession.open(served.url, {}, { authorization: `Bearer ${com.person('ray').token.value}` });
  const statuses = async () => [(await session.request(1, 'ping')).status, (await other.request(1, 'ping')).status];
  const call = async (instance: string) => answerIn(await session.request(2, 'tools/call', { name: 'x_gitlab_whoami', arguments: { instance } }));
  expect(JSON.stringify(await call('com'))).toContain('quin');
  const misses = await metric(served, SERVER_MISSES);
  await served.reload(document([dynamic, upstream('corp', corp, { readOnly: true })]));
  expect(await statuses()).toEqual([200, 200]);
  // By the connections, and under the settings, of the upstream that it is now.
  expect(await metric(served, SERVER_MISSES)).toBe(misses + 1);
  expect(JSON.stringify(await call('com'))).toContain('authentication required');
  expect(JSON.stringify(await call('corp'))).toContain('quin');
  await served.reload(document([upstream('com', com, { dynamicUrl: { enabled: true, allowedHosts: ['git.example.com'] } })]));
  expect(await statuses()).toEqual([404, 200]);
  expect(await served.stop()).toBe(0);
});

it('a session of somebody else’s that is bound to an instance brings no token there when it is allowed no more', async () => {
  const ours = 'sk-ours-0123456789-with-everything';
  const auth = { modes: ['static'], static: [{ name: 'ann', token: ours }] };
  const allowing = (block: JsonObject) => document([upstream('com', com, block)], auth);
  const served = await Served.start(rig, allowing(GitLabRig.dynamic(corp)));
  const session = await RawSession.open(served.url, {}, { authorization: `Bearer ${ours}` });
  const [token, other] = [corp.person('sam').token.value, com.person('tom').token.value];
  const ping = async (headers: Record<string, string>) => {
    const { status, messages } = await session.request(1, 'ping', {}, { headers });
    return [status, (answerIn({ status, messages })?.error as JsonObject | undefined)?.message];
  };
  expect(await ping({ 'private-token': token, 'x-gitlab-api-url': corp.url })).toEqual([200, undefined]);
  expect(await ping({ 'private-token': token })).toEqual([200, undefined]);
  await served.reload(allowing({ dynamicUrl: { enabled: true, allowedHosts: ['git.example.com'], allowPrivateHosts: ['127.0.0.1'] } }));
  const before = corp.log.entries.length;
  // Nor does it fall back to another instance.
  for (const brought of [token, other]) expect(await ping({ 'private-token': brought })).toEqual([403, 'GitLab API URL is not allowed']);
  expect([corp.log.entries.length, com.log.foreign()]).toEqual([before, []]);
  expect(await ping({})).toEqual([200, undefined]);
  expect(await served.stop()).toBe(0);
});

describe('an instance whose upstream is replaced', () => {
  it('serves running calls over its old connections, and new ones over new; sessions stay', async () => {
    const served = await Served.start(rig, document([upstream('com', com), upstream('corp', corp)]));
    const dan = corp.person('dan').token.value;
    const named = { 'x-gitlab-api-url': corp.url };
    const modern = new ModernClient(served.url.href, dan);
    const session = await RawSession.open(served.url, {}, { authorization: `Bearer ${dan}`, ...named });
    const held = gate();
    const before = corp.log.of({ path: '/user' }).length;
    corp.faults.add({ path: '/user', skip: 1, fault: { kind: 'hold', until: held.until } });
    expect(nameIn(await modern.call('x_gitlab_whoami', { instance: 'corp' }, { headers: named }))).toBe('dan');
    const running = modern.call('x_gitlab_whoami', { instance: 'corp' }, { headers: named });
    await corp.log.waitFor({ path: '/user' }, before + 2, AbortSignal.timeout(5_000));
    const connections = corp.front.connections;
    const misses = await metric(served, SERVER_MISSES);

    await served.reload(document([upstream('com', com), upstream('corp', corp, { readOnly: true })]));
    expect(nameIn(await modern.call('x_gitlab_whoami', { instance: 'corp' }, { headers: named }))).toBe('dan');
    const made = corp.front.connections - connections;
    expect(made).toBeGreaterThan(0);
    held.open();
    expect(nameIn(await running)).toBe('dan');
    await until(
      () => corp.front.open,
      (sockets) => sockets === made,
      5_000,
    );
    // He was asked about again, since that is how his server came to its new connections; his session is his.
    expect(await metric(served, SERVER_MISSES)).toBe(misses + 1);
    expect((await session.request(1, 'ping')).status).toBe(200);
    expect(await served.stop()).toBe(0);
  });

  it('because its CA file holds another certificate now is reached by that one', async () => {
    const file = join(await rig.home(), 'ca.pem');
    using other = new Authority('IP:127.0.0.1');
    await copyFile(other.caFile, file);
    const served = await Served.start(rig, document([upstream('com', com, {}, { tls: { caFile: file } })]));
    const modern = new ModernClient(served.url.href, com.person('pat').token.value);
    expect((await modern.call('x_gitlab_whoami', { instance: 'com' })).status).toBe(503);
    await copyFile(com.caFile as string, file);
    await until(
      () => served.reloads,
      (reloads) => reloads > 0,
      10_000,
    );
    expect(nameIn(await modern.call(...whoami('com')))).toBe('pat');
    // And back: whoever is known keeps no connection that is not trusted any more.
    await copyFile(other.caFile, file);
    await until(
      () => served.reloads,
      (reloads) => reloads > 1,
      10_000,
    );
    expect((await modern.call(...whoami('com'))).status).toBe(503);
    expect(await served.stop()).toBe(0);
  });

  it('a call that outlasts its closeDelay is made again where that is safe, else cut; and nothing stays', async () => {
    const short = (...blocks: JsonObject[]) =>
      document([upstream('com', com), ...blocks.map((block) => upstream('corp', corp, block, { pool: { closeDelay: '200ms' } }))]);
    const served = await Served.start(rig, short({}));
    const named = { 'x-gitlab-api-url': corp.url };
    const modern = new ModernClient(served.url.href, corp.person('eve').token.value);
    const never = gate();
    const begin = async () => {
      const before = corp.log.of({ path: '/user' }).length;
      corp.faults.add({ path: '/user', fault: { kind: 'hold', until: never.until } });
      const running = modern.call('x_gitlab_whoami', { instance: 'corp' }, { headers: named });
      await corp.log.waitFor({ path: '/user' }, before + 1, AbortSignal.timeout(5_000));
      return { running };
    };
    await modern.send('tools/list', {}, { headers: named });
    const first = await begin();
    await served.reload(short({ readOnly: true }));
    expect(nameIn(await first.running)).toBe('eve');
    const second = await begin();
    await served.reload(short());
    expect((await second.running).text).toContain("server 'corp' not found in config");
    await until(
      () => corp.front.open,
      (sockets) => sockets === 0,
      5_000,
    );
    expect(await served.stop()).toBe(0);
  });
});

it('under load no call of an untouched upstream fails, whatever becomes of the other one', async () => {
  const served = await Served.start(rig, document([upstream('com', com), upstream('corp', corp)]));
  const connections = com.front.connections;
  const failed: unknown[] = [];
  let isOver = false;
  let calls = 0;
  const people = ['fay', 'gus', 'hal', 'ida'].map((name) => ({ name, token: com.person(name).token.value }));
  const worker = async ({ name, token }: (typeof people)[number], index: number) => {
    const client = index % 2 === 0 ? new ModernClient(served.url.href, token) : await LegacyClient.open(served.url.href, token);
    while (!isOver) {
      const answer = await client.call(...whoami('com'));
      if (nameIn(answer) !== name) failed.push([answer.status, answer.text]);
      calls++;
    }
  };
  const working = Promise.all(people.map(worker));
  const more = (count: number) =>
    until(
      () => calls,
      (made) => made >= count,
      20_000,
    );
  const other = [[], [upstream('corp', corp, { readOnly: true })], [upstream('corp', corp)], [upstream('corp', corp, GitLabRig.dynamic(com))], []];
  for (const upstreams of other) {
    await more(calls + 40);
    await served.reload(document([upstream('com', com), ...upstreams]));
  }
  await more(calls + 40);
  isOver = true;
  await working;
  expect(failed).toEqual([]);
  // Each was proven once, over connections that stayed: nothing of theirs was made anew.
  expect(await metric(served, SERVER_MISSES)).toBe(people.length);
  expect(com.front.connections - connections).toBeLessThanOrEqual(people.length + 1);
  expect(await served.stop()).toBe(0);
});

it('a credential that was replaced is in memory no more, nor are those of people whose instance went', async () => {
  const folder = await rig.home();
  const file = join(folder, 'token');
  const [old, fresh] = [com.person('kim'), com.person('lea')];
  const carol = corp.person('max').token.value;
  await writeFile(file, old.token.value);
  const service = { auth: { mode: 'header', header: { name: 'PRIVATE-TOKEN', value: `\${file:${file}}` } } };
  const text = (...others: readonly JsonObject[]) => document([upstream('com', com, {}, service), ...others]);
  const served = await Served.start(rig, text(upstream('corp', corp)), {
    env: { NODE_OPTIONS: `--heapsnapshot-signal=SIGUSR2 --diagnostic-dir=${folder}` },
  });
  const modern = new ModernClient(served.url.href, carol);
  const headers = { 'x-gitlab-api-url': corp.url };
  expect(nameIn(await modern.call('x_gitlab_whoami', { instance: 'com' }, { headers }))).toBe('kim');
  expect(nameIn(await modern.call('x_gitlab_whoami', { instance: 'corp' }, { headers }))).toBe('max');
  expect(await inMemory(served, folder, [old.token.value, carol])).toEqual([true, true]);
  await writeFile(file, fresh.token.value);
  await served.reload(text());
  const alice = new ModernClient(served.url.href, com.person('nia').token.value);
  await until(
    async () => nameIn(await alice.call(...whoami('com'))),
    (name) => name === 'lea',
    5_000,
  );
  // What is masked in records is that of the configuration before, too: until the next one.
  await served.reload(`policy: {denylist: {extra: [nothing]}}\n${text()}`);
  expect(await inMemory(served, folder, [old.token.value, carol, fresh.token.value])).toEqual([false, false, true]);
  expect(served.started.err()).not.toMatch(/glpat-/);
  expect(await served.stop()).toBe(0);
}, 60_000);

/** Which texts a heap snapshot of the process holds. */
async function inMemory({ started: { child }, url }: Served, folder: string, texts: readonly string[]): Promise<boolean[]> {
  const snapshots = async () => (await readdir(folder)).filter((name) => name.endsWith('.heapsnapshot'));
  const before = await snapshots();
  child.kill('SIGUSR2');
  const [name = ''] = await until(
    async () => (await snapshots()).filter((one) => !before.includes(one)),
    (made) => made.length > 0,
    30_000,
  );
  // It is complete when the process answers again: nothing else runs meanwhile.
  await get(`${new URL('/healthz', url)}`);
  const heap = await readFile(join(folder, name), 'utf8');
  return texts.map((text) => heap.includes(text));
}
