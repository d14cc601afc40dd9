import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { META } from '../../src/core/mcp.ts';
import { GatewayRig } from '../fixtures/hostile/gateway-rig.ts';
import { type Answered, type Front, headOf, modernMeta, type SendOptions, type SentHeaders, type SessionClient } from '../fixtures/hostile/wire.ts';

const MAX = 4096;
const TOKENS = { ann: 'token-of-ann', bob: 'token-of-bob', reader: 'token-of-reader' };
const ANN = { authorization: `Bearer ${TOKENS.ann}` };
const BOB = { authorization: `Bearer ${TOKENS.bob}` };
const READER = { authorization: `Bearer ${TOKENS.reader}` };

let rig: GatewayRig;
let front: Front;
let session: SessionClient;

beforeAll(async () => {
  rig = await GatewayRig.make();
  front = await rig.start({
    listen: { maxBodyBytes: MAX },
    // Everything here fails on purpose, from one address.
    limits: { ip: 10_000, ipBurst: 10_000 },
    auth: {
      modes: ['static'],
      failures: { max: 100_000 },
      static: [
        { name: 'ann', token: TOKENS.ann },
        { name: 'bob', token: TOKENS.bob },
        { name: 'reader', token: TOKENS.reader, scopes: ['turnpike:read'] },
      ],
    },
    policy: { denylist: { extra: ['exit'] } },
    upstreams: [rig.child({ name: 'up' })],
  });
  session = await front.session('2025-11-25', { headers: ANN });
});
afterAll(async () => {
  expect((await session.call('x_up_echo', { text: 'still here' })).text).toContain('still here');
  await rig[Symbol.asyncDispose]();
});

const PING = JSON.stringify({ jsonrpc: '2.0', id: 5, method: 'ping' });
const said = ({ status, body }: Answered) => [status, body.error?.code, body.error?.message, body.id];
/** A refusal before the body was read has no id. */
const early = (status: number, message: string) => [status, -32600, message, undefined];
const inSession = (options: SendOptions) =>
  front.send({ body: PING, ...options, headers: { ...ANN, 'mcp-session-id': session.id, ...options.headers } });

describe('guard', () => {
  it.each<readonly [string, SentHeaders, string]>([
    ['another Host', { host: 'evil.example' }, 'Forbidden: Host not allowed'],
    ['no Host', { host: undefined }, 'Forbidden: Host not allowed'],
    ['an allowed Host with another port', { host: '127.0.0.1:1' }, 'Forbidden: Host not allowed'],
    ['another Origin', { origin: 'https://evil.example' }, 'Forbidden: Origin not allowed'],
    ['the Origin null', { origin: 'null' }, 'Forbidden: Origin not allowed'],
    ['no Origin in the header', { origin: '' }, 'Forbidden: Origin not allowed'],
  ])('%s is 403', async (_name, headers, message) => {
    expect(said(await inSession({ headers }))).toEqual(early(403, message));
  });

  it('a Host that stands twice, which proxies read differently, is refused', async () => {
    const socket = connect(front.port, '127.0.0.1');
    socket.write(`GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:${front.port}\r\nHost: evil.example\r\nConnection: close\r\n\r\n`);
    expect(await text(socket)).toMatch(/^HTTP\/1\.1 (400|403) /);
  });

  it('an Origin that stands twice is 403, our own is welcome', async () => {
    const own = `http://127.0.0.1:${front.port}`;
    expect(said(await inSession({ headers: { origin: [own, own] } }))).toEqual(early(403, 'Forbidden: Origin not allowed'));
    expect((await inSession({ headers: { origin: own } })).status).toBe(200);
  });

  it.each<readonly [string, string | undefined]>([
    ['none', undefined],
    ['an empty one', ''],
    ['text/plain', 'text/plain'],
    ['application/jsonx', 'application/jsonx'],
    ['another character set', 'application/json; charset=latin1'],
    ['multipart', 'multipart/form-data; boundary=application/json'],
  ])('content type: %s is 415', async (_name, type) => {
    expect(said(await inSession({ headers: { 'content-type': type } }))).toEqual(early(415, 'Content-Type must be application/json'));
  });

  it('two content types and an encoding are 415; case, blanks and utf-8 are not', async () => {
    expect(said(await inSession({ headers: { 'content-type': ['application/json', 'application/json'] } }))[0]).toBe(415);
    expect(said(await inSession({ headers: { 'content-encoding': 'gzip' } }))).toEqual(early(415, 'Content-Encoding is not supported'));
    expect((await inSession({ headers: { 'content-type': ' Application/JSON ; Charset="UTF-8"' } })).status).toBe(200);
  });

  it.each<readonly [string, number]>([
    ['text/html', 406],
    ['application/json;q=0', 406],
    ['text/event-stream; q=0.000, application/json;q=0.0', 406],
    ['application/jsonp', 406],
    ['application/json', 200],
    ['text/event-stream', 200],
    ['*/*', 200],
    ['', 200],
  ])('Accept: %s is %i', async (accept, status) => {
    const answer = await inSession({ headers: { accept } });
    expect(answer.status).toBe(status);
    if (status === 406) expect(said(answer)).toEqual(early(406, 'Accept must name application/json or text/event-stream'));
  });

  it('no Accept at all takes everything; a GET stream and listen need events', async () => {
    expect((await inSession({ headers: { accept: undefined } })).status).toBe(200);
    const get = await inSession({ method: 'GET', body: '', headers: { accept: 'application/json' } });
    expect(said(get)).toEqual(early(406, 'Accept must name text/event-stream'));
    const listen = await front.modern('subscriptions/listen', { notifications: {} }, { headers: { ...ANN, accept: 'application/json' } });
    expect(said(listen)).toEqual([406, -32600, 'subscriptions/listen needs Accept: text/event-stream', 1]);
  });

  it('a body above the limit is 413 and ends the connection, announced or in chunks; one at the limit is read', async () => {
    const message = `The body is larger than ${MAX} bytes`;
    const announced = await inSession({ body: 'x'.repeat(MAX + 1) });
    expect([said(announced), announced.headers.connection]).toEqual([early(413, message), 'close']);
    const chunked = await inSession({ body: ['x'.repeat(MAX), 'x'] });
    expect([said(chunked), chunked.headers.connection]).toEqual([early(413, message), 'close']);
    const padded = (size: number) => PING.replace('}', `,"params":{"pad":"${'x'.repeat(size)}"}}`);
    const exact = padded(MAX - Buffer.byteLength(padded(0)));
    expect(Buffer.byteLength(exact)).toBe(MAX);
    expect((await inSession({ body: exact })).status).toBe(200);
    expect((await inSession({ body: [exact.slice(0, 100), exact.slice(100)] })).status).toBe(200);
  });

  it('an endless body is answered before it ends, and a huge announcement before it begins', async () => {
    const request = front.begin({ headers: { ...ANN, 'mcp-session-id': session.id } });
    const answer = headOf(request);
    request.write('x'.repeat(2 * MAX));
    const response = await answer;
    expect(response.statusCode).toBe(413);
    request.destroy();
    response.resume();
    const lie = front.begin({ headers: { ...ANN, 'content-length': '99999999999' } });
    const refused = headOf(lie);
    lie.flushHeaders();
    expect((await refused).statusCode).toBe(413);
    lie.destroy();
  });

  it('a client that goes away in the middle of its body leaves nothing behind', async () => {
    const request = front.begin({ headers: { ...ANN, 'mcp-session-id': session.id, 'content-length': '100' } });
    request.on('error', () => {});
    await new Promise<void>((resolve) => request.write('{', () => resolve()));
    request.destroy();
    expect((await inSession({})).status).toBe(200);
  });

  it.each(['PUT', 'PATCH', 'OPTIONS', 'TRACE', 'PROPFIND'])('%s is 405 and names what is taken', async (method) => {
    const answer = await front.send({ method });
    expect([said(answer), answer.headers.allow]).toEqual([early(405, 'Method Not Allowed'), 'GET, POST, DELETE']);
  });

  it('HEAD is 405 without a body, GET without a session 405, DELETE without one 400', async () => {
    const head = await front.send({ method: 'HEAD' });
    expect([head.status, head.text]).toEqual([405, '']);
    const get = await front.send({ method: 'GET', headers: ANN });
    expect([said(get), get.headers.allow]).toEqual([early(405, 'Method Not Allowed'), 'POST, DELETE']);
    expect(said(await front.send({ method: 'DELETE', headers: ANN }))).toEqual(early(400, 'Mcp-Session-Id header is required'));
  });

  it.each(['/', '/mcp/', '/MCP', '//mcp', '/%6dcp', '/mcp/../mcp', '/sse/', '/messages', '/.well-known/oauth-protected-resource', '/favicon.ico'])(
    'the path %s is 404',
    async (path) => {
      expect(said(await inSession({ path }))).toEqual(early(404, 'Not Found'));
    },
  );

  it('a query is no part of the path, and a target with a host of its own is refused', async () => {
    expect((await inSession({ path: '/mcp?x=1' })).status).toBe(200);
    expect(said(await inSession({ path: 'http://evil.example/mcp' }))).toEqual(early(403, 'Forbidden: Host not allowed'));
  });
});

describe('sessions', () => {
  it('an unknown, doubled, empty or ended id is 404, all alike', async () => {
    const gone = await front.session('2025-11-25', { headers: ANN });
    expect((await front.send({ method: 'DELETE', headers: { ...ANN, 'mcp-session-id': gone.id } })).status).toBe(204);
    for (const id of ['nope', '', 'x'.repeat(1000), [session.id, session.id], gone.id]) {
      for (const method of ['POST', 'GET', 'DELETE']) {
        const body = method === 'POST' ? PING : '';
        expect(said(await inSession({ method, body, headers: { 'mcp-session-id': id } }))).toEqual(early(404, 'Session not found'));
      }
    }
  });

  it("another principal's id is answered as an unknown one, for every verb, and stays alive", async () => {
    for (const method of ['POST', 'GET', 'DELETE']) {
      const body = method === 'POST' ? PING : '';
      expect(said(await inSession({ method, body, headers: BOB }))).toEqual(early(404, 'Session not found'));
    }
    expect((await inSession({})).status).toBe(200);
  });

  it('the id alone is 401, before anything is said about it', async () => {
    const anonymous = await inSession({ headers: { authorization: undefined } });
    expect([said(anonymous), anonymous.headers['www-authenticate']]).toEqual([
      early(401, 'The request carries no credential.'),
      'Bearer scope="turnpike:read"',
    ]);
  });

  it('a missing id is 400 with the id of the request, for requests, notifications and responses', async () => {
    const post = (body: object) => front.send({ body: JSON.stringify({ jsonrpc: '2.0', ...body }), headers: ANN });
    expect(said(await post({ id: 'a', method: 'tools/list' }))).toEqual([400, -32600, 'Mcp-Session-Id header is required', 'a']);
    expect(said(await post({ id: 3, result: {} }))).toEqual([400, -32600, 'Mcp-Session-Id header is required', 3]);
    expect(said(await post({ method: 'notifications/initialized' }))).toEqual([400, -32600, 'Mcp-Session-Id header is required', undefined]);
  });

  it('a version header that no session speaks is 400; none at all is fine', async () => {
    for (const version of ['1999-01-01', '2024-11-05', '', 'x', '2025-11-25, 2025-11-25']) {
      const answer = await inSession({ headers: { 'mcp-protocol-version': version } });
      expect(said(answer)).toEqual([400, -32600, `Unsupported protocol version: ${version}`, 5]);
    }
    const get = await inSession({ method: 'GET', body: '', headers: { 'mcp-protocol-version': '1999-01-01' } });
    expect(said(get)).toEqual(early(400, 'Unsupported protocol version: 1999-01-01'));
    for (const version of [undefined, '2025-03-26', '2025-11-25', ' 2025-11-25 ']) {
      expect((await inSession({ headers: { 'mcp-protocol-version': version } })).status).toBe(200);
    }
  });

  it('a second GET stream on one session is 409, and beyond the cap there is no session', async () => {
    const own = await front.session('2025-11-25', { headers: ANN });
    const headers = { ...ANN, 'mcp-session-id': own.id, accept: 'text/event-stream' };
    const stream = front.begin({ method: 'GET', headers });
    stream.on('error', () => {});
    const opened = headOf(stream);
    stream.end();
    expect((await opened).statusCode).toBe(200);
    expect(said(await front.send({ method: 'GET', headers }))).toEqual([409, -32600, 'The session has an open GET stream already', undefined]);
    stream.destroy();

    await using full = await GatewayRig.make();
    const small = await full.start({ limits: { sessions: 1 } });
    await small.session();
    const initialize = { jsonrpc: '2.0', id: 1, method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {} } };
    const refused = await small.send({ body: JSON.stringify(initialize) });
    expect([said(refused).slice(0, 3), refused.headers['retry-after']]).toEqual([[503, -32603, 'The session cap is reached; retry later.'], '30']);
  });
});

describe('the envelope of 2026-07-28', () => {
  const send = (params: object, headers: SentHeaders = {}, method = 'tools/list') =>
    front.send({
      body: JSON.stringify({ jsonrpc: '2.0', id: 9, method, params }),
      headers: { ...ANN, 'mcp-protocol-version': '2026-07-28', 'mcp-method': method, ...headers },
    });
  const meta = (more: Record<string, unknown>) => ({ _meta: modernMeta(more) });
  const quoted = (key: string) => `params._meta["${key}"]`;

  it.each<readonly [string, object, string]>([
    ['no _meta', {}, `${quoted(META.protocolVersion)} is missing`],
    ['a _meta that is a number', { _meta: 5 }, `${quoted(META.protocolVersion)} is missing`],
    ['a _meta without version', { _meta: { [META.clientCapabilities]: {} } }, `${quoted(META.protocolVersion)} is missing`],
    ['a version that is a number', meta({ [META.protocolVersion]: 5 }), `${quoted(META.protocolVersion)} must be a string`],
    ['no capabilities', { _meta: { [META.protocolVersion]: '2026-07-28' } }, `${quoted(META.clientCapabilities)} must be an object, and is missing`],
    ['capabilities that are a list', meta({ [META.clientCapabilities]: [] }), `${quoted(META.clientCapabilities)} must be an object`],
    ['a client without version', meta({ [META.clientInfo]: { name: 'x' } }), `${quoted(META.clientInfo)} must be an object with name and version`],
    ['an unknown log level', meta({ [META.logLevel]: 'loud' }), `${quoted(META.logLevel)} must be one of the log levels`],
    ['a progress token that is an object', meta({ progressToken: {} }), `${quoted('progressToken')} must be a string or an integer`],
  ])('%s is 400 -32602 and names the key', async (_name, params, message) => {
    expect(said(await send(params))).toEqual([400, -32602, message, 9]);
  });

  it('the header must say the version of the body, and that must be ours', async () => {
    const future = meta({ [META.protocolVersion]: '2027-01-01' });
    expect(said(await send(future))).toEqual([400, -32020, 'MCP-Protocol-Version does not match the body', 9]);
    const same = await send(future, { 'mcp-protocol-version': '2027-01-01' });
    expect([said(same), same.body.error?.data]).toEqual([
      [400, -32022, 'Unsupported protocol version: 2027-01-01', 9],
      { supported: ['2026-07-28'], requested: '2027-01-01' },
    ]);
    // Whether the revision is spoken comes before the presence of headers.
    expect(said(await send(future, { 'mcp-protocol-version': undefined, 'mcp-method': undefined }))[1]).toBe(-32022);
    expect(said(await send(meta({}), { 'mcp-protocol-version': '2025-11-25' }))).toEqual([
      400,
      -32020,
      'MCP-Protocol-Version does not match the body',
      9,
    ]);
    expect(said(await send(meta({}), { 'mcp-protocol-version': ['2026-07-28', '2026-07-28'] }))[1]).toBe(-32020);
    const initialize = await send({ protocolVersion: '2025-11-25', capabilities: {} }, {}, 'initialize');
    expect(said(initialize)).toEqual([400, -32020, 'initialize belongs to session revisions, but MCP-Protocol-Version says 2026-07-28', 9]);
  });

  it('three headers are missed in this order, before any is compared', async () => {
    const call = { name: 'x_up_echo', ...meta({}) };
    const missing = async (headers: SentHeaders) => said(await send(call, headers, 'tools/call')).slice(0, 3);
    const none = { 'mcp-protocol-version': undefined, 'mcp-method': undefined };
    expect(await missing(none)).toEqual([400, -32020, 'MCP-Protocol-Version is missing']);
    expect(await missing({ ...none, 'mcp-protocol-version': '2026-07-28' })).toEqual([400, -32020, 'Mcp-Method is missing']);
    expect(await missing({ 'mcp-method': 'tools/list' })).toEqual([400, -32020, 'Mcp-Name is missing']);
    expect(await missing({ 'mcp-method': 'tools/list', 'mcp-name': 'x' })).toEqual([400, -32020, 'Mcp-Method does not match the body']);
    expect(await missing({ 'mcp-method': 'Tools/Call', 'mcp-name': 'x_up_echo' })).toEqual([400, -32020, 'Mcp-Method does not match the body']);
    expect(await missing({ 'mcp-name': 'x_up_exit' })).toEqual([400, -32020, 'Mcp-Name does not match the body']);
    expect(await missing({ 'mcp-name': ['x_up_echo', 'x_up_echo'] })).toEqual([400, -32020, 'Mcp-Name is repeated']);
    expect(await missing({ 'mcp-name': '=?base64?###?=' })).toEqual([400, -32020, 'Mcp-Name is not valid base64']);
    expect(await missing({ 'mcp-method': ['tools/call', 'tools/call'], 'mcp-name': 'x_up_echo' })).toEqual([400, -32020, 'Mcp-Method is repeated']);
    // A header that is wrong comes before a method that is unknown (checks 14 and 15).
    expect(said(await send(meta({}), { 'mcp-method': undefined }, 'no/such'))).toEqual([400, -32020, 'Mcp-Method is missing', 9]);
    expect((await rig.journal('up')).filter((line) => line.startsWith('call'))).toEqual([]);
  });

  it('a session header is ignored, a response is refused, a notification is 202', async () => {
    expect((await send(meta({}), { 'mcp-session-id': 'nope' })).status).toBe(200);
    const post = (body: object) =>
      front.send({ body: JSON.stringify({ jsonrpc: '2.0', ...body }), headers: { ...ANN, 'mcp-protocol-version': '2026-07-28' } });
    expect(said(await post({ id: 3, result: {} }))).toEqual([400, -32600, 'Invalid Request: 2026-07-28 servers ask nothing', 3]);
    expect((await post({ method: 'notifications/x' })).status).toBe(202);
    expect((await post({ method: 'notifications/x', params: { _meta: modernMeta() } })).status).toBe(202);
  });

  it('a refusal of policy is a result, one of scope is 403 with a challenge', async () => {
    const denied = await front.call('x_up_exit', {}, { headers: ANN });
    expect([denied.status, denied.body.result?.isError, denied.body.error]).toEqual([200, true, undefined]);
    expect(denied.text).toContain("tool 'exit' is blocked as it is destructive. Use --yolo flag to allow destructive operations");
    const scope = await front.call('x_up_echo', {}, { headers: READER });
    expect([scope.status, scope.body.error?.code, scope.headers['www-authenticate']]).toEqual([
      403,
      -32600,
      'Bearer scope="turnpike:write", error="insufficient_scope"',
    ]);
    // In a batch only the element that lacks the scope is refused: the others may have run.
    const reader = await front.session('2025-03-26', { headers: READER });
    const batch = await reader.send([
      { jsonrpc: '2.0', id: 1, method: 'tools/list' },
      { jsonrpc: '2.0', id: 2, method: 'tools/call', params: { name: 'x_up_echo', arguments: {} } },
      { jsonrpc: '2.0', id: 3, method: 'ping' },
    ]);
    expect([batch.status, batch.headers['www-authenticate']]).toEqual([200, undefined]);
    expect(JSON.parse(batch.text)).toEqual([
      { jsonrpc: '2.0', id: 1, result: { tools: expect.any(Array) } },
      { jsonrpc: '2.0', id: 2, error: { code: -32600, message: expect.any(String), data: { requiredScopes: ['turnpike:write'] } } },
      { jsonrpc: '2.0', id: 3, result: {} },
    ]);
    expect((await rig.journal('up')).filter((line) => line.startsWith('call'))).toEqual([]);
  });
});

describe('the order of checks: of everything that is wrong, the first is answered', () => {
  const WRONG = {
    host: { host: 'evil.example' },
    size: { 'content-length': String(MAX + 1) },
    type: { 'content-type': 'text/plain' },
    accept: { accept: 'text/html' },
    credential: { authorization: undefined },
    session: { 'mcp-session-id': 'nope' },
  } as const;

  it.each<readonly [string, (keyof typeof WRONG)[], number]>([
    ['Host before everything', ['host', 'size', 'type', 'accept', 'credential', 'session'], 403],
    ['size', ['size', 'type', 'accept', 'credential', 'session'], 413],
    ['content type', ['type', 'accept', 'credential', 'session'], 415],
    ['Accept', ['accept', 'credential', 'session'], 406],
    ['a missing credential', ['credential', 'session'], 401],
    ['an unknown session', ['session'], 404],
    ['JSON', [], 400],
  ])('%s', async (_name, faults, status) => {
    const headers = Object.assign({}, ...faults.map((fault) => WRONG[fault])) as SentHeaders;
    const answer = await inSession({ body: '{', headers: { ...headers } });
    expect([answer.status, answer.body.id]).toEqual([status, undefined]);
  });

  it('a malformed credential before the session, a wrong one after it', async () => {
    const session404 = { 'mcp-session-id': 'nope' };
    expect((await inSession({ headers: { ...session404, authorization: 'Bearer' } })).status).toBe(401);
    expect((await inSession({ headers: { ...session404, authorization: 'Bearer unknown-token' } })).status).toBe(404);
    const wrong = await inSession({ body: '{', headers: { authorization: 'Bearer unknown-token' } });
    expect([said(wrong), wrong.headers['www-authenticate']]).toEqual([
      early(401, 'The credential is malformed, unknown, expired or revoked.'),
      'Bearer scope="turnpike:read", error="invalid_token"',
    ]);
  });

  it('then envelope, version, headers, method, name, policy, scope', async () => {
    const call = (params: object, headers: SentHeaders, method = 'tools/call') =>
      front.send({
        body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
        headers: { ...READER, 'mcp-protocol-version': '2026-07-28', ...headers },
      });
    const bare = { [META.protocolVersion]: '2027-01-01' };
    expect((await call({ _meta: bare }, {}, 'no/such')).body.error?.message).toContain('clientCapabilities');
    expect((await call({ _meta: { ...modernMeta(), ...bare } }, {}, 'no/such')).body.error?.message).toBe(
      'MCP-Protocol-Version does not match the body',
    );
    expect((await call({ _meta: modernMeta() }, {}, 'no/such')).body.error?.message).toBe('Mcp-Method is missing');
    expect((await call({ _meta: modernMeta() }, { 'mcp-method': 'no/such' }, 'no/such')).body.error?.code).toBe(-32601);
    const named = (name: string) => call({ name, arguments: 5, _meta: modernMeta() }, { 'mcp-method': 'tools/call', 'mcp-name': name });
    expect((await named('nope')).body.error?.message).toBe('tool not found: nope');
    expect((await named('x_up_exit')).body.result?.isError).toBe(true);
    expect((await named('x_up_echo')).body.error?.message).toBe('params.arguments must be an object');
  });
});
