import { afterEach, describe, expect, it } from 'vitest';
import type { JsonObject } from '../core/mcp.ts';
import { McpError } from '../launcher/mcp-client.ts';
import { FakeUpstream } from './fake-upstream.ts';
import { createTestGateway, type TestGateway, type TestGatewayOptions } from './test-gateway.ts';

const open: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one[Symbol.asyncDispose]();
});
async function start(options: TestGatewayOptions): Promise<TestGateway> {
  const gateway = await createTestGateway(options);
  open.push(gateway);
  return gateway;
}
const textOf = ({ content }: JsonObject) => (content as { text?: string }[])[0]?.text;
async function until(holds: () => boolean): Promise<void> {
  for (const end = performance.now() + 5_000; !holds(); ) {
    if (performance.now() > end) throw new Error('not within 5 s');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

describe.each(['legacy', 'modern'] as const)('in front of a fake upstream of the %s era', (era) => {
  const script = () => ({
    era,
    tools: {
      add: { description: 'Adds.', call: ({ a, b }: JsonObject) => String(Number(a) + Number(b)) },
      fail: { call: () => Promise.reject(new Error('no luck')) },
      steps: {
        call: (_: JsonObject, { progress }: { progress(n: number, total?: number): void }) => {
          progress(1, 2);
          return { content: [], structuredContent: { done: true } };
        },
      },
    },
    prompts: { hello: { messages: [{ role: 'user', content: { type: 'text', text: 'Hello' } }] } },
    resources: { 'file:///a': 'content' },
  });

  it.each(['legacy', 'modern'] as const)('a %s client lists, calls, reads and gets', async (client) => {
    const upstream = new FakeUpstream('calc', script());
    const { audit, client: connect, gateway } = await start({ upstreams: [upstream] });
    const one = await connect({ era: client });
    expect((await one.listTools()).map(({ name }) => name)).toEqual(['x_calc_add', 'x_calc_fail', 'x_calc_steps']);
    expect(textOf(await one.callTool('x_calc_add', { a: 2, b: 3 }))).toBe('5');
    expect(await one.callTool('x_calc_fail')).toMatchObject({ isError: true, content: [{ text: 'no luck' }] });
    const seen: JsonObject[] = [];
    expect(await one.callTool('x_calc_steps', {}, { onProgress: (progress) => void seen.push(progress) })).toMatchObject({
      structuredContent: { done: true },
    });
    expect(seen).toMatchObject([{ progress: 1, total: 2 }]);
    expect((await one.listPrompts()).map(({ name }) => name)).toEqual(['x_calc_hello']);
    expect((await one.getPrompt('x_calc_hello')).messages).toHaveLength(1);
    expect((await one.listResources()).map(({ uri }) => uri)).toEqual(['file:///a']);
    expect(await one.readResource('file:///a')).toMatchObject({ contents: [{ text: 'content' }] });
    await one.ping();
    await expect(one.callTool('x_calc_none')).rejects.toEqual(new McpError(-32602, 'tool not found: x_calc_none'));
    expect(upstream.requests('tools/call').map(({ params }) => params.name)).toEqual(['add', 'fail', 'steps']);
    const called = () => audit.filter(({ method }) => method === 'tools/call');
    await until(() => called().length === 4);
    expect(called().map(({ tool, outcome }) => [tool, outcome])).toEqual([
      ['x_calc_add', 'ok'],
      ['x_calc_fail', 'error_result'],
      ['x_calc_steps', 'ok'],
      ['x_calc_none', 'refused'],
    ]);
    expect(gateway.status().upstreams).toMatchObject([{ name: 'calc', state: 'connected', era, tools: 3 }]);
  });

  it('its tools change, and a session hears of it', async () => {
    const upstream = new FakeUpstream('calc', script());
    const one = await (await start({ upstreams: [upstream] })).client();
    await one.listTools();
    const heard: string[] = [];
    one.onNotification(({ method }) => void heard.push(method));
    upstream.script = { era, tools: { other: {} } };
    upstream.toolsChanged();
    await until(() => heard.length > 0);
    expect([heard, (await one.listTools()).map(({ name }) => name)]).toEqual([['notifications/tools/list_changed'], ['x_calc_other']]);
  });

  it('a cancelled call is cancelled there, a crash is an unknown outcome, and it comes back', async () => {
    let cancelled = false;
    let began = 0;
    const wait = {
      call: (_: JsonObject, { signal }: { signal: AbortSignal }) =>
        new Promise<string>((resolve) => {
          began++;
          signal.addEventListener('abort', () => {
            cancelled = true;
            resolve('late');
          });
        }),
    };
    const upstream = new FakeUpstream('slow', { era, tools: { wait, quick: {} } });
    const one = await (await start({ upstreams: [upstream], config: { upstreams: [] } })).client();
    const stop = new AbortController();
    const running = one.callTool('x_slow_wait', {}, { signal: stop.signal });
    await until(() => began === 1);
    stop.abort(new Error('enough'));
    await expect(running).rejects.toThrow('enough');
    await until(() => cancelled);
    const second = one.callTool('x_slow_wait');
    await until(() => began === 2);
    upstream.crash();
    expect(textOf(await second)).toMatch(/the outcome is unknown/);
    expect(textOf(await one.callTool('x_slow_quick'))).toBe('done');
    expect(upstream.opened).toBeGreaterThan(1);
  });
});

it('the configuration is the real one: policy, deadlines, names', async () => {
  const upstream = new FakeUpstream('db', {
    tools: { drop: { annotations: { destructiveHint: true } }, read: {}, hang: { call: () => new Promise(() => {}) } },
  });
  const settings = { db: { timeouts: { call: '1s' }, toolPrefix: 'base' } };
  const one = await (await start({ upstreams: [upstream], settings, config: { catalog: { prefix: 'y' } } })).client();
  expect((await one.listTools()).map(({ name }) => name)).toEqual(['y_base_read', 'y_base_hang']);
  expect(textOf(await one.callTool('y_base_drop'))).toMatch(/blocked as it is destructive/);
  expect(textOf(await one.callTool('y_base_hang'))).toBe("tool 'y_base_hang' timed out after 1s");
  expect(upstream.requests('tools/call').map(({ params }) => params.name)).toEqual(['hang']);
});

it('each client is a session of its own; nothing is left of any', async () => {
  const counts = new Map<number, number>();
  const count = {
    call: (_: JsonObject, { connection }: { connection: number }) => {
      counts.set(connection, (counts.get(connection) ?? 0) + 1);
      return String(counts.get(connection));
    },
  };
  const upstream = new FakeUpstream('up', { tools: { count } });
  const gateway = await start({ upstreams: [upstream] });
  const [one, two] = [await gateway.client(), await gateway.client()];
  expect([textOf(await one.callTool('x_up_count')), textOf(await one.callTool('x_up_count')), textOf(await two.callTool('x_up_count'))]).toEqual([
    '1',
    '2',
    '1',
  ]);
  expect([upstream.connections, gateway.gateway.connections().map(({ upstream: name, requestCount }) => [name, requestCount])]).toEqual([
    3,
    [
      ['up', 2],
      ['up', 1],
    ],
  ]);
  await one.close();
  await until(() => upstream.connections === 2);
  await expect(one.callTool('x_up_count')).rejects.toThrow();
  await gateway[Symbol.asyncDispose]();
  expect(upstream.connections).toBe(0);
  await expect(two.listTools()).rejects.toThrow();
});

it('an upstream that is down is said, and found when it is up', async () => {
  const upstream = new FakeUpstream('up', { tools: { say: {} } });
  upstream.down = true;
  const gateway = await start({ upstreams: [upstream], settings: { up: { retry: { initial: '100ms' } } } });
  expect(gateway.gateway.status().upstreams).toMatchObject([{ state: 'retrying', lastError: "upstream 'up' cannot be reached" }]);
  upstream.down = false;
  await until(() => gateway.gateway.status().upstreams[0]?.state === 'connected');
});
