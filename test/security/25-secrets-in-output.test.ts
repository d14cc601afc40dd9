import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import type http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/mcp.ts';
import { HttpProxy, type HttpUpstream, startUpstream } from '../fixtures/http-upstream.ts';
import { environmentOf, liveProcesses } from '../fixtures/processes.ts';
import { LegacyClient, ModernClient } from './kit/clients.ts';
import { get, send } from './kit/http.ts';
import { GatewayProcess, marked } from './kit/process.ts';
import { filesBelow, Sentinels } from './kit/sentinels.ts';
import { json, type Received, type ScriptedUpstream, scripted, tool } from './kit/upstreams.ts';
import { head, wire } from './kit/wire.ts';

/** Class 25: a sentinel in every place where a secret goes in, and a search for each of them in every byte that comes out. */

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
const LEAKY = fileURLToPath(new URL('./kit/leaky-child.ts', import.meta.url));
const FORWARDED = ['x-actor-token', 'cookie', 'private-token'];

const secrets = new Sentinels();
/** What clients write into their own requests: it may come back to them, and must appear nowhere else. */
const clients = new Sentinels();
const key = secrets.set('encryption key', randomBytes(32).toString('base64'));

/** A reference as it stands in the file. */
const fromEnvironment = (name: string) => ['$', `{env:${name}}`].join('');

/** All bytes that anybody outside was given, by where they came from. */
const emitted: [string, Buffer | string][] = [];

let outside: string;
let echo: ScriptedUpstream;
let broken: HttpUpstream;
let proxy: HttpProxy;
let gateway: GatewayProcess;

beforeAll(async () => {
  outside = await mkdtemp(join(tmpdir(), 'turnpike-outside-'));
  const metricsFile = join(outside, 'metrics-token');
  await writeFile(metricsFile, `${secrets.of('metrics token')}\n`);
  proxy = await new HttpProxy().listen();
  // Says back what it was told: as error texts, as statuses, on the session and as a redirect.
  echo = await scripted({
    tools: ['say', 'status', 'rpc', 'redirect', 'cut', 'garbage', 'relayed', 'unnamed'].map((name) => tool(name)),
    resources: [{ uri: 'test://one', name: 'one' }],
    templates: [{ uriTemplate: 'notes://{+rest}', name: 'notes' }],
    act: tellAll,
  });
  broken = await startUpstream(
    (response, seen) =>
      void response.writeHead(500, { 'x-echo': JSON.stringify(seen.headers) }).end(`no: ${JSON.stringify(seen.headers)} ${seen.url}`),
  );

  gateway = await GatewayProcess.start(
    (folder, mark) => ({
      auth: {
        modes: ['static'],
        failures: { max: 1_000_000 },
        static: [
          { name: 'alice', token: fromEnvironment('ALICE_TOKEN') },
          { name: 'bob', sha256: createHash('sha256').update(secrets.of('token given as its digest')).digest('hex') },
        ],
      },
      store: { type: 'sqlite', dir: join(folder, 'state'), encryptionKeys: [{ id: 'k1', key: fromEnvironment('STORE_KEY') }] },
      telemetry: {
        log: { level: 'debug', format: 'json' },
        metrics: { tokenFile: metricsFile },
        audit: { file: 'audit.jsonl' },
      },
      upstreams: [
        {
          name: 'echo',
          type: 'streamable-http',
          url: `${echo.url}?api_key=${secrets.of('query of an upstream')}`,
          headers: { 'X-Tenant-Secret': fromEnvironment('HEADER_SECRET') },
          auth: { mode: 'header', header: { name: 'X-Api-Key', value: fromEnvironment('API_KEY') } },
        },
        {
          name: 'basic',
          type: 'streamable-http',
          url: broken.url,
          auth: { mode: 'header', header: { name: 'Authorization', value: fromEnvironment('BASIC') } },
        },
        {
          name: 'viaproxy',
          type: 'streamable-http',
          url: broken.url,
          proxy: `http://user:${secrets.of('password of a proxy')}@${new URL(proxy.url).host}`,
        },
        { name: 'down', type: 'streamable-http', url: `http://127.0.0.1:1/mcp?token=${secrets.of('query of an upstream that is down')}` },
        {
          name: 'leaky',
          type: 'stdio',
          command: process.execPath,
          args: [LEAKY, '--stdio'],
          env: {
            ...marked(mark),
            CHILD_SECRET: fromEnvironment('CHILD_SECRET'),
            CHILD_KEY: `-----BEGIN PRIVATE KEY-----\n${secrets.of('key of a child')}\n-----END PRIVATE KEY-----`,
          },
        },
        {
          name: 'dying',
          type: 'stdio',
          command: process.execPath,
          args: [LEAKY, 'die'],
          env: { ...marked(mark), CHILD_SECRET: fromEnvironment('CHILD_SECRET') },
        },
      ],
    }),
    {
      env: {
        ALICE_TOKEN: secrets.of('token in the environment'),
        STORE_KEY: key,
        HEADER_SECRET: secrets.of('header of an upstream'),
        API_KEY: secrets.of('credential of an upstream'),
        BASIC: `Basic ${Buffer.from(`user:${secrets.of('basic credential')}`).toString('base64')}`,
        CHILD_SECRET: secrets.of('environment of a child'),
      },
    },
  );
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  for (const one of [echo, broken, proxy]) await one[Symbol.asyncDispose]();
  await rm(outside, { recursive: true, force: true });
});

function tellAll({ headers, url, params, message }: Received, response: http.ServerResponse): JsonObject | undefined {
  const told = `x-api-key: ${headers['x-api-key']} and ${JSON.stringify(headers)} at http://user:${headers['x-api-key']}@host${url}`;
  switch (params.name) {
    case 'status':
      response.writeHead(503, { 'content-type': 'text/plain', 'x-echo': told }).end(told);
      return undefined;
    case 'rpc':
      json(response, 400, { jsonrpc: '2.0', id: message.id, error: { code: -32020, message: told, data: { told } } });
      return undefined;
    case 'redirect':
      response.writeHead(307, { location: `http://127.0.0.1:1/${headers['x-api-key']}` }).end(told);
      return undefined;
    case 'relayed':
      json(response, 200, { jsonrpc: '2.0', id: message.id, error: { code: -32603, message: told, data: { told } } });
      return undefined;
    case 'unnamed':
      json(response, 200, { jsonrpc: '2.0', id: message.id, error: { code: -32603, message: `rejected ${headers['x-api-key']}` } });
      return undefined;
    case 'cut':
      response.socket?.destroy();
      return undefined;
    case 'garbage':
      response.writeHead(200, { 'content-type': 'application/json' }).end(`{"told": ${told}`);
      return undefined;
    default:
      return { content: [{ type: 'text', text: 'said' }] };
  }
}

/** Keeps what a client was answered. */
function keep<T extends { readonly text: string; readonly headers: http.IncomingHttpHeaders }>(where: string, reply: T): T {
  emitted.push([where, `${JSON.stringify(reply.headers)}\n${reply.text}`]);
  return reply;
}

it('all kinds of traffic', { timeout: 90_000 }, async () => {
  const token = secrets.of('token in the environment');
  const alice = new ModernClient(gateway.url, token);
  const bob = await LegacyClient.open(gateway.url, secrets.of('token given as its digest'), {
    clientInfo: { name: clients.of('client name'), version: '1' },
  });
  keep('initialize', bob.initialized);
  const nested = { a: [{ password: clients.of('nested argument'), deep: [[{ text: `Bearer ${clients.of('bearer in an argument')}` }]] }] };

  // Upstreams that say back what they were sent, and fail in every way.
  for (const name of ['say', 'status', 'rpc', 'redirect', 'cut', 'garbage']) {
    for (const client of [alice, bob]) keep(`echo ${name}`, await client.call(`x_echo_${name}`, nested));
  }
  // Errors of upstreams pass to their caller as they are; what we keep of them is masked.
  for (const name of ['relayed', 'unnamed']) await alice.call(`x_echo_${name}`, nested);
  for (const name of ['basic', 'viaproxy', 'down', 'dying']) {
    keep(name, await alice.call(`x_${name}_tool`, nested));
    keep(`${name}, a resource`, await bob.send('resources/read', { uri: `turnpike://${name}/x%3A%2F%2Fy` }));
  }
  keep('leaky', await bob.call('x_leaky_echo', { value: 1 }));
  keep('leaky, dying in a call', await bob.call('x_leaky_crash', nested));
  keep('leaky, again', await bob.call('x_leaky_echo', { value: 1 }));

  // Credentials in every place where a client could put one.
  const { body, headers } = alice.request('tools/call', { name: 'x_echo_say', arguments: {} });
  const more = Object.fromEntries(
    FORWARDED.filter((name) => name !== 'private-token').map((name) => [name, `session=${clients.of(`header ${name}`)}`]),
  );
  keep(
    'with cookies',
    await send(`${gateway.url}?access_token=${clients.of('query of a request')}&token=${token}`, 'POST', { ...headers, ...more }, body),
  );
  for (const authorization of [
    `Bearer ${clients.of('wrong token')}`,
    `Basic ${Buffer.from(`u:${clients.of('basic of a client')}`).toString('base64')}`,
    `Bearer ${token}x`,
    `Bearer ${token} ${token}`,
    token,
  ]) {
    keep('wrong credential', await send(gateway.url, 'POST', { ...headers, authorization }, body));
  }
  keep(
    'two credentials',
    await send(gateway.url, 'POST', { ...headers, authorization: [`Bearer ${token}`, `Bearer ${clients.of('second token')}`] }, body),
  );
  keep('another kind', await send(gateway.url, 'POST', { ...headers, 'private-token': clients.of('private token') }, body));
  keep('no credential', await send(`${gateway.url}?access_token=${token}`, 'POST', { 'content-type': 'application/json' }, body));
  const raw = async (...lines: string[]) =>
    wire(gateway.port, head('POST /mcp HTTP/1.1', [...lines, `Authorization: Bearer ${token}`, 'Content-Type: application/json'], body));
  for (const lines of [
    [`Host: user:${clients.of('host')}@localhost`],
    [`Host: 127.0.0.1:${gateway.port}`, `Origin: https://u:${clients.of('origin')}@evil.example`],
    [`Host: localhost\x01`],
    [],
  ]) {
    emitted.push(['guard', (await raw(...lines)).text]);
  }

  // Names, URIs, ids and bodies that hold one.
  keep(
    'a URI with a password',
    await alice.send('resources/read', { uri: `https://u:${clients.of('password in a URI')}@host/x?token=${clients.of('query of a URI')}` }),
  );
  const reversible = encodeURIComponent(
    `https://u:${clients.of('password in an encoded URI')}@host/x?token=${clients.of('query of an encoded URI')}`,
  );
  keep('a resource of one upstream', await alice.send('resources/read', { uri: `turnpike://echo/${reversible}` }));
  keep(
    'a resource by a template',
    await alice.send('resources/read', {
      uri: `notes://u:${clients.of('password in a made URI')}@host/x?token=${clients.of('query of a made URI')}`,
    }),
  );
  keep('an id', await alice.send('tasks/get', { taskId: `token=${clients.of('task id')}` }));
  keep('a session id', await send(gateway.url, 'POST', { ...bob.headers(), 'mcp-session-id': clients.of('session id') }, body));
  keep('broken JSON', await send(gateway.url, 'POST', headers, `{"jsonrpc":"2.0","password":"${clients.of('broken JSON')}",`));
  keep(
    'wrong types',
    await send(gateway.url, 'POST', headers, `{"jsonrpc":"2.0","id":1,"method":5,"params":{"token":"${clients.of('wrong types')}"}}`),
  );
  keep('a wrong cursor', await alice.send('tools/list', { cursor: `token=${clients.of('cursor')}` }));
  keep(
    '_meta',
    await alice.call('x_echo_say', {}, { meta: { 'vendor/token': clients.of('vendor meta'), traceparent: `token=${clients.of('traceparent')}` } }),
  );
  keep('lists', await alice.send('tools/list'));
  keep('lists of a session', await bob.send('tools/list'));

  // Pages for operators.
  const base = gateway.url.replace(/\/mcp$/, '');
  keep('metrics refused', await get(`${base}/metrics`));
  keep('metrics refused, nearly', await get(`${base}/metrics`, { authorization: `Bearer ${secrets.of('metrics token')}x` }));
  const metrics = keep('metrics', await get(`${base}/metrics`, { authorization: `Bearer ${secrets.of('metrics token')}` }));
  expect(metrics.text).toContain('turnpike_requests_total');
  for (const path of ['/healthz', '/health', '/readyz', '/nothing', `/${clients.of('path')}`]) keep(path, await get(`${base}${path}`));
  await bob.end();

  // The upstreams got what was meant for them, so there was something to leak.
  expect(echo.calls('tools/call').every(({ headers: seen }) => seen['x-api-key'] === secrets.of('credential of an upstream'))).toBe(true);
  expect(echo.calls('tools/call').length).toBeGreaterThan(10);
  expect(proxy.authorizations.filter((one) => one !== undefined).length).toBeGreaterThan(0);
  expect(gateway.output).toContain('starting with the key ***!');
  // And none of what a client sent for us alone went on to them.
  const forwarded = echo.requests
    .flatMap(({ headers: seen }) => Object.keys(seen))
    .filter((name) => FORWARDED.includes(name) || name === 'authorization');
  expect(forwarded).toEqual([]);
});

it('no answer holds a secret of the configuration', () => {
  expect(emitted.length).toBeGreaterThan(40);
  expect(emitted.flatMap(([where, bytes]) => secrets.foundIn(bytes).map((place) => `${place}: ${where}`))).toEqual([]);
});

it('no answer to one client holds what another one sent', () => {
  const lines = emitted.filter(([where]) => ['metrics', '/readyz', 'lists', 'lists of a session', '/healthz'].includes(where));
  expect(lines).toHaveLength(5);
  expect(lines.flatMap(([where, bytes]) => clients.foundIn(bytes).map((place) => `${place}: ${where}`))).toEqual([]);
});

it('no command line and no environment of another process holds one', async () => {
  const own = (await liveProcesses()).filter(({ pid, parent }) => pid === gateway.pid || parent === gateway.pid);
  expect(own.length).toBeGreaterThanOrEqual(2);
  for (const { pid } of own) {
    // A process of somebody else may end while its files are looked for.
    const line = await readFile(`/proc/${pid}/cmdline`).catch(() => Buffer.alloc(0));
    if (line.length === 0) continue;
    expect([...secrets.foundIn(line), ...clients.foundIn(line)]).toEqual([]);
    if (pid === gateway.pid) continue;
    const environment = (await environmentOf(pid)).join('\0');
    expect(secrets.foundIn(environment).filter((place) => !place.endsWith('of a child'))).toEqual([]);
  }
});

it('`turnpike check` prints none, and says that there are some', async () => {
  const env = {
    PATH: process.env.PATH,
    HOME: gateway.folder,
    ALICE_TOKEN: secrets.of('token in the environment'),
    STORE_KEY: key,
    HEADER_SECRET: secrets.of('header of an upstream'),
    API_KEY: secrets.of('credential of an upstream'),
    BASIC: secrets.of('basic credential'),
    CHILD_SECRET: secrets.of('environment of a child'),
  };
  const file = join(gateway.folder, 'turnpike.yaml');
  const run = (args: string[], more: Record<string, string> = {}) =>
    promisify(execFile)(process.execPath, [MAIN, ...args], { env: { ...env, ...more }, cwd: gateway.folder }).catch(
      (error: { stdout: string; stderr: string }) => error,
    );
  const good = await run(['check', file]);
  expect(good.stdout).toContain('***');
  expect(secrets.foundIn(good.stdout + good.stderr)).toEqual([]);

  // Broken files do not quote what they hold, either.
  const text = await readFile(file, 'utf8');
  const breaks = [
    `${text}\nunknown: ${secrets.of('unknown key')}\n`,
    text.replace('static:', 'statik:'),
    `${text}\n  bad: [${secrets.of('broken YAML')}`,
    text.replace('url: ', `url: ftp://u:${secrets.of('bad URL')}@`),
  ];
  for (const [index, content] of breaks.entries()) {
    const path = join(gateway.folder, `broken-${index}.yaml`);
    await writeFile(path, content);
    const bad = await run(['check', path]);
    const served = await run(['serve', '--config', path]);
    await rm(path);
    expect(bad.stderr.length + bad.stdout.length).toBeGreaterThan(20);
    expect(secrets.foundIn(bad.stdout + bad.stderr + served.stdout + served.stderr)).toEqual([]);
  }
  const weak = await run(['check', file], { STORE_KEY: secrets.of('weak key'), ALICE_TOKEN: `${secrets.of('bad token')} ü` });
  expect(secrets.foundIn(weak.stdout + weak.stderr)).toEqual([]);
});

it('nothing that was written while it ran, and nothing that lies on disk after its end, holds one', async () => {
  expect(await gateway.end('SIGTERM')).toBe(0);
  expect(gateway.output.length).toBeGreaterThan(10_000);
  expect([...secrets.foundIn(gateway.output), ...clients.foundIn(gateway.output).filter((place) => place !== 'session id')]).toEqual([]);

  const files = await filesBelow(gateway.folder);
  const names = [...files.keys()].map((path) => path.slice(gateway.folder.length + 1));
  expect(names).toEqual(expect.arrayContaining(['turnpike.yaml', 'state/audit.jsonl']));
  expect(names.some((name) => name.endsWith('.db'))).toBe(true);
  for (const [path, bytes] of files) {
    if (path.endsWith('turnpike.yaml')) continue;
    expect([...secrets.foundIn(bytes), ...clients.foundIn(bytes)].map((place) => `${place}: ${path}`)).toEqual([]);
  }
  // The audit has a line for each call, so there was something to look at.
  expect(files.get(join(gateway.folder, 'state/audit.jsonl'))?.toString().split('\n').length).toBeGreaterThan(20);
  for (const path of files.keys()) if (path.includes('/state/')) expect((await stat(path)).mode & 0o777).toBe(0o600);
});

it('the search finds a secret in every form that it looks for', () => {
  const probe = new Sentinels();
  const value = probe.of('probe');
  const hidden = [
    value,
    `x${value}y`,
    Buffer.from(value).toString('hex'),
    ...['', 'u:', 'user:'].map((before) => Buffer.from(`${before}${value}`).toString('base64')),
  ];
  for (const text of hidden) expect(probe.foundIn(text)).toEqual(['probe']);
  expect(probe.foundIn('harmless')).toEqual([]);
  expect(secrets.places.length).toBeGreaterThanOrEqual(12);
});
