import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LegacyClient } from './kit/clients.ts';
import { USERS } from './kit/gateway.ts';
import { GatewayProcess } from './kit/process.ts';
import { type ScriptedUpstream, scripted, tool } from './kit/upstreams.ts';
import { head, wire } from './kit/wire.ts';

/** Class 22: no id is ever a part of a path. A real process, whose files are looked at before and after. */

let upstream: ScriptedUpstream;
let gateway: GatewayProcess;
let session: LegacyClient;

beforeAll(async () => {
  upstream = await scripted({ tools: [tool('read')], resources: [{ uri: 'test://one', name: 'one' }] });
  gateway = await GatewayProcess.start((folder) => ({
    store: { type: 'sqlite', dir: join(folder, 'state') },
    upstreams: [{ name: 'up', type: 'streamable-http', url: upstream.url }],
  }));
  await writeFile(join(gateway.folder, 'secret.txt'), 'CANARY-IN-A-FILE');
  session = await gateway.session('alice');
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  await upstream[Symbol.asyncDispose]();
});

const IDS: readonly [string, string][] = [
  ['a relative path', '../secret.txt'],
  ['a deep relative path', `${'../'.repeat(20)}etc/passwd`],
  ['an encoded path', '%2e%2e%2fsecret.txt'],
  ['a Windows path', '..\\..\\secret.txt'],
  ['an absolute path', '/etc/passwd'],
  ['a file URL', 'file:///etc/passwd'],
  ['a NUL in the middle', 'turnpike.db\0.png'],
  ['a dot', '.'],
  ['4 KiB', 'a'.repeat(4096)],
  ['a member of every object', '__proto__'],
  ['a method of every object', 'constructor'],
];

/** Every file with size and mode; the log of calls grows by design. */
async function files(): Promise<string[]> {
  const names = await readdir(gateway.folder, { recursive: true });
  const seen = await Promise.all(
    names
      .filter((name) => !name.endsWith('audit.jsonl') && !/-(wal|shm)$/.test(name))
      .map(async (name) => {
        const { size, mode } = await stat(join(gateway.folder, name));
        return `${name} ${mode.toString(8)}${name.endsWith('.db') ? '' : ` ${size}`}`;
      }),
  );
  return seen.sort();
}

async function untouched<T>(work: () => Promise<T>): Promise<T> {
  const before = await files();
  const result = await work();
  expect(await files()).toEqual(before);
  expect(upstream.calls().filter(({ params }) => JSON.stringify(params).includes('passwd'))).toEqual([]);
  return result;
}

/** Characters no header may hold end the request before anybody reads it. */
const inHeader = ([, id]: readonly [string, string]) => !id.includes('\0');

describe.each(IDS)('%s', (_name, id) => {
  it('as a task id, a cursor, a request state', async () => {
    const modern = gateway.modern('alice');
    const replies = await untouched(() =>
      Promise.all([
        modern.send('tasks/get', { taskId: id }, { capabilities: { extensions: { 'io.modelcontextprotocol/tasks': {} } } }),
        modern.send('tasks/cancel', { taskId: id }, { capabilities: { extensions: { 'io.modelcontextprotocol/tasks': {} } } }),
        modern.send('tools/list', { cursor: id }),
        modern
          .call('x_up_read', {}, {})
          .then(() => modern.send('tools/call', { name: 'x_up_read', arguments: {}, requestState: id, inputResponses: {} })),
      ]),
    );
    expect(replies.map(({ error }) => error?.code)).toEqual([-32602, -32602, -32602, -32602]);
    for (const { text } of replies) expect(text).not.toMatch(/CANARY|root:|ENOENT|EISDIR/);
    expect(upstream.calls('tasks/get')).toEqual([]);
  });

  it('as a resource URI, a tool, a prompt', async () => {
    const modern = gateway.modern('alice');
    const replies = await untouched(() =>
      Promise.all([modern.send('resources/read', { uri: id }), modern.call(id), modern.send('prompts/get', { name: id })]),
    );
    expect(replies.map(({ error }) => error?.code)).toEqual([-32602, -32602, -32602]);
    for (const { text } of replies) expect(text).not.toMatch(/CANARY|root:|ENOENT|EISDIR/);
  });

  it('as a session id, an event id, a toolset', async () => {
    const lines = [`Host: 127.0.0.1:${gateway.port}`, `Authorization: Bearer ${USERS.alice.token}`, 'Content-Type: application/json'];
    const list = '{"jsonrpc":"2.0","id":1,"method":"tools/list"}';
    const statuses = await untouched(async () => [
      (await wire(gateway.port, head('POST /mcp HTTP/1.1', [...lines, `Mcp-Session-Id: ${id}`], list))).status,
      (await wire(gateway.port, head('DELETE /mcp HTTP/1.1', [...lines, `Mcp-Session-Id: ${id}`]))).status,
      (await wire(gateway.port, head('POST /mcp HTTP/1.1', [...lines, `Mcp-Session-Id: ${session.id}`, `X-Turnpike-Toolset: ${id}`], list))).text,
    ]);
    expect(statuses.slice(0, 2)).toEqual(inHeader([_name, id]) ? [404, 404] : [400, 400]);
    expect(statuses[2]).toMatch(inHeader([_name, id]) ? /"code":-32602/ : /^HTTP\/1\.1 400/);
  });

  it('as a path of the listener', async () => {
    const target = encodeURI(id).replaceAll('%25', '%');
    for (const path of [`/${target}`, `/mcp/${target}`, `/${id.replaceAll('\0', '%00')}`]) {
      const reply = await untouched(() => wire(gateway.port, head(`GET ${path} HTTP/1.1`, [`Host: 127.0.0.1:${gateway.port}`])));
      expect(reply.status).toBe(404);
      expect(reply.text).not.toMatch(/CANARY|root:/);
    }
  });
});

it('the state lies in a folder and files of the owner alone', async () => {
  const folder = join(gateway.folder, 'state');
  const modes = await Promise.all(
    (await readdir(folder)).map(async (name) => [name, ((await stat(join(folder, name))).mode & 0o777).toString(8)] as const),
  );
  expect(((await stat(folder)).mode & 0o777).toString(8)).toBe('700');
  expect(modes.length).toBeGreaterThan(1);
  expect(modes.filter(([, mode]) => mode !== '600')).toEqual([]);
  expect(((await stat(join(gateway.folder, 'audit.jsonl'))).mode & 0o777).toString(8)).toBe('600');
  expect(await readFile(join(gateway.folder, 'audit.jsonl'), 'utf8')).not.toContain('CANARY');
});
