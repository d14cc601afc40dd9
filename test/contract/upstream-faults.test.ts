import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Caller } from '../../src/core/caller.ts';
import { asTurnpikeError } from '../../src/core/errors.ts';
import { remote, sampleSettings } from '../../src/upstream/sample-transport.ts';
import type { UpstreamSettings } from '../../src/upstream/settings.ts';
import { processesWithMark, until } from '../fixtures/processes.ts';
import { callTool, command, HttpServerProcess, stdioTarget, UpstreamRig } from './upstream-rig.ts';

const caller: Caller = { principal: { issuer: 'static', subject: 'a' }, tenant: 'a', scopes: new Set(), sessionId: 's1' };
const soon = () => AbortSignal.timeout(25_000);

/** As the router: once more on a new lease, when the first was certainly not processed. Returns how often it was sent. */
async function call(rig: UpstreamRig, text: string): Promise<{ readonly said: string; readonly attempts: number }> {
  for (let attempts = 1; ; attempts++) {
    const lease = await rig.connections.lease('S', caller, '-', soon());
    try {
      const said = JSON.stringify(await callTool(lease.connection, 'echo', { message: text, text }));
      lease.release('ok');
      return { said, attempts };
    } catch (error) {
      lease.release('transport-error');
      const { code, details } = asTurnpikeError(error);
      if (attempts > 1 || code !== 'upstream/down' || details.retryable !== true) throw error;
    }
  }
}

function rigFor(target: UpstreamSettings['target'], overrides: Partial<UpstreamSettings> = {}, monitored = true): UpstreamRig {
  return new UpstreamRig([sampleSettings({ target, ...overrides })], monitored);
}

interface Logged {
  readonly message?: { readonly method?: string };
  readonly headers?: Readonly<Record<string, string>>;
}

/** The requests of a method that reached a fixture over HTTP, those of unknown sessions left out. */
async function requestsAt(http: HttpServerProcess, method: string): Promise<Logged[]> {
  const { entries } = (await (await fetch(http.url('/log'))).json()) as { entries: Logged[] };
  return entries.filter(({ message }) => message?.method === method);
}

describe('an upstream that changes its era', () => {
  for (const [before, after] of [
    ['modern', 'legacy'],
    ['legacy', 'modern'],
  ] as const) {
    it(`from ${before} to ${after} serves the next call after at most one failed probe`, async () => {
      const first = await HttpServerProcess.start(before);
      await using rig = rigFor(remote(first.url('/mcp')), {}, false);
      expect((await call(rig, 'one')).said).toContain('one');
      await first[Symbol.asyncDispose]();
      await using second = await HttpServerProcess.start(after, first.port);
      expect((await call(rig, 'two')).said).toContain('two');
      expect(await rig.memory.recall(sampleSettings({ target: remote(first.url('/mcp')) }), soon())).toBe(after);
      expect((await requestsAt(second, after === 'legacy' ? 'server/discover' : 'initialize')).length).toBeLessThanOrEqual(1);
    });

    it(`from ${before} to ${after}: what it lists follows a call`, async () => {
      const first = await HttpServerProcess.start(before);
      const health = { interval: 0, timeout: 5_000, failures: 3, staleFor: 600_000 };
      await using rig = rigFor(remote(first.url('/mcp')), { health, retry: { initial: 100, factor: 1, max: 100, jitter: 0 } });
      await rig.registry.start(soon());
      await first[Symbol.asyncDispose]();
      await using _second = await HttpServerProcess.start(after, first.port);
      expect((await call(rig, 'two')).said).toContain('two');
      await until(
        () => rig.registry.snapshot()[0]?.status,
        (status) => status?.state === 'connected' && status.era === after,
        10_000,
      );
    });
  }
});

describe('an upstream that forgets its session', () => {
  for (const server of ['legacy', 'streamableHttp'] as const) {
    it(`is initialized once more (${server}), and the call succeeds`, async () => {
      const first = await HttpServerProcess.start(server);
      await using rig = rigFor(remote(first.url('/mcp')));
      expect((await call(rig, 'one')).said).toContain('one');
      await first[Symbol.asyncDispose]();
      await using second = await HttpServerProcess.start(server, first.port);
      const calls = await Promise.all(['two', 'three', 'four'].map((text) => call(rig, text)));
      expect(calls.map(({ said }) => said).join()).toMatch(/two.*three.*four/);
      if (server !== 'legacy') return;
      const sessions = (await requestsAt(second, 'tools/call')).map(({ headers }) => headers?.['mcp-session-id']);
      expect(sessions).toHaveLength(3);
      expect(new Set(sessions).size).toBe(1);
    });
  }
});

describe('children', () => {
  const stubborn = (body: string) => stdioTarget(['-e', body]);
  const answers = `
    const { createInterface } = require('node:readline');
    const say = (message) => console.log(JSON.stringify({ jsonrpc: '2.0', ...message }));
    const serve = (message) => {
      if (message.method === 'initialize') say({ id: message.id, result: { protocolVersion: '2025-11-25', capabilities: { tools: {} }, serverInfo: { name: 'x', version: '1' } } });
      else if (message.method === 'tools/list') say({ id: message.id, result: { tools: [{ name: 'echo', inputSchema: { type: 'object' } }] } });
      else if (message.method === 'tools/call') say({ id: message.id, result: { content: [{ type: 'text', text: message.params.arguments.text }] } });
    };`;
  const counted = (file: string) => `require('node:fs').appendFileSync(${JSON.stringify(file)}, 'x');`;

  for (const [what, onDiscover] of [
    ['keeps silent', 'return;'],
    ['exits', 'process.exit(3);'],
    ['answers garbage', `return void console.log('{"jsonrpc":"2.0","id":' + message.id + '}');`],
  ] as const) {
    it(`one that ${what} when asked for its era is started again exactly once, and that is remembered`, async () => {
      const file = join(tmpdir(), `starts-${crypto.randomUUID()}`);
      const body = `${counted(file)}${answers}
        createInterface({ input: process.stdin }).on('line', (line) => {
          const message = JSON.parse(line);
          if (message.method === 'server/discover') { ${onDiscover} }
          serve(message);
        });`;
      await using rig = rigFor(stubborn(body));
      const calls = ['one', 'two', 'three'].map(async (text) => {
        const own = { ...caller, sessionId: text };
        const lease = await rig.connections.lease('S', own, '-', soon());
        const said = await callTool(lease.connection, 'echo', { text });
        lease.release('ok');
        return JSON.stringify(said);
      });
      expect((await Promise.all(calls)).join()).toMatch(/one.*two.*three/);
      // Three callers and one start that was in vain; our own connection is the fourth that serves.
      await until(
        () => rig.registry.snapshot()[0]?.status.state,
        (state) => state === 'connected',
        10_000,
      );
      expect(await readFile(file, 'utf8')).toBe('x'.repeat(5));
    });
  }

  it('one that writes log lines to stdout serves nevertheless', async () => {
    const body = `${answers}
      console.log('starting up…');
      process.stdout.write(Buffer.from([0xff, 0xfe, 10]));
      createInterface({ input: process.stdin }).on('line', (line) => {
        const message = JSON.parse(line);
        console.log('[debug] got ' + message.method);
        console.log('{"half": ');
        if (message.method === 'server/discover') say({ id: message.id, error: { code: -32601, message: 'no' } });
        serve(message);
      });`;
    await using rig = rigFor(stubborn(body));
    expect((await call(rig, 'through')).said).toContain('through');
    expect(rig.dropped.length).toBeGreaterThan(3);
  });

  it('one that is killed in a call: the outcome is unknown, it ran once, the next call works', async () => {
    await using rig = rigFor(stdioTarget(command('legacy')));
    await call(rig, 'one');
    const lease = await rig.connections.lease('S', caller, '-', soon());
    const running = callTool(lease.connection, 'sleep', { ms: 20_000 }).catch((error: unknown) => asTurnpikeError(error));
    const mine = await until(
      () => processesWithMark(rig.mark),
      (seen) => seen.length >= 1,
      5_000,
    );
    // Our own connection may have been started by the first call; every child goes.
    for (const { pid } of mine) process.kill(pid, 'SIGKILL');
    expect(await running).toMatchObject({
      code: 'upstream/lost',
      message: "upstream 'S' closed the connection after the request was sent; the outcome is unknown",
      details: { retryable: false },
    });
    lease.release('transport-error');
    expect((await call(rig, 'two')).said).toContain('two');
  });

  it('one that never initializes: the text of the deadline, and no process is left', async () => {
    await using rig = rigFor(stdioTarget(['-e', 'setInterval(() => {}, 1000)']), {
      timeouts: { connect: 1_000, startup: 1_000, list: 1_000 },
      protocol: '2025-11-25',
    });
    await expect(rig.connections.lease('S', caller, '-', soon())).rejects.toMatchObject({
      code: 'upstream/timeout',
      message: 'server startup timeout after 1s',
    });
    expect(await processesWithMark(rig.mark)).toEqual([]);
  });

  it('one that does not exist is failed, and says so without a path', async () => {
    await using rig = rigFor({ type: 'stdio', command: '/no/such/secret-command', args: [], env: {}, cwd: '/', allowUnsafeEnv: false });
    await rig.registry.start(soon());
    const status = rig.registry.snapshot()[0]?.status;
    expect(status).toMatchObject({ state: 'failed', consecutiveFailures: 1 });
    expect(status?.lastError).toBe("upstream 'S' could not be started: its command, or the interpreter that it names, was not found");
    expect(rig.states.at(-1)?.error).toContain('secret-command');
  });
});
