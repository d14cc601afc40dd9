import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { AskingUpstreams, answer, CAN_ASK } from './kit/asking-upstreams.ts';
import { GatewayRig } from './kit/gateway.ts';
import { type Headers, send } from './kit/http.ts';

/** Class 19 where the eras meet: headers are checked before a session upstream, too, and none of a client's passes on as ours. */

let upstreams: AskingUpstreams;
let rig: GatewayRig;

beforeAll(async () => {
  upstreams = await AskingUpstreams.start();
  rig = await GatewayRig.start({ upstreams: upstreams.section });
});
beforeEach(() => upstreams.clear());
afterAll(async () => {
  await rig[Symbol.asyncDispose]();
  await upstreams[Symbol.asyncDispose]();
});

const BENT: readonly [string, Headers][] = [
  ['another method', { 'mcp-method': 'tools/list' }],
  ['another name', { 'mcp-name': 'x_old_other' }],
  ['the name of the other upstream', { 'mcp-name': 'x_elsewhere_ask' }],
  ['two names', { 'mcp-name': ['x_old_ask', 'x_old_plain'] }],
  ['another revision', { 'mcp-protocol-version': '2025-11-25' }],
];

describe.each(['old', 'young'])('before upstream "%s"', (up) => {
  const params = { name: `x_${up}_ask`, arguments: {} };

  it.each(BENT)('%s ends the call, and nothing arrives', async (_what, headers) => {
    const reply = await rig.modern('alice').send('tools/call', params, { headers, capabilities: CAN_ASK });
    expect(reply).toMatchObject({ status: 400, error: { code: -32020 } });
    expect(upstreams.requests(up, 'tools/call')).toEqual([]);
  });

  it.each(BENT)('%s on a retry ends that request alone: its answers go nowhere, and the call still waits', async (_what, headers) => {
    const alice = rig.modern('alice');
    const { result } = await alice.send('tools/call', params, { capabilities: CAN_ASK });
    const retry = { ...params, requestState: String(result.requestState), inputResponses: { q: answer('bent') } };
    expect(await alice.send('tools/call', retry, { headers, capabilities: CAN_ASK })).toMatchObject({ status: 400, error: { code: -32020 } });
    expect(upstreams.heard(up)).toEqual([]);
    const good = await alice.send('tools/call', { ...retry, inputResponses: { q: answer('straight') } }, { capabilities: CAN_ASK });
    expect(good.text).toContain('straight');
    expect(upstreams.heard(up)).toEqual([answer('straight')]);
  });

  it('what a client says in headers of the other era reaches no upstream, and decides nothing', async () => {
    const forged = {
      'mcp-session-id': 'forged',
      'last-event-id': 'forged-1',
      'mcp-param-forged': 'x',
      'mcp-name': 'forged',
      'mcp-method': 'forged',
      'x-turnpike-forged': 'forged',
    };
    const session = await rig.session('alice');
    const { 'mcp-session-id': _own, ...others } = forged;
    const message = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: `x_${up}_plain`, arguments: {} } };
    expect((await session.post(message, others)).text).toContain('plain');
    const { 'mcp-name': _name, 'mcp-method': _method, 'mcp-param-forged': _param, ...free } = forged;
    expect((await rig.modern('alice').call(`x_${up}_plain`, {}, { headers: free })).text).toContain('plain');
    const sent = upstreams.requests(up, 'tools/call');
    expect(sent).toHaveLength(2);
    for (const { headers } of sent) {
      expect(JSON.stringify(headers)).not.toContain('forged');
      if (up === 'young') expect(headers).toMatchObject({ 'mcp-method': 'tools/call', 'mcp-name': 'plain' });
    }
    await session.end();
  });

  it('a body of one era with the header of the other is refused, and nothing arrives', async () => {
    const session = await rig.session('alice');
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: `x_${up}_plain`, arguments: {} } });
    const modernHeader = await send(rig.url, 'POST', { ...session.headers(), 'mcp-protocol-version': '2026-07-28' }, body);
    expect(modernHeader.status).toBe(400);
    const { body: modern, headers } = rig.modern('alice').request('tools/call', { name: `x_${up}_plain`, arguments: {} });
    for (const version of ['2025-11-25', '2025-06-18', '2024-11-05', 'x']) {
      const reply = await send(rig.url, 'POST', { ...headers, 'mcp-protocol-version': version, 'mcp-session-id': session.id }, modern);
      expect(reply.status).toBe(400);
    }
    const batch = await send(rig.url, 'POST', session.headers(), `[${modern}]`);
    expect(batch.status).toBe(400);
    expect(upstreams.requests(up, 'tools/call')).toEqual([]);
    await session.end();
  });
});
