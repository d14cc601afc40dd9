import { describe, expect, it } from 'vitest';
import { ManualClock } from '../core/manual-clock.ts';
import type { JsonObject } from '../core/mcp.ts';
import { followChanges } from './change-stream.ts';
import { Link } from './connection.ts';
import { type SampleServer, type SampleStream, SampleTransport } from './sample-transport.ts';

const settle = () => new Promise<void>((resolve) => setImmediate(resolve));
const SUBSCRIPTION = 'io.modelcontextprotocol/subscriptionId';

function follow(server: SampleServer, capabilities: JsonObject) {
  const clock = new ManualClock();
  const transport = new SampleTransport('exchange', server);
  const link = new Link({ name: 'S', transport, clock, clientInfo: {}, renewalMs: 1, onDropped: () => {} });
  link.agreed({ era: 'modern', version: '2026-07-28', serverInfo: {}, capabilities });
  const heard: string[] = [];
  const resumed: number[] = [];
  const pauses: number[] = [];
  const ended = followChanges(link, {
    clock,
    onNotification: (method) => heard.push(method),
    onResumed: () => resumed.push(clock.monotonic()),
    pause: (failures) => {
      pauses.push(failures);
      return 1_000 * 2 ** failures;
    },
  });
  return { clock, transport, link, heard, resumed, pauses, ended };
}

describe('the stream of changes of a modern upstream', () => {
  it('asks for what is announced, hears it, and after a break says when it stands again', async () => {
    const streams: { readonly stream: SampleStream; readonly id: unknown }[] = [];
    const rig = follow(({ id }, stream) => streams.push({ stream, id }), {
      tools: { listChanged: true },
      resources: { listChanged: true },
      prompts: {},
    });
    await settle();
    const [first] = streams;
    expect(rig.transport.sent[0]?.params).toMatchObject({ notifications: { toolsListChanged: true, resourcesListChanged: true } });
    const say = (at: (typeof streams)[number] | undefined, method: string) =>
      at?.stream.say({ jsonrpc: '2.0', method, params: { _meta: { [SUBSCRIPTION]: at.id } } });
    say(first, 'notifications/subscriptions/acknowledged');
    say(first, 'notifications/tools/list_changed');
    expect(rig.heard).toEqual(['notifications/tools/list_changed']);
    expect(rig.resumed).toEqual([]);
    first?.stream.end(new Error('cut'));
    await settle();
    rig.clock.advance(1_000);
    await settle();
    expect(rig.resumed).toEqual([]);
    say(streams[1], 'notifications/subscriptions/acknowledged');
    expect(rig.resumed).toEqual([1_000]);
    // It stood for more than a minute: the pauses start over.
    rig.clock.advance(61_000);
    streams[1]?.stream.end(new Error('cut'));
    await settle();
    expect(rig.pauses).toEqual([0, 0]);
    await rig.link.close();
    expect(await rig.ended).toBe(true);
    expect(rig.clock.pending).toBe(0);
  });

  it('is none when nothing is announced, or when the upstream refuses it', async () => {
    const silent = follow(() => {}, { tools: {} });
    expect(await silent.ended).toBe(false);
    expect(silent.transport.sent).toEqual([]);
    const refused = follow(({ id }, stream) => stream.say({ jsonrpc: '2.0', id, error: { code: -32601, message: 'no' } }), {
      tools: { listChanged: true },
    });
    expect(await refused.ended).toBe(false);
    expect(refused.clock.pending).toBe(0);
  });
});
