import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { GatewayRig } from '../fixtures/hostile/gateway-rig.ts';
import { HostileServer, type Trick } from '../fixtures/hostile/http-server.ts';
import { type Front, type SessionClient, textOf } from '../fixtures/hostile/wire.ts';

const MiB = 1024 * 1024;
const json: (make: (call: Parameters<Trick>[0]) => string | Buffer) => Trick = (make) => (call) =>
  call.response.writeHead(200, { 'content-type': 'application/json' }).end(make(call));
const events: (make: (call: Parameters<Trick>[0]) => string) => Trick = (make) => (call) =>
  call.response.writeHead(200, { 'content-type': 'text/event-stream' }).end(make(call));

/** Writes until the other side has enough. */
const endless: Trick = ({ response }) => {
  response.writeHead(200, { 'content-type': 'application/json' });
  const part = Buffer.alloc(MiB, 'x');
  const more = (left: number): void => {
    if (left === 0 || response.destroyed) response.end();
    else response.write(part, () => more(left - 1));
  };
  response.write('{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"');
  more(100);
};

const tricks: Record<string, Trick> = {
  garbage: json(() => 'this is not JSON'),
  halfJson: json(({ good }) => good('half').slice(0, 30)),
  badUtf8: json(({ good }) => {
    const bytes = Buffer.from(good('?'));
    bytes[bytes.indexOf('?')] = 0xff;
    return bytes;
  }),
  empty: json(() => ''),
  html: ({ response }) => response.writeHead(200, { 'content-type': 'text/html' }).end('<html>'),
  noType: ({ response }) => response.writeHead(200).end('x'),
  accepted: ({ response }) => response.writeHead(202).end(),
  noContent: ({ response }) => response.writeHead(204).end(),
  wrongResult: json(({ id }) => JSON.stringify({ jsonrpc: '2.0', id, result: 'text' })),
  nullMessage: json(() => 'null'),
  otherId: json(({ id }) => JSON.stringify({ jsonrpc: '2.0', id: id + 1000, result: {} })),
  errorWithoutId: json(() => JSON.stringify({ jsonrpc: '2.0', error: { code: -32000, message: 'who was it?' } })),
  unknownType: json(({ id }) => JSON.stringify({ jsonrpc: '2.0', id, result: { resultType: 'mystery' } })),
  huge: endless,
  nothing: () => {},
  halfHead: ({ response }) => void response.socket?.write('HTTP/1.1 200 OK\r\ncontent-type: appl'),
  badHead: ({ response }) => void response.socket?.end('HTTP/9.9 nonsense\r\n\r\n'),
  shortBody: ({ response }) => {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' });
    response.write('{"jsonrpc"', () => response.socket?.end());
  },
  streamOfNothing: events(() => ''),
  streamOfGarbage: events(() => 'data: this is not JSON\n\n: and\nevent\n\n'),
  streamWithoutEnd: events(({ good }) => `data: ${good('never ended')}`),
  streamOfNoise: events(
    ({ good }) =>
      `: hello\n\nevent: x\ndata\n\ndata: {"jsonrpc":"2.0","method":"notifications/x"}\n\ndata: {"jsonrpc":"2.0","id":7,"method":"no/such"}\n\nid: 5\ndata: ${good('heard')}\n\ndata: ${good('twice')}\n\n`,
  ),
  silentStream: ({ response }) => void response.writeHead(200, { 'content-type': 'text/event-stream' }).write(': hello\n\n'),
  hugeLine: ({ response }) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    const part = Buffer.alloc(MiB, 'x');
    const more = (left: number): void => {
      if (left === 0 || response.destroyed) response.end();
      else response.write(part, () => more(left - 1));
    };
    response.write('data: ');
    more(100);
  },
};

const servers: HostileServer[] = [];
let rig: GatewayRig;
let front: Front;
let session: SessionClient;

beforeAll(async () => {
  rig = await GatewayRig.make();
  servers.push(await HostileServer.start({ era: 'legacy', tricks }), await HostileServer.start({ era: 'modern', tricks }));
  // Sixteen MiB take their time on a busy machine.
  const patient = { timeouts: { call: '20s', list: '5s', startup: '20s' } };
  const upstreams = [
    servers[0]?.config('old'),
    servers[1]?.config('new'),
    servers[0]?.config('oldSlow', patient),
    servers[1]?.config('newSlow', patient),
  ];
  front = await rig.start({ upstreams });
  session = await front.session();
});
afterAll(async () => {
  await rig[Symbol.asyncDispose]();
  for (const server of servers) await server[Symbol.asyncDispose]();
});

const call = (upstream: string, tool: string) =>
  upstream.startsWith('new') ? front.call(`x_${upstream}_${tool}`) : session.call(`x_${upstream}_${tool}`);
/** What the client reads: code and text, whichever form they have. */
async function failure(upstream: string, tool: string): Promise<readonly [code: number | undefined, text: string | undefined]> {
  const answer = await call(upstream, tool);
  expect(answer.status).toBe(200);
  const meta = answer.body.result?._meta as { 'turnpike/error'?: { code: number } } | undefined;
  return answer.body.error === undefined ? [meta?.['turnpike/error']?.code, textOf(answer)] : [answer.body.error.code, answer.body.error.message];
}

describe.each(['old', 'new'])('an HTTP upstream (%s)', (upstream) => {
  const server = () => servers[upstream === 'new' ? 1 : 0] as HostileServer;
  const S = `upstream '${upstream}'`;
  const LOST = [-31003, `${S} closed the connection after the request was sent; the outcome is unknown`] as const;
  const timedOut = (tool: string) => [-31002, `tool 'x_${upstream}_${tool}' timed out after 0.8s`] as const;

  it.each<readonly [string, readonly [number, string]]>([
    ['garbage', [-32603, `${S} sent something that is not JSON`]],
    ['halfJson', [-32603, `${S} sent something that is not JSON`]],
    ['badUtf8', [-32603, `${S} sent something that is not JSON`]],
    ['empty', [-32603, `${S} sent an empty answer`]],
    ['html', [-32603, `${S} answered neither JSON nor an event stream`]],
    ['noType', [-32603, `${S} answered neither JSON nor an event stream`]],
    ['accepted', [-32603, `${S} took the request without answering it (status 202)`]],
    ['noContent', [-32603, `${S} took the request without answering it (status 204)`]],
    ['wrongResult', [-32603, `${S} sent a response with neither a result object nor an error`]],
    ['nullMessage', [-32603, `${S} sent JSON that is no object`]],
    ['otherId', [-32603, `${S} answered with something that is not the answer`]],
    ['errorWithoutId', [-32000, 'who was it?']],
    ['nothing', timedOut('nothing')],
    ['halfHead', timedOut('halfHead')],
    ['badHead', [-32603, `${S} sent something that is not valid HTTP`]],
    ['shortBody', LOST],
    ['streamOfGarbage', [-32603, `${S} sent something that is not JSON`]],
    ['streamOfNothing', LOST],
    ['streamWithoutEnd', LOST],
    ['silentStream', timedOut('silentStream')],
  ])('%s ends in a clear error in its deadline, ran once, and the next call works', async (tool, [code, text]) => {
    const begun = performance.now();
    const [seenCode, seenText] = await failure(upstream, tool);
    expect([seenCode, seenText]).toEqual([code, text]);
    expect(performance.now() - begun).toBeLessThan(5000);
    expect(server().count(tool)).toBe(1);
    expect(textOf(await call(upstream, 'echo'))).toBe('echo');
  });

  it('noise on the stream of a call is dropped, and the first answer counts', async () => {
    expect(textOf(await call(upstream, 'streamOfNoise'))).toBe('heard');
    expect(textOf(await call(upstream, 'echo'))).toBe('echo');
  });
});

describe.each(['oldSlow', 'newSlow'])('an HTTP upstream that does not stop (%s)', (upstream) => {
  it.each([
    ['huge', `sent a message larger than ${16 * MiB} bytes`],
    ['hugeLine', `sent a line longer than ${16 * MiB} bytes in an event stream`],
  ])('%s is cut off long before its end, named, and the next call works', async (tool, text) => {
    expect(await failure(upstream, tool)).toEqual([-32603, `upstream '${upstream}' ${text}`]);
    const server = servers[upstream === 'newSlow' ? 1 : 0];
    expect(server?.count(tool)).toBe(1);
    expect(textOf(await call(upstream, 'echo'))).toBe('echo');
  });
});

it('an unknown result type is an error from a modern upstream only', async () => {
  expect(await failure('new', 'unknownType')).toEqual([-32603, 'The upstream sent a result type Turnpike does not know: mystery.']);
  expect((await front.call('x_old_unknownType')).body.result?.resultType).toBe('complete');
});
