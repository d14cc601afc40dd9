import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { META } from '../../src/core/mcp.ts';
import { GatewayRig } from '../fixtures/hostile/gateway-rig.ts';
import { type Answered, type Front, modernMeta, type SessionClient, textOf } from '../fixtures/hostile/wire.ts';

/** Status, JSON-RPC code, message, and whether and which id is answered. */
type Exact = readonly [status: number, code: number, message: string | RegExp, id?: unknown];

let rig: GatewayRig;
let front: Front;
/** Sessions of the newest revision, and of the one that knows batches. */
let session: SessionClient;
let batching: SessionClient;

beforeAll(async () => {
  rig = await GatewayRig.make();
  front = await rig.start({ listen: { maxBodyBytes: '1MiB' }, upstreams: [rig.child({ name: 'up' })] });
  session = await front.session();
  batching = await front.session('2025-03-26');
});
afterAll(async () => {
  const good = await session.call('x_up_echo', { text: 'still here' });
  expect(good.text).toContain('still here');
  await rig[Symbol.asyncDispose]();
});

function exactly(answer: Answered, [status, code, message, id]: Exact): void {
  const { body } = answer;
  expect([answer.status, body.jsonrpc, body.error?.code, body.error?.message]).toEqual([
    status,
    '2.0',
    code,
    message instanceof RegExp ? expect.stringMatching(message) : message,
  ]);
  // An id that could not be read is left out, not guessed.
  expect(Object.hasOwn(body, 'id')).toBe(id !== undefined);
  expect(body.id).toEqual(id);
  expect(body).not.toHaveProperty('result');
}

const INVALID = (what: string, id?: unknown): Exact =>
  [400, -32600, `Invalid Request: ${what}`, ...(id === undefined ? [] : [id])] as unknown as Exact;
const PING = '{"jsonrpc":"2.0","id":5,"method":"ping"}';
/** A modern request with parts of its JSON text replaced. */
const modernText = (id: string, method = '"tools/list"', params = JSON.stringify({ _meta: modernMeta() })) =>
  `{"jsonrpc":"2.0","id":${id},"method":${method},"params":${params}}`;
const MODERN = { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/list' };

const SHAPES: readonly (readonly [name: string, body: string | Buffer, answer: Exact])[] = [
  ['half a body', '{"jsonrpc":', [400, -32700, /^Parse error: /]],
  ['no body', '', [400, -32700, /^Parse error: /]],
  ['two values', `${PING}${PING}`, [400, -32700, /^Parse error: /]],
  ['JSON with comments', `/* */${PING}`, [400, -32700, /^Parse error: /]],
  ['a byte order mark', `\ufeff${PING}`, [400, -32700, /^Parse error: /]],
  ['bytes that are no UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x7d]), [400, -32700, 'Parse error: not valid UTF-8']],
  [
    'an overlong UTF-8 form',
    Buffer.concat([Buffer.from('{"a":"'), Buffer.from([0xc0, 0xaf]), Buffer.from('"}')]),
    [400, -32700, 'Parse error: not valid UTF-8'],
  ],
  ['a text', '"ping"', INVALID('the body must be a JSON object')],
  ['null', 'null', INVALID('the body must be a JSON object')],
  ['a number', '5', INVALID('the body must be a JSON object')],
  ['no jsonrpc', '{"id":5,"method":"ping"}', INVALID('jsonrpc must be "2.0"', 5)],
  ['jsonrpc 1.0', '{"jsonrpc":"1.0","id":5,"method":"ping"}', INVALID('jsonrpc must be "2.0"', 5)],
  ['jsonrpc as a number', '{"jsonrpc":2.0,"id":5,"method":"ping"}', INVALID('jsonrpc must be "2.0"', 5)],
  ...['null', 'true', '{}', '[5]', '1e400'].map((id) => [`the id ${id}`, PING.replace('5', id), INVALID('id must be a string or a number')] as const),
  // What JSON.parse makes of these is another id than was sent: better none.
  ...['1.5', '9007199254740992', '-9007199254740993', `1${'0'.repeat(300)}`].map(
    (id) => [`the id ${id.slice(0, 20)}`, PING.replace('5', id), INVALID('id must be an integer of at most 2^53-1')] as const,
  ),
  ...['5', 'null', '{}', '["ping"]'].map(
    (method) => [`the method ${method}`, PING.replace('"ping"', method), INVALID('method must be a string', 5)] as const,
  ),
  ...['5', 'null', '[]', '"x"', 'false'].map(
    (params) => [`the params ${params}`, PING.replace('}', `,"params":${params}}`), INVALID('params must be an object', 5)] as const,
  ),
  ['nothing but an id', '{"jsonrpc":"2.0","id":5}', INVALID('a message needs a method, a result or an error', 5)],
  [
    'result and error',
    '{"jsonrpc":"2.0","id":5,"result":{},"error":{"code":1,"message":""}}',
    INVALID('a message needs a method, a result or an error', 5),
  ],
  ['a response without id', '{"jsonrpc":"2.0","result":{}}', INVALID('a response needs an id')],
  ['a result that is a number', '{"jsonrpc":"2.0","id":5,"result":5}', INVALID('result must be an object', 5)],
  ['an error that is a text', '{"jsonrpc":"2.0","id":5,"error":"no"}', INVALID('error must be an object with code and message', 5)],
  ['an error without code', '{"jsonrpc":"2.0","id":5,"error":{"message":"no"}}', INVALID('error must be an object with code and message', 5)],
  ['jsonrpc twice', '{"jsonrpc":"2.0","jsonrpc":"2.0","id":5,"method":"ping"}', INVALID('the member "jsonrpc" stands twice', 5)],
  [
    'method twice, once escaped',
    '{"jsonrpc":"2.0","id":5,"method":"ping","\\u006dethod":"tools/list"}',
    INVALID('the member "method" stands twice', 5),
  ],
  ['params twice', '{"jsonrpc":"2.0","id":5,"method":"ping","params":{},"params":{}}', INVALID('the member "params" stands twice', 5)],
  [
    'a name twice',
    '{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"a","name":"b"}}',
    INVALID('the member "params.name" stands twice', 5),
  ],
  [
    'a _meta key twice',
    '{"jsonrpc":"2.0","id":5,"method":"ping","params":{"_meta":{"a":1,"a":2}}}',
    INVALID('the member "params._meta.a" stands twice', 5),
  ],
];

describe('a message of the wrong shape', () => {
  it.each(SHAPES)('%s', async (_name, body, answer) => {
    exactly(await session.send('', { body }), answer);
    // The shape is checked before the era is known: both fronts say the same.
    exactly(await front.send({ body, headers: MODERN }), answer);
  });

  it('100,000 brackets are a value like any other, and half of them a parse error, in both eras', async () => {
    const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
    const legacy = await session.send(`{"jsonrpc":"2.0","id":5,"method":"ping","params":{"deep":${deep}}}`);
    expect([legacy.status, legacy.body]).toEqual([200, { jsonrpc: '2.0', id: 5, result: {} }]);
    const modern = await front.send({
      body: modernText('5', '"tools/list"', `{"_meta":${JSON.stringify(modernMeta())},"deep":${deep}}`),
      headers: MODERN,
    });
    expect([modern.status, modern.body.id, Array.isArray(modern.body.result?.tools)]).toEqual([200, 5, true]);
    const called = await session.send(`{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"x_up_echo","arguments":{"deep":${deep}}}}`);
    expect(called.body).toEqual({ jsonrpc: '2.0', id: 5, result: { content: [{ type: 'text', text: 'echo' }] } });
    exactly(await session.send('['.repeat(100_000)), [400, -32700, /^Parse error: /]);
    exactly(await session.send(`{"jsonrpc":"2.0","id":${deep},"method":"ping"}`), INVALID('id must be a string or a number'));
    exactly(await session.send(`${'[{"a":'.repeat(50_000)}1${'}]'.repeat(50_000)}`), INVALID('jsonrpc must be "2.0"'));
  });

  it('ids come back as they were: a text of 512 KiB, the empty one, the largest integers, escapes', async () => {
    for (const id of ['x'.repeat(512 * 1024), '', 'naïve "\u2028" \u0000', 0, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER]) {
      const legacy = await session.request('ping', {}, id);
      expect([legacy.status, legacy.body]).toEqual([200, { jsonrpc: '2.0', id, result: {} }]);
      const modern = await front.modern('no/such', {}, { id });
      expect([modern.status, modern.body.id]).toEqual([404, id]);
    }
  });

  it('names of JavaScript are names like others', async () => {
    for (const method of ['constructor', '__proto__', 'toString', 'hasOwnProperty']) {
      exactly(await session.request(method), [200, -32601, `Method not found: ${method}`, 1]);
      exactly(await front.modern(method), [404, -32601, `Method not found: ${method}`, 1]);
    }
    exactly(await session.call('__proto__'), [200, -32602, 'tool not found: __proto__', 1]);
    exactly(await session.send('{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"\\ud800"}}'), [
      200,
      -32602,
      'tool not found: \ud800',
      5,
    ]);
    exactly(
      await session.send('{"__proto__":{"method":"ping"},"jsonrpc":"2.0","id":5}'),
      INVALID('a message needs a method, a result or an error', 5),
    );
  });
});

describe('a method of the other era', () => {
  it.each(['initialize', 'ping', 'logging/setLevel', 'resources/subscribe', 'resources/unsubscribe', 'tasks/list', 'tasks/result'])(
    '%s is none in an enveloped request',
    async (method) => {
      exactly(await front.modern(method), [404, -32601, `Method not found: ${method}`, 1]);
    },
  );

  it.each(['server/discover', 'subscriptions/listen', 'tasks/get', 'tasks/update', 'tasks/cancel', 'tasks/list'])(
    '%s is none in a session',
    async (method) => {
      exactly(await session.request(method), [200, -32601, `Method not found: ${method}`, 1]);
    },
  );
});

describe('an array as body', () => {
  const ping = (id: number) => ({ jsonrpc: '2.0', id, method: 'ping' });
  const note = { jsonrpc: '2.0', method: 'notifications/x' };
  const modern = { jsonrpc: '2.0', id: 9, method: 'tools/list', params: { _meta: modernMeta() } };

  it('is refused without a session', async () => {
    const answer = await front.send({ body: JSON.stringify([ping(5), ping(6)]) });
    expect([answer.status, answer.body.error]).toEqual([400, { code: -32600, message: 'Mcp-Session-Id header is required' }]);
  });

  it.each(['2025-11-25', '2025-06-18'])('is refused in a session of %s', async (version) => {
    const own = await front.session(version);
    exactly(await own.send([ping(5)]), INVALID(`${version} knows no batches`));
    exactly(await own.send([]), INVALID('the batch is empty'));
  });

  it('is taken in a session of 2025-03-26: every request answered, by its id', async () => {
    const answer = await batching.send([
      ping(5),
      note,
      ping(6),
      { jsonrpc: '2.0', id: 7, method: 'no/such' },
      { jsonrpc: '2.0', id: 99, result: {} },
    ]);
    expect([answer.status, answer.body]).toEqual([
      200,
      [
        { jsonrpc: '2.0', id: 5, result: {} },
        { jsonrpc: '2.0', id: 6, result: {} },
        { jsonrpc: '2.0', id: 7, error: { code: -32601, message: 'Method not found: no/such' } },
      ],
    ]);
    expect((await batching.send([note, note])).status).toBe(202);
  });

  it('is refused as a whole when it is empty, nested, or one of it is no message', async () => {
    exactly(await batching.send([]), INVALID('the batch is empty'));
    exactly(await batching.send([[ping(5)]]), INVALID('the body must be a JSON object'));
    exactly(await batching.send([ping(5), 7]), INVALID('the body must be a JSON object'));
    exactly(await batching.send([ping(5), { ...ping(6), params: [] }]), INVALID('params must be an object', 6));
  });

  it('is refused when it holds a modern element, or comes under a modern header', async () => {
    exactly(await batching.send([ping(5), modern]), INVALID('2026-07-28 knows no batches'));
    exactly(await front.send({ body: JSON.stringify([modern]), headers: MODERN }), INVALID('2026-07-28 knows no batches'));
    const header = await batching.send([ping(5)], { headers: { 'mcp-protocol-version': '2026-07-28' } });
    expect([header.status, header.body.error?.code]).toEqual([400, -32602]);
  });

  it('takes no initialize, and two requests of one id are two answers', async () => {
    const initialize = { jsonrpc: '2.0', id: 7, method: 'initialize', params: { protocolVersion: '2025-03-26', capabilities: {} } };
    const answer = await batching.send([initialize, ping(5)]);
    expect([answer.status, answer.body, answer.headers['mcp-session-id']]).toEqual([
      200,
      [
        { jsonrpc: '2.0', id: 7, error: { code: -32600, message: 'Invalid Request: initialize must not be in a batch' } },
        { jsonrpc: '2.0', id: 5, result: {} },
      ],
      undefined,
    ]);
    const twice = await batching.send([ping(5), ping(5), ping(6)]);
    expect([twice.status, twice.body]).toEqual([
      200,
      [
        { jsonrpc: '2.0', id: 5, result: {} },
        { jsonrpc: '2.0', id: 5, error: { code: -32600, message: 'Invalid Request: the id 5 is in use' } },
        { jsonrpc: '2.0', id: 6, result: {} },
      ],
    ]);
  });
});

describe('what a method is given', () => {
  const wrong = (message: string): Exact => [200, -32602, message, 1];

  it.each<readonly [string, string, Record<string, unknown>, string]>([
    ['an unknown tool', 'tools/call', { name: 'nope' }, 'tool not found: nope'],
    ['a tool without its prefix', 'tools/call', { name: 'echo' }, 'tool not found: echo'],
    ['an unknown prompt', 'prompts/get', { name: 'nope' }, 'prompt not found: nope'],
    ['a tool name that is a number', 'tools/call', { name: 5 }, 'params.name must be a string'],
    ['no tool name', 'tools/call', {}, 'params.name must be a string, and is missing'],
    ['no URI', 'resources/read', {}, 'params.uri must be a string, and is missing'],
    ['arguments that are a number', 'tools/call', { name: 'x_up_echo', arguments: 5 }, 'params.arguments must be an object'],
    ['arguments that are null', 'tools/call', { name: 'x_up_echo', arguments: null }, 'params.arguments must be an object'],
    ['arguments that are a list', 'tools/call', { name: 'x_up_echo', arguments: [] }, 'params.arguments must be an object'],
    ['arguments that are a text', 'tools/call', { name: 'x_up_echo', arguments: '{}' }, 'params.arguments must be an object'],
    ['a cursor of nobody', 'tools/list', { cursor: 'x' }, 'The cursor is not one this gateway gave to this caller.'],
    ['a cursor that is a number', 'prompts/list', { cursor: 5 }, 'The cursor is not one this gateway gave to this caller.'],
    ['a completion of nothing', 'completion/complete', {}, 'params.ref must be an object'],
  ])('%s', async (_name, method, params, message) => {
    exactly(await session.request(method, params), wrong(message));
    // A name that is not text has no header that could repeat it.
    const name = typeof params.name === 'string' || typeof params.uri === 'string' ? {} : { 'mcp-name': 'x' };
    exactly(await front.modern(method, params, { headers: name }), wrong(message));
    expect(await rig.journal('up')).not.toContain('call nope');
  });

  it('an unknown resource has a code of its own in session revisions', async () => {
    exactly(await session.request('resources/read', { uri: 'x://nope' }), [200, -32002, 'resource not found: x://nope', 1]);
    exactly(await front.modern('resources/read', { uri: 'x://nope' }), [200, -32602, 'resource not found: x://nope', 1]);
    exactly(await session.request('resources/subscribe', { uri: 'x://nope' }), [200, -32002, 'resource not found: x://nope', 1]);
    exactly(await session.request('resources/subscribe', { uri: 5 }), wrong('params.uri must be a string'));
    exactly(await session.request('logging/setLevel', { level: 'loud' }), wrong('params.level must be one of the log levels'));
  });

  it('initialize with wrong types makes no session and names the id', async () => {
    const initialize = (params: object) => front.send({ body: JSON.stringify({ jsonrpc: '2.0', id: 'i', method: 'initialize', params }) });
    const cases = [
      [{}, 'params.protocolVersion must be a string'],
      [{ protocolVersion: 5 }, 'params.protocolVersion must be a string'],
      [{ protocolVersion: '2025-11-25', capabilities: [] }, 'params.capabilities must be an object'],
    ] as const;
    for (const [params, message] of cases) {
      const answer = await initialize(params);
      exactly(answer, [200, -32602, message, 'i']);
      expect(answer.headers['mcp-session-id']).toBeUndefined();
    }
    // A revision that is not ours is no error: the newest session revision is offered.
    const unknown = await initialize({ protocolVersion: '1999-01-01', capabilities: {} });
    expect([unknown.status, unknown.body.result?.protocolVersion]).toEqual([200, '2025-11-25']);
  });

  it('methods of the other era do not exist', async () => {
    for (const method of [
      'initialize',
      'ping',
      'logging/setLevel',
      'resources/subscribe',
      'resources/unsubscribe',
      'tasks/list',
      'tasks/result',
      'no/such',
    ]) {
      exactly(await front.modern(method, { protocolVersion: '2025-11-25' }), [404, -32601, `Method not found: ${method}`, 1]);
    }
    for (const method of ['server/discover', 'subscriptions/listen', 'tasks/get', 'tasks/list', 'no/such', '']) {
      exactly(await session.request(method), [200, -32601, `Method not found: ${method}`, 1]);
    }
  });

  it('task ids, request states and input responses of nobody', async () => {
    const tasks = { [META.clientCapabilities]: { extensions: { 'io.modelcontextprotocol/tasks': {} } } };
    const headers = { 'mcp-name': 'tk1.x' };
    exactly(await front.modern('tasks/get', { taskId: 'tk1.x', _meta: tasks }, { headers }), wrong('Unknown task'));
    const undeclared = await front.modern('tasks/get', { taskId: 'tk1.x' }, { headers });
    exactly(undeclared, [400, -32021, 'the client did not declare io.modelcontextprotocol/tasks', 1]);
    expect(undeclared.body.error?.data).toEqual({ requiredCapabilities: { extensions: { 'io.modelcontextprotocol/tasks': {} } } });
  });

  it('a request whose id is in flight already is refused, and the first one is answered', async () => {
    const first = session.call('x_up_slow', { ms: 300 }, 'same');
    await rig.noted('call slow', 'up');
    exactly(await session.call('x_up_echo', {}, 'same'), [400, -32600, 'Invalid Request: the id "same" is in use', 'same']);
    expect((await first).body).toEqual({ jsonrpc: '2.0', id: 'same', result: { content: [{ type: 'text', text: 'slow' }] } });
    // 2026-07-28 over HTTP: every request is its own, whatever its id.
    const both = await Promise.all([front.call('x_up_slow', {}, { id: 'same' }), front.call('x_up_echo', {}, { id: 'same' })]);
    expect(both.map(({ status, body }) => [status, body.id, body.error])).toEqual([
      [200, 'same', undefined],
      [200, 'same', undefined],
    ]);
    expect(both.map(textOf)).toEqual(['slow', 'echo']);
  });
});
