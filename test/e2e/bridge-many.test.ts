import { expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/mcp.ts';
import { ModernClient, textOf } from '../security/kit/clients.ts';
import { Rig } from './rig.ts';

/** More than an upstream has sockets for calls: each parked one holds one, and the answers to their questions need some, too. */
const COUNT = 1_040;
const WIDTH = 16;
/** A connection carries 256 questions at a time, and each principal has one. */
const TOKENS = Array.from({ length: 5 }, (_, index) => `token-${index}-${'x'.repeat(32)}`);

it('holds as many calls at one upstream as the configuration says, and continues each with its own answer', async () => {
  await using rig = await Rig.make();
  const upstream = await rig.serve('legacy');
  await rig.start({
    auth: { modes: ['static'], static: TOKENS.map((token, index) => ({ name: `user-${index}`, token, tenant: 'one' })) },
    bridge: { park: { perPrincipal: COUNT, perUpstream: COUNT, total: COUNT }, gatherWindow: '0ms' },
    upstreams: [{ name: 'up', type: 'streamable-http', url: upstream.url(), timeouts: { call: '10s' } }],
  });
  const clients = TOKENS.map((token) => new ModernClient(rig.endpoint.href, token));
  const call = (at: number, more: JsonObject = {}) =>
    (clients[at % clients.length] as ModernClient).send(
      'tools/call',
      { name: 'x_up_ask', arguments: { kind: 'form' }, ...more },
      { capabilities: { elicitation: { form: {} } } },
    );
  const states: unknown[] = [];
  await each(async (at) => {
    const { result } = await call(at);
    expect(result.resultType, `call ${at}: ${JSON.stringify(result)}`).toBe('input_required');
    states[at] = result.requestState;
  });
  const full = await call(0);
  expect(textOf(full)).toBe('Too many calls are waiting for input.');
  await each(async (at) => {
    const answer = { action: 'accept', content: { value: `answer ${at}` } };
    const done = await call(at, { requestState: states[at], inputResponses: { answer } });
    expect(done.result.structuredContent).toEqual({ answer });
  });
}, 60_000);

async function each(work: (at: number) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async () => {
    for (let at = next++; at < COUNT; at = next++) await work(at);
  };
  await Promise.all(Array.from({ length: WIDTH }, worker));
}
