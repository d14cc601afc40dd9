import { afterEach, describe, expect, it } from 'vitest';
import { isJsonObject, type JsonObject } from '../../src/core/mcp.ts';
import { AskingUpstreams } from '../security/kit/asking-upstreams.ts';
import { textOf } from '../security/kit/clients.ts';
import { GatewayRig, type Sections } from '../security/kit/gateway.ts';
import { type Reply, send } from '../security/kit/http.ts';
import { sessionUpstream } from '../security/kit/session-upstream.ts';
import { scripted, text, tool } from '../security/kit/upstreams.ts';

/** What a call of a family's tool does to its bytes, whatever they are, and that it is an ordinary call otherwise. */
const open: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

async function gateway(sections: Sections): Promise<GatewayRig> {
  const rig = await GatewayRig.start(sections);
  open.push(rig);
  return rig;
}

const member = (name: string, { url }: { readonly url: string }) => ({
  ...{ name, type: 'streamable-http', url, family: { name: 'f', instanceArg: 'instance' } },
});

/** `a` is modern, `b` has sessions; both have the same tools. */
async function family(tools: readonly JsonObject[]) {
  const a = await scripted({ tools, act: () => text('a') });
  const b = await sessionUpstream({ tools, act: () => text('b') });
  open.push(a, b);
  const rig = await gateway({ upstreams: [member('a', a), member('b', b)] });
  const sentTo = { a: () => a.requests, b: () => b.requests };
  return {
    rig,
    a,
    b,
    /** The bytes of the calls that reached a member. */
    bodies: (name: 'a' | 'b') =>
      sentTo[name]()
        .map(({ body }) => body)
        .filter((body) => body.includes('"tools/call"')),
  };
}

/** A call whose arguments are these bytes, of a stateless client or a session. */
async function callWith(rig: GatewayRig, args: string, era: 'modern' | 'legacy', headers: Record<string, string> = {}): Promise<Reply> {
  const placed = (body: string) => body.replace('"arguments":{}', `"arguments":${args}`);
  if (era === 'modern') {
    const request = rig.modern('alice').request('tools/call', { name: 'x_f_say', arguments: {} });
    return send(rig.url, 'POST', { ...request.headers, ...headers }, placed(request.body));
  }
  const session = await rig.session('alice');
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'x_f_say', arguments: {} } });
  return send(rig.url, 'POST', { ...session.headers(), ...headers }, placed(body));
}

const answerOf = ({ messages }: Reply): string => {
  const { result, error } = messages.find((message) => message.method === undefined) ?? {};
  if (isJsonObject(error)) return String(error.message);
  return isJsonObject(result) ? String((result.content as JsonObject[])[0]?.text) : 'none';
};

describe('the argument is cut out of the bytes', () => {
  it.each([
    ['alone', '{"instance":"I"}', '{}'],
    ['first', '{"instance":"I","n":1}', '{"n":1}'],
    ['last', '{"n":1 , "instance" : "I"}', '{"n":1}'],
    ['between', '{ "n":12345678901234567890, "instance":"I" ,"m" : 1.0e+2 }', '{ "n":12345678901234567890, "m" : 1.0e+2 }'],
    ['spelled with escapes', '{"\\u0069nstance":"I","n":"\\u0041"}', '{"n":"\\u0041"}'],
    ['twice, the last one counting', '{"instance":"other","n":1,"instance":"I"}', '{"n":1}'],
    ['beside one of the same name further down', '{"n":{"instance":"x"},"instance":"I"}', '{"n":{"instance":"x"}}'],
    ['beside members that stand twice', '{"n":1,"n":2,"instance":"I"}', '{"n":1,"n":2}'],
    ['beside the prototype', '{"__proto__":{"instance":"x"},"instance":"I"}', '{"__proto__":{"instance":"x"}}'],
  ])('where it stands %s', async (_, args, left) => {
    const { rig, bodies } = await family([tool('say')]);
    for (const era of ['modern', 'legacy'] as const) {
      for (const instance of ['a', 'b'] as const) {
        expect(answerOf(await callWith(rig, args.replaceAll('I', instance), era))).toBe(instance);
        expect(bodies(instance).at(-1)).toContain(`"arguments":${left}`);
        expect(bodies(instance).at(-1)).toContain('"name":"say"');
      }
    }
    expect([bodies('a').length, bodies('b').length]).toEqual([2, 2]);
  });

  it.each([
    ['no object', '["a"]', 'params.arguments must be an object'],
    ['nothing', 'null', 'params.arguments must be an object'],
    ['a list of names', '{"instance":["a"]}', undefined],
    ['an object', '{"instance":{"a":"a"}}', undefined],
    ['a name below', '{"n":{"instance":"a"}}', undefined],
    ['one by prototype', '{"__proto__":{"instance":"a"}}', undefined],
    ['another spelling', '{"Instance":"a"}', undefined],
    ['a valid one that an invalid one follows', '{"instance":"a","instance":1}', undefined],
  ])('and nobody is called where they hold %s', async (_, args, message) => {
    const { rig, bodies } = await family([tool('say')]);
    const required = 'tool x_f_say is provided by family f on servers a, b; the "instance" parameter is required';
    for (const era of ['modern', 'legacy'] as const) expect(answerOf(await callWith(rig, args, era))).toBe(message ?? required);
    expect([...bodies('a'), ...bodies('b')]).toEqual([]);
  });

  it('large arguments pass as they are', async () => {
    const { rig, bodies } = await family([tool('say')]);
    const large = `[${Array.from({ length: 50_000 }, (_, index) => `"${index}\\n"`).join(', ')}]`;
    expect(answerOf(await callWith(rig, `{"n":${large},"instance":"b"}`, 'modern'))).toBe('b');
    expect(bodies('b').at(-1)).toContain(`"arguments":{"n":${large}}`);
  });
});

it('headers that a schema asks for are checked and sent as for any tool', async () => {
  const region = { inputSchema: { type: 'object', properties: { region: { type: 'string', 'x-mcp-header': 'Region' } } } };
  const { rig, a } = await family([tool('say', region)]);
  const args = '{"region":"eu","instance":"a"}';
  expect(answerOf(await callWith(rig, args, 'modern'))).toBe('Mcp-Param-Region is missing');
  expect(answerOf(await callWith(rig, args, 'modern', { 'mcp-param-region': 'us' }))).toContain('does not match');
  expect(answerOf(await callWith(rig, args, 'modern', { 'mcp-param-region': 'eu' }))).toBe('a');
  expect(answerOf(await callWith(rig, args, 'legacy'))).toBe('a');
  expect(a.calls('tools/call').map(({ headers }) => [headers['mcp-name'], headers['mcp-param-region']])).toEqual([
    ['say', 'eu'],
    ['say', 'eu'],
  ]);
});

it('questions of either member reach the client; the answer goes to the one that was named, and nowhere else', async () => {
  const upstreams = await AskingUpstreams.start();
  open.push(upstreams);
  const rig = await gateway({
    upstreams: upstreams.section.map((one) => ({ ...one, family: { name: 'f', instanceArg: 'instance' } })),
  });
  const modern = rig.modern('alice');
  const options = { capabilities: { elicitation: { form: {} } } };
  for (const instance of ['old', 'young']) {
    const args = { message: 'Who?', instance };
    const asked = await modern.call('x_f_ask', args, options);
    expect(asked.result.resultType).toBe('input_required');
    const { requestState, inputRequests } = asked.result;
    const [key = ''] = Object.keys(inputRequests as JsonObject);
    const answer = { inputResponses: { [key]: { action: 'accept', content: { value: instance } } }, requestState };
    const other = instance === 'old' ? 'young' : 'old';
    // The state is bound to whom the call named.
    const moved = await modern.send('tools/call', { name: 'x_f_ask', arguments: { ...args, instance: other }, ...answer }, options);
    expect(moved.error?.code).toBe(-32602);
    const answered = await modern.send('tools/call', { name: 'x_f_ask', arguments: args, ...answer }, options);
    expect(textOf(answered)).toContain('"action":"accept"');
    const sent = upstreams.requests(instance, 'tools/call').map(({ body }) => (JSON.parse(body) as { params: JsonObject }).params.arguments);
    for (const one of sent) expect(one).toEqual({ message: 'Who?' });
  }
});

it('progress of the member comes back under the token of the client', async () => {
  const tools = [tool('say')];
  const b = await sessionUpstream({
    tools,
    act: (call) => {
      call.say({ method: 'notifications/progress', params: { progressToken: call.meta.progressToken, progress: 1 } });
      return text(JSON.stringify(call.args));
    },
  });
  const a = await scripted({ tools });
  open.push(a, b);
  const rig = await gateway({ upstreams: [member('a', a), member('b', b)] });
  const modern = await rig
    .modern('alice')
    .send('tools/call', { name: 'x_f_say', arguments: { instance: 'b', n: 1 } }, { meta: { progressToken: 'p' } });
  const session = await rig.session('alice');
  const legacy = await session.send('tools/call', { name: 'x_f_say', arguments: { n: 1, instance: 'b' }, _meta: { progressToken: 'p' } });
  for (const answered of [modern, legacy]) {
    expect(answered.notifications).toEqual([expect.objectContaining({ params: expect.objectContaining({ progressToken: 'p', progress: 1 }) })]);
    expect(textOf(answered)).toBe('{"n":1}');
  }
});

it('many callers at once each reach the member they name', async () => {
  const { rig, a, b } = await family([tool('say', { inputSchema: { type: 'object', properties: { n: { type: 'integer' } } } })]);
  a.script = { ...a.script, act: ({ params }) => text(`a ${String((params.arguments as JsonObject).n)}`) };
  const sessions = [await rig.session('alice'), await rig.session('bob')];
  const callers = [rig.modern('alice'), rig.modern('bob'), ...sessions];
  const answers = await Promise.all(
    Array.from({ length: 80 }, async (_, n) => {
      const instance = n % 3 === 0 ? 'b' : 'a';
      const answered = await (callers[n % callers.length] as (typeof callers)[number]).call('x_f_say', { n, instance });
      return [textOf(answered), instance === 'b' ? 'b' : `a ${n}`];
    }),
  );
  for (const [is, expected] of answers) expect(is).toBe(expected);
  expect(a.count('tools/call') + b.calls.length).toBe(80);
});

it('a call that is cancelled is cancelled at the member that it named', async () => {
  const stopped = Promise.withResolvers<boolean>();
  const tools = [tool('say')];
  const begun = Promise.withResolvers<void>();
  const b = await sessionUpstream({
    tools,
    act: async (call) => {
      begun.resolve();
      await call.stopped;
      stopped.resolve(call.cancelled);
      return text('late');
    },
  });
  const a = await scripted({ tools });
  open.push(a, b);
  const rig = await gateway({ upstreams: [member('a', a), member('b', b)] });
  const session = await rig.session('alice');
  const calling = session.call('x_f_say', { instance: 'b' }, 7);
  await begun.promise;
  await session.post({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 7 } });
  expect(await stopped.promise).toBe(true);
  await calling;
  expect(a.count('tools/call')).toBe(0);
});
