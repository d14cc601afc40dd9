import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it, onTestFinished } from 'vitest';
import { buildProgram } from './program.ts';
import { runProgram } from './run.ts';
import { type SampleOptions, type SampleSurroundings, sampleSurroundings } from './sample-surroundings.ts';

interface Seen {
  readonly headers: IncomingMessage['headers'];
  readonly path: string | undefined;
  /** The body as it came. */
  readonly text: string;
  readonly body: { id: number; method: string; params: { [key: string]: unknown; _meta: Record<string, unknown> } };
}

type Answer = (seen: Seen, response: ServerResponse) => void;

const TOOLS = [
  { name: 'x_a_echo', description: '\n  Says it again.\nAnd more.', inputSchema: { type: 'object' } },
  {
    name: 'x_a_find',
    inputSchema: { type: 'object', properties: { region: { type: 'string', 'x-mcp-header': 'Region' } } },
  },
];

let stop: (() => Promise<void>) | undefined;
afterEach(async () => {
  await stop?.();
  stop = undefined;
});

/** A gateway that lists two tools in two pages and answers calls as it is told. */
async function gateway(answerCall: Answer, tools: readonly object[] = TOOLS): Promise<{ readonly url: string; readonly seen: Seen[] }> {
  const seen: Seen[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString();
    const one: Seen = { headers: request.headers, path: request.url, text, body: JSON.parse(text) };
    seen.push(one);
    if (one.body.method !== 'tools/list') return answerCall(one, response);
    const isFirst = one.body.params.cursor === undefined;
    result(one, response, {
      tools: isFirst ? tools.slice(0, 1) : tools.slice(1),
      ...(isFirst ? { nextCursor: 'c' } : {}),
      _meta: { 'turnpike/unavailable': [{ upstream: 'b', reason: 'is down' }] },
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  stop = () =>
    new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen };
}

function send(response: ServerResponse, status: number, body: string, type = 'application/json'): void {
  response.writeHead(status, { 'content-type': type }).end(body);
}

function result(seen: Seen, response: ServerResponse, value: object): void {
  send(response, 200, JSON.stringify({ jsonrpc: '2.0', id: seen.body.id, result: value }));
}

async function run(args: readonly string[], options: SampleOptions = {}): Promise<SampleSurroundings & { readonly code: number }> {
  const around = sampleSurroundings(options);
  const code = await runProgram((state) => buildProgram(around, state), args, around);
  return { ...around, code };
}

const text = (...texts: string[]) => ({ content: texts.map((one) => ({ type: 'text', text: one })) });

describe('list', () => {
  it('prints every page as a table, and which upstreams are missing', async () => {
    const { url, seen } = await gateway(() => {});
    const { code, out, err } = await run(['list', '--url', url]);
    expect(code).toBe(0);
    expect(out()).toBe('NAME      DESCRIPTION\nx_a_echo  Says it again.\nx_a_find\n');
    expect(err()).toBe('turnpike: upstream b is missing: is down\n');
    expect(seen.map(({ path, body }) => [path, body.params.cursor])).toEqual([
      ['/mcp', undefined],
      ['/mcp', 'c'],
    ]);
    expect(seen[0]?.headers).toMatchObject({ 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/list' });
    expect(seen[0]?.body.params._meta['io.modelcontextprotocol/protocolVersion']).toBe('2026-07-28');
    expect(seen[0]?.headers.authorization).toBeUndefined();
  });

  it('prints the tools as they came with --json', async () => {
    const { url } = await gateway(() => {});
    const { out } = await run(['list', '--json', '--url', `${url}/mcp`]);
    expect(JSON.parse(out())).toEqual({ tools: TOOLS });
  });

  it('keeps control characters of foreign texts away from a terminal, and lines within its width', async () => {
    const { url } = await gateway(() => {}, [{ name: 'x_a_echo', description: `\u001b[2Jclears ${'w'.repeat(80)}` }]);
    const { out } = await run(['list', '--url', url], { terminal: true });
    expect(out()).not.toContain('\u001b');
    for (const line of out().split('\n')) expect(line.length).toBeLessThanOrEqual(40);
  });
});

describe('call', () => {
  it('sends what the gateway demands and prints the text', async () => {
    const { url, seen } = await gateway((one, response) => result(one, response, text('one', 'two')));
    const { code, out, err } = await run(['call', 'x_a_find', '{"region":"eu"}'], { env: { TURNPIKE_URL: url } });
    expect([code, out(), err()]).toEqual([0, 'one\ntwo\n', '']);
    const call = seen.at(-1);
    expect(call?.headers).toMatchObject({ 'mcp-method': 'tools/call', 'mcp-name': 'x_a_find', 'mcp-param-region': 'eu' });
    expect(call?.body.params).toMatchObject({ name: 'x_a_find', arguments: { region: 'eu' } });
  });

  it('reads arguments from standard input', async () => {
    const { url, seen } = await gateway((one, response) => result(one, response, text()));
    const { code } = await run(['call', 'x_a_echo', '-', '--url', url], { stdin: '{"deep":{"n":1}}' });
    expect(code).toBe(0);
    expect(seen.at(-1)?.body.params.arguments).toEqual({ deep: { n: 1 } });
  });

  it.each([
    ['the command line', false],
    ['standard input', true],
  ])('sends the arguments of %s byte for byte', async (_where, piped) => {
    const { url, seen } = await gateway((one, response) => result(one, response, text()));
    const given = '{ "n": 1.0, "big": 12345678901234567890, "e": 1E2,\t"same": 1, "same": 2, "text": "\\u00e4 ä\\/" }';
    const args = ['call', 'x_a_echo', piped ? '-' : given, '--url', url];
    const { code } = await run(args, piped ? { stdin: given } : {});
    expect(code).toBe(0);
    expect(seen.at(-1)?.text).toContain(`"arguments":${given}`);
  });

  it('arguments that are not UTF-8 are refused, not repaired', async () => {
    const { code, err } = await run(['call', 'x', '-'], { stdin: Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]) });
    expect([code, err()]).toEqual([2, `turnpike: the arguments are no valid JSON (expected a JSON object such as '{"path": "/tmp"}')\n`]);
  });

  it('describes what is no text', async () => {
    const content = [
      { type: 'image', mimeType: 'image/png', data: 'AAAA' },
      { type: 'resource_link', uri: 'file:///a', name: 'a' },
      { type: 'resource', resource: { uri: 'file:///b', text: 'inside' } },
      { type: 'resource', resource: { uri: 'file:///c', mimeType: 'x/y', blob: 'AAAA' } },
      { type: 'hologram' },
    ];
    const { url } = await gateway((one, response) => result(one, response, { content }));
    const { out } = await run(['call', 'x_a_echo', '--url', url]);
    expect(out()).toBe(
      '[image, image/png, 3 bytes]\n[link to file:///a, a]\ninside\n[resource file:///c, x/y, 3 bytes]\n[content of type hologram; --json shows it]\n',
    );
  });

  it('prints the bytes of the result with --json', async () => {
    const raw = '{"content": [],\n "n": 12345678901234567890, "n2":1.0}';
    const { url } = await gateway((one, response) => send(response, 200, `{"jsonrpc":"2.0","id":${one.body.id},"result":${raw}}`));
    const { code, out } = await run(['call', 'x_a_echo', '--json', '--url', url]);
    expect([code, out()]).toEqual([0, `${raw}\n`]);
  });

  it('shows progress on standard error and the answer of a stream on standard output', async () => {
    const { url } = await gateway((one, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      const progress = { progressToken: one.body.params._meta.progressToken, progress: 1, total: 2, message: 'half' };
      response.write(`data: ${JSON.stringify({ jsonrpc: '2.0', method: 'notifications/progress', params: progress })}\n\n`);
      response.write(`data: ${JSON.stringify({ jsonrpc: '2.0', id: one.body.id, result: text('done') })}\n\n`);
    });
    const { code, out, err } = await run(['call', 'x_a_echo', '--url', url]);
    expect([code, out(), err()]).toEqual([0, 'done\n', '1/2 half\n']);
  });

  const failed = { isError: true, ...text('no') };
  it.each<[string, number, string, Answer]>([
    ['a tool that fails', 1, 'no\n', (one, response) => result(one, response, failed)],
    ['a policy that refuses', 3, 'no\n', (one, response) => result(one, response, { ...failed, _meta: { 'turnpike/refusal': { rule: 'x' } } })],
    [
      'a tool that asks for input',
      1,
      'turnpike: the tool asks for input (elicitation/create: Which?), and nobody can answer here. Call it from an interactive client.\n',
      (one, response) =>
        result(one, response, {
          resultType: 'input_required',
          inputRequests: { a: { method: 'elicitation/create', params: { message: 'Which?' } } },
          requestState: 's',
        }),
    ],
    [
      'a JSON-RPC error',
      1,
      'turnpike: bad arguments\n',
      (one, response) => send(response, 200, `{"jsonrpc":"2.0","id":${one.body.id},"error":{"code":-32602,"message":"bad arguments"}}`),
    ],
    [
      'no credential',
      3,
      'turnpike: The request carries no credential. (set TURNPIKE_TOKEN or --token-file)\n',
      (_one, response) => send(response, 401, '{"jsonrpc":"2.0","error":{"code":-32600,"message":"The request carries no credential."}}'),
    ],
    [
      'too few scopes',
      3,
      'turnpike: insufficient\n',
      (_one, response) => send(response, 403, '{"jsonrpc":"2.0","error":{"code":1,"message":"insufficient"}}'),
    ],
    [
      'no gateway at all',
      1,
      'turnpike: HTTP 502: <h1>Bad Gateway</h1>\n',
      (_one, response) => send(response, 502, '<h1>Bad\nGateway</h1>', 'text/html'),
    ],
  ])('%s', async (_what, code, err, answer) => {
    const { url } = await gateway(answer);
    const ended = await run(['call', 'x_a_echo', '--url', url]);
    expect([ended.code, ended.err(), ended.out()]).toEqual([code, err, '']);
  });

  it('a stream that ends without an answer', async () => {
    const { url } = await gateway((_one, response) => send(response, 200, ': nothing\n\n', 'text/event-stream'));
    const { code, err } = await run(['call', 'x_a_echo', '--url', url]);
    expect([code, err()]).toEqual([1, `turnpike: ${url}/mcp: the gateway closed the connection before it had answered\n`]);
  });

  it('an unknown tool is told with the likeliest name', async () => {
    const { url } = await gateway((one, response) =>
      send(response, 200, `{"jsonrpc":"2.0","id":${one.body.id},"error":{"code":-32602,"message":"tool not found: x_a_fnd"}}`),
    );
    const { code, err } = await run(['call', 'x_a_fnd', '--url', url]);
    expect([code, err()]).toEqual([1, 'turnpike: tool not found: x_a_fnd\n(Did you mean x_a_find?)\n']);
  });

  it('an answer that does not come within --timeout', async () => {
    const { url } = await gateway(() => {});
    const { code, err } = await run(['call', 'x_a_echo', '--url', url, '--timeout', '200ms']);
    expect([code, err()]).toEqual([1, `turnpike: ${url}/mcp: no answer within 0.2 s\n`]);
  });

  it.each([
    ['{', 'are no valid JSON'],
    ['[1]', 'are JSON, but no object'],
    ['null', 'are JSON, but no object'],
  ])('arguments %s are wrong usage', async (json, what) => {
    const { code, err } = await run(['call', 'x', json]);
    expect([code, err()]).toEqual([2, `turnpike: the arguments ${what} (expected a JSON object such as '{"path": "/tmp"}')\n`]);
  });
});

describe('the token', () => {
  const SENTINEL = 'sentinel-token-4711';

  it('comes from the variable, or from the file, which goes first', async () => {
    const { url, seen } = await gateway((one, response) => result(one, response, text()));
    const folder = await mkdtemp(join(tmpdir(), 'turnpike-cli-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    await writeFile(join(folder, 'token'), 'from-file\n');
    await run(['list', '--url', url], { env: { TURNPIKE_TOKEN: SENTINEL } });
    await run(['list', '--url', url, '--token-file', 'token'], { env: { TURNPIKE_TOKEN: SENTINEL }, cwd: folder });
    expect(seen.map(({ headers }) => headers.authorization)).toEqual([
      `Bearer ${SENTINEL}`,
      `Bearer ${SENTINEL}`,
      'Bearer from-file',
      'Bearer from-file',
    ]);
  });

  it('that cannot be sent, or read, is told without being shown', async () => {
    const bad = await run(['list'], { env: { TURNPIKE_TOKEN: `${SENTINEL} \n x` } });
    expect([bad.code, bad.err()]).toEqual([1, 'turnpike: TURNPIKE_TOKEN holds no token: letters, digits and -._~+/ (RFC 6750)\n']);
    const absent = await run(['list', '--token-file', 'none'], { cwd: '/nowhere' });
    expect([absent.code, absent.err()]).toEqual([1, 'turnpike: the token file cannot be read: ENOENT\n']);
  });

  it('is warned about where it would travel unencrypted, and is in no message', async () => {
    const { err, out } = await run(['list', '--url', 'http://gateway.invalid'], { env: { TURNPIKE_TOKEN: SENTINEL } });
    expect(err()).toContain('warning: the token travels unencrypted to gateway.invalid');
    expect(err() + out()).not.toContain(SENTINEL);
  });
});

describe('a gateway that is not there', () => {
  it('is told with what to do', async () => {
    const { url } = await gateway(() => {});
    await stop?.();
    stop = undefined;
    const { code, err } = await run(['list', '--url', `${url}?key=secret`]);
    expect([code, err()]).toEqual([
      1,
      `turnpike: no gateway answers at ${url}/mcp. Start one with turnpike serve, or name it with --url or TURNPIKE_URL.\n`,
    ]);
  });

  it.each(['ftp://x', 'localhost:8080', ''])('a URL %j is wrong usage', async (url) => {
    expect((await run(['list', '--url', url])).code).toBe(2);
  });
});
