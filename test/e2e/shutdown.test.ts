import { readFile, writeFile } from 'node:fs/promises';
import { Agent } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { META } from '../../src/core/mcp.ts';
import { freePort } from '../fixtures/free-port.ts';
import { Front, headOf, messagesOf, modernMeta, modernRequest, namesOf, read, textOf } from '../fixtures/hostile/wire.ts';
import { until } from '../fixtures/processes.ts';
import { inHome, leftIn, Rig, ROOT, type Started } from './cli-rig.ts';

const CHILD = join(ROOT, 'test/fixtures/hostile/child.mjs');

let rig: Rig;
beforeAll(async () => {
  rig = await Rig.make();
});
afterAll(async () => {
  await rig[Symbol.asyncDispose]();
});

interface Served {
  readonly gateway: Started;
  readonly front: Front;
  readonly home: string;
  readonly file: string;
}

/** A gateway as a process, in front of one hostile child. */
async function serve({ shutdownTimeout = '10s', home = '', flags = [] as string[] } = {}): Promise<Served> {
  const own = home === '' ? await rig.home() : home;
  const port = await freePort();
  const file = join(own, 'turnpike.yaml');
  const args = JSON.stringify([CHILD, 'modern', 'many', join(own, 'journal')]);
  const upstream = `{name: bad, type: stdio, command: ${process.execPath}, args: ${args}, protocol: "2026-07-28", timeouts: {call: 60s}}`;
  await writeFile(
    file,
    `listen: {port: ${port}, shutdownTimeout: ${shutdownTimeout}}\nstore: {type: sqlite, dir: ${own}/state}\nupstreams: [${upstream}]\n`,
  );
  const gateway = rig.start(['serve', '--config', file, ...flags], { env: { HOME: own }, open: flags.includes('--stdio') });
  await gateway.until(/bad +connected/);
  return { gateway, front: new Front(`http://127.0.0.1:${port}/mcp`), home: own, file };
}

/** Waits until the child has read these requests. */
async function noted(home: string, ...lines: string[]): Promise<void> {
  await until(
    () => readFile(join(home, 'journal'), 'utf8'),
    (journal) => lines.every((line) => journal.includes(`${line}\n`)),
    10_000,
  );
}

const DRAINING = { code: -32603, message: 'The gateway is shutting down; retry later.' };

describe('SIGTERM', () => {
  it('lets running calls and streams finish, refuses new work, leaves nothing, and exits 0', async () => {
    const { gateway, front, home } = await serve();
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const session = await front.session();
    const running = [front.call('x_bad_slow', { ms: 3000 }, { agent }), session.call('x_bad_slow', { ms: 2500 })];
    const ticking = front.modern('tools/call', { name: 'x_bad_ticks', arguments: { ms: 2500 }, _meta: { progressToken: 'p' } });
    const listening = front.modern('subscriptions/listen', { notifications: { toolsListChanged: true } }, { id: 'L' });
    const standing = front.send({ method: 'GET', headers: { 'mcp-session-id': session.id, accept: 'text/event-stream' } });
    // A connection on which a request has begun but is not all here: its work is new.
    const half = modernRequest('tools/list');
    const begun = front.begin({ ...half, headers: { ...half.headers, 'content-length': String(half.body?.length) } });
    const refused = headOf(begun).then(read);
    begun.flushHeaders();
    await noted(home, 'call slow', 'call ticks');
    await front.get('/healthz');

    gateway.child.kill('SIGTERM');
    await gateway.until(/Stopping: running calls have 10 s to finish; a second signal ends at once\./);
    const listened = messagesOf((await listening).text);
    expect(listened.at(-1)).toMatchObject({ id: 'L', result: { resultType: 'complete', _meta: { [META.subscriptionId]: 'L' } } });
    begun.end(half.body);
    for (const answer of [await refused, await front.modern('tools/list', {}, { agent: new Agent({ keepAlive: true }) })]) {
      expect([answer.status, answer.body.error, answer.headers['retry-after'], answer.headers.connection]).toEqual([503, DRAINING, '5', 'close']);
    }
    const opening = await front.session().catch((error: Error) => error.message);
    expect(opening).toContain('503');
    expect((await front.send({ method: 'GET', headers: { 'mcp-session-id': session.id, accept: 'text/event-stream' } })).status).toBe(503);
    expect((await front.get('/readyz')).text).toContain('shutting down');

    // What was begun ends well, and says that its connection ends with it.
    const answers = await Promise.all(running);
    expect(answers.map((answer) => [answer.status, textOf(answer), answer.headers.connection])).toEqual([
      [200, 'slow', 'close'],
      [200, 'slow', 'close'],
    ]);
    const ticks = messagesOf((await ticking).text);
    expect(ticks.length).toBeGreaterThan(4);
    expect(ticks.at(-1)?.result?.content).toEqual([{ type: 'text', text: 'ticked' }]);
    expect((await standing).status).toBe(200);
    expect(await gateway.ended).toBe(0);
    await leftIn(home);
    expect(await front.get('/healthz').catch((error: NodeJS.ErrnoException) => error.code)).toBe('ECONNREFUSED');
    agent.destroy();
  });

  it('exits 0 when the deadline is over, whatever still runs', async () => {
    const { gateway, front, home } = await serve({ shutdownTimeout: '1s' });
    const stuck = front.call('x_bad_nothing');
    await noted(home, 'call nothing');
    const begun = performance.now();
    gateway.child.kill('SIGTERM');
    expect(await gateway.ended).toBe(0);
    const took = performance.now() - begun;
    expect(took).toBeGreaterThan(900);
    expect(took).toBeLessThan(9000);
    // What was cut short is told so: not that its client had cancelled it.
    const told = await stuck;
    const cut = 'the gateway shut down before the answer came; the outcome is unknown';
    expect([told.status, textOf(told), told.body.result?.isError]).toEqual([200, cut, true]);
    await leftIn(home);
  });

  it('a second signal ends at once, and the children go as well', async () => {
    const { gateway, front, home } = await serve({ shutdownTimeout: '60s' });
    const stuck = front.call('x_bad_nothing').catch((error: NodeJS.ErrnoException) => error.code);
    await noted(home, 'call nothing');
    gateway.child.kill('SIGTERM');
    await gateway.until(/Stopping:/);
    // Deliveries within 150 ms are one request.
    await new Promise((resolve) => setTimeout(resolve, 300));
    const begun = performance.now();
    gateway.child.kill('SIGTERM');
    expect(await gateway.ended).toBe(143);
    expect(performance.now() - begun).toBeLessThan(3000);
    expect(await stuck).toBe('ECONNRESET');
    await leftIn(home);
  });

  it('a pipe (--stdio) drains too: what runs is answered, what comes is refused, then it exits 0', async () => {
    const { gateway, home } = await serve({ flags: ['--stdio'] });
    const say = (message: object) => gateway.child.stdin?.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
    const call = (id: string, name: string, args = {}) => say({ id, method: 'tools/call', params: { name, arguments: args, _meta: modernMeta() } });
    call('slow', 'x_bad_slow', { ms: 2500 });
    say({ id: 'L', method: 'subscriptions/listen', params: { notifications: { toolsListChanged: true }, _meta: modernMeta() } });
    await noted(home, 'call slow');
    gateway.child.kill('SIGTERM');
    await gateway.until(/Stopping:/);
    call('late', 'x_bad_echo');
    expect(await gateway.ended).toBe(0);
    const lines = gateway
      .out()
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as { id?: string; result?: object; error?: object });
    const of = (id: string) => lines.filter((line) => line.id === id);
    expect(of('slow')).toMatchObject([{ result: { content: [{ text: 'slow' }] } }]);
    expect(of('late')).toEqual([{ jsonrpc: '2.0', id: 'late', error: DRAINING }]);
    expect(of('L')).toMatchObject([{ result: { resultType: 'complete' } }]);
    await leftIn(home);
  });

  it('nothing runs: it ends in a moment, before the upstreams are ready as well', async () => {
    const { gateway, home } = await serve();
    const begun = performance.now();
    gateway.child.kill('SIGINT');
    expect(await gateway.ended).toBe(0);
    expect(performance.now() - begun).toBeLessThan(8000);
    await leftIn(home);
  });
});

describe('a restart', () => {
  it('opens what was sealed before: a cursor, a request state, a task id; not what another store sealed', async () => {
    const before = await serve();
    const tasks = { _meta: { [META.clientCapabilities]: { elicitation: {}, extensions: { 'io.modelcontextprotocol/tasks': {} } } } };
    const first = await before.front.modern('tools/list');
    const cursor = String(first.body.result?.nextCursor);
    const asked = await before.front.modern('tools/call', { name: 'x_bad_ask', arguments: {}, ...tasks });
    const requestState = String(asked.body.result?.requestState);
    const made = await before.front.modern('tools/call', { name: 'x_bad_task', arguments: {}, ...tasks });
    const taskId = String(made.body.result?.taskId);
    expect([cursor, requestState, taskId].map((text) => text.slice(0, 4))).toEqual(['cu1.', 'rs1.', 'tk1.']);
    before.gateway.child.kill('SIGTERM');
    expect(await before.gateway.ended).toBe(0);

    const uses = async (front: Front) => {
      const round = { requestState, inputResponses: { q: { action: 'accept', content: {} } } };
      return [
        await front.modern('tools/list', { cursor }),
        await front.modern('tools/call', { name: 'x_bad_ask', arguments: {}, ...round, ...tasks }),
        await front.modern('tasks/get', { taskId, ...tasks }, { headers: { 'mcp-name': taskId } }),
      ] as const;
    };
    const after = await serve({ home: before.home });
    const [page, answered, task] = await uses(after.front);
    const names = [...namesOf(first), ...namesOf(page)];
    expect([namesOf(first).length, new Set(names).size, names.length]).toEqual([500, names.length, expect.any(Number)]);
    expect(names).toContain('x_bad_many599');
    expect(textOf(answered)).toBe('state state-1, answer accept');
    expect(task.body.result).toMatchObject({ taskId, status: 'working' });
    after.gateway.child.kill('SIGTERM');
    expect(await after.gateway.ended).toBe(0);

    const other = await serve();
    const refusals = (await uses(other.front)).map(({ body }) => body.error);
    expect(refusals).toEqual([
      { code: -32602, message: 'The cursor is not one this gateway gave to this caller.' },
      { code: -32602, message: 'Invalid or expired request state' },
      { code: -32602, message: 'Unknown task' },
    ]);
    other.gateway.child.kill('SIGTERM');
    expect(await other.gateway.ended).toBe(0);
    expect(await inHome(other.home)).toEqual([]);
  });
});
