import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/mcp.ts';
import type { Answered, LegacyClient, ModernClient } from './kit/clients.ts';
import { stdioFixture } from './kit/fixtures.ts';
import { GatewayRig, type User } from './kit/gateway.ts';
import { event, type ScriptedUpstream, scripted, tool } from './kit/upstreams.ts';

/** Class 8: 200 clients with equal ids and equal progress tokens at once, and every answer is the one that was asked for. */

const CLIENTS = 200;
const PEOPLE: readonly User[] = ['alice', 'bob', 'carol'];
const random = (most: number) => Math.floor(Math.random() * most);

let scriptedUpstream: ScriptedUpstream;
let rig: GatewayRig;

beforeAll(async () => {
  scriptedUpstream = await scripted({
    tools: [tool('say')],
    act: async ({ message, params }, response) => {
      const { word } = params.arguments as { word: string };
      const { progressToken } = params._meta as { progressToken?: unknown };
      const pause = () => new Promise((resolve) => setTimeout(resolve, random(40)));
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      for (let progress = 1; progress <= 2; progress++) {
        await pause();
        const report = { progressToken, progress: progress + progress * random(10), message: word } as JsonObject;
        response.write(event({ jsonrpc: '2.0', method: 'notifications/progress', params: report }));
      }
      await pause();
      const result = { resultType: 'complete', content: [{ type: 'text', text: word }] };
      response.end(event({ jsonrpc: '2.0', id: message.id, result }));
      return undefined;
    },
  });
  rig = await GatewayRig.start({
    upstreams: [
      { name: 'http', type: 'streamable-http', url: scriptedUpstream.url },
      { name: 'pipe', ...stdioFixture('legacy'), sharing: 'shared' },
      { name: 'mpipe', ...stdioFixture('modern'), sharing: 'shared' },
    ],
  });
});
afterAll(async () => {
  await rig[Symbol.asyncDispose]();
  await scriptedUpstream[Symbol.asyncDispose]();
});

const SAME = { id: 1, meta: { progressToken: 'same' } } as const;

/** One call with the id and the progress token that everybody uses. */
async function ask(client: ModernClient | LegacyClient, name: string, args: JsonObject): Promise<Answered> {
  if ('id' in client) return client.send('tools/call', { name, arguments: args, _meta: { progressToken: 'same' } }, 1);
  return client.call(name, args, SAME);
}

async function everybody(): Promise<(ModernClient | LegacyClient)[]> {
  return Promise.all(
    Array.from({ length: CLIENTS }, async (_, index) => {
      const user = PEOPLE[index % PEOPLE.length] ?? 'alice';
      return index % 2 === 0 ? rig.modern(user) : rig.session(user);
    }),
  );
}

describe('200 clients of both eras, equal ids, equal tokens, random delays', () => {
  it('at a modern upstream over HTTP', async () => {
    const clients = await everybody();
    const replies = await Promise.all(clients.map((client, index) => ask(client, 'x_http_say', { word: `word-${index}` })));
    for (const [index, reply] of replies.entries()) {
      expect(reply.answer).toMatchObject({ id: 1, result: { content: [{ text: `word-${index}` }] } });
      expect(reply.notifications.length).toBeGreaterThan(0);
      for (const one of reply.notifications) expect(one).toMatchObject({ params: { progressToken: 'same', message: `word-${index}` } });
    }
    // The upstream never saw an id or a token of a client twice.
    const calls = scriptedUpstream.calls('tools/call');
    expect(calls).toHaveLength(CLIENTS);
    const tokens = calls.map(({ params }) => JSON.stringify((params._meta as JsonObject).progressToken));
    expect(tokens).not.toContain('"same"');
  });

  it.each(['pipe', 'mpipe'])('on one shared pipe (%s)', async (name) => {
    const clients = await everybody();
    const replies = await Promise.all(
      clients.map((client, index) => ask(client, `x_${name}_write`, { key: `${name}-${index}`, delayMs: random(100) })),
    );
    for (const [index, reply] of replies.entries()) {
      expect(reply.answer).toMatchObject({ id: 1, result: { structuredContent: { key: `${name}-${index}`, count: 1 } } });
    }
    // Progress, too, on a pipe where nothing but the token says whose it is.
    const steps = await Promise.all(
      clients.slice(0, 60).map((client, index) => ask(client, `x_${name}_progress`, { steps: index + 1, delayMs: random(4) })),
    );
    for (const [index, reply] of steps.entries()) {
      expect(reply.result.content).toEqual([{ type: 'text', text: `Reported ${index + 1} steps` }]);
      expect(reply.notifications.length).toBeGreaterThan(0);
      for (const one of reply.notifications) expect(one).toMatchObject({ params: { progressToken: 'same', total: index + 1 } });
    }
  });
});

it('two requests of one session at once may not share an id; the first is answered', async () => {
  const session = await rig.session('alice');
  const first = session.call('x_pipe_write', { key: 'first', delayMs: 300 }, 5);
  await new Promise((resolve) => setTimeout(resolve, 100));
  const second = await session.call('x_pipe_write', { key: 'second' }, 5);
  expect(second.error).toMatchObject({ code: -32600 });
  expect((await first).result.structuredContent).toMatchObject({ key: 'first' });
  expect((await session.call('x_pipe_read', { key: 'second' })).result.structuredContent).toEqual({ count: 0 });
});

describe('an upstream that lies about whose answer it sends', () => {
  it.each<[string, (id: unknown) => JsonObject]>([
    ['an id nobody waits for', () => ({ jsonrpc: '2.0', id: 999_999, result: { content: [{ type: 'text', text: 'FORGED' }] } })],
    ['its id as a text', (id) => ({ jsonrpc: '2.0', id: String(id), result: { content: [{ type: 'text', text: 'FORGED' }] } })],
    ['the id before its own', (id) => ({ jsonrpc: '2.0', id: Number(id) - 1, result: { content: [{ type: 'text', text: 'FORGED' }] } })],
    [
      'progress for everybody',
      () => ({ jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken: 'same', progress: 1, message: 'FORGED' } }),
    ],
    [
      'a subscription of somebody',
      () => ({
        jsonrpc: '2.0',
        method: 'notifications/tools/list_changed',
        params: { _meta: { 'io.modelcontextprotocol/subscriptionId': 1 }, FORGED: 1 },
      }),
    ],
  ])('%s: nobody hears it', async (_name, lie) => {
    await using liar = await scripted({
      tools: [tool('say')],
      act: ({ message, params }, response) => {
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        if ((params.arguments as { lie?: boolean }).lie === true) response.write(event(lie(message.id)));
        setTimeout(() => response.end(event({ jsonrpc: '2.0', id: message.id, result: { resultType: 'complete', content: [] } })), 100);
        return undefined;
      },
    });
    await using own = await GatewayRig.start({ upstreams: [{ name: 'up', type: 'streamable-http', url: liar.url }] });
    const bob = ask(own.modern('bob'), 'x_up_say', {});
    const alice = ask(own.modern('alice'), 'x_up_say', { lie: true });
    for (const reply of await Promise.all([bob, alice])) {
      expect(reply.text).not.toContain('FORGED');
      expect(reply.answer).toMatchObject({ id: 1 });
    }
    expect((await bob).result.content).toEqual([]);
  });
});
