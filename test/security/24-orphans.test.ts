import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, vi } from 'vitest';
import type { JsonObject } from '../../src/core/mcp.ts';
import { isAlive, liveProcesses, processesWithMark, until } from '../fixtures/processes.ts';
import type { Sections } from './kit/gateway.ts';
import { GatewayProcess, marked } from './kit/process.ts';

/** Class 24: whatever ends, and however, the number of processes is back to what it was within 10 s. Real processes, counted in /proc. */

const SERVER = fileURLToPath(new URL('./kit/with-grandchild.ts', import.meta.url));
const TEN_SECONDS = 10_000;

// They wait for most of their time, so several go at once.
vi.setConfig({ testTimeout: 90_000 });

type Mode = 'polite' | 'deaf' | 'gone' | 'silent';

/** An upstream of two processes; `args` end in `--stdio` because the fixture behind it wants to be told. */
function upstream(folder: string, mark: string, mode: Mode, more: JsonObject = {}): JsonObject {
  const env = { ...marked(mark), NOTE: join(folder, 'note') };
  return { name: 'up', type: 'stdio', command: process.execPath, args: [SERVER, mode, '--stdio'], env, ...more };
}

function withUpstream(mode: Mode, more: JsonObject = {}, sections: Sections = {}): (folder: string, mark: string) => Sections {
  return (folder, mark) => ({ upstreams: [upstream(folder, mark, mode, more)], ...sections });
}

/** Its reaper, and whatever else it started itself. */
async function ownChildren(gateway: GatewayProcess): Promise<number[]> {
  return (await liveProcesses()).filter(({ parent }) => parent === gateway.pid).map(({ pid }) => pid);
}

async function allGone(pids: readonly number[], deadlineMs = TEN_SECONDS): Promise<void> {
  await until(
    async () => (await Promise.all(pids.map(isAlive))).filter((alive) => alive).length,
    (alive) => alive === 0,
    deadlineMs,
  );
}

/** A gateway whose own connection and two sessions have a server and a deaf helper each. */
async function busy(mode: Mode): Promise<{ gateway: GatewayProcess; sessions: Awaited<ReturnType<GatewayProcess['session']>>[] }> {
  const gateway = await GatewayProcess.start(withUpstream(mode));
  const sessions = await Promise.all([gateway.session('alice'), gateway.session('bob')]);
  for (const session of sessions) expect((await session.call('x_up_counter')).text).toContain('"connection":1');
  await gateway.processes(6);
  return { gateway, sessions };
}

describe.concurrent.each<Mode>(['polite', 'deaf'])('a %s child with a helper that ignores TERM', (mode) => {
  it('is gone after its session ended, and the others live', async () => {
    const { gateway, sessions } = await busy(mode);
    await using _end = gateway;
    const running = sessions[0]?.call('x_up_sleep', { ms: 60_000 });
    await sessions[0]?.end();
    await gateway.processes(4);
    await running;
    // It was asked before it was told: a server that cleans up at the end of its input had its two seconds.
    if (mode === 'polite') expect(await readFile(join(gateway.folder, 'note'), 'utf8')).toMatch(/^end of stdin \d+\n$/);
    expect((await sessions[1]?.call('x_up_counter'))?.text).toContain('"connection":2');
  });

  it('is gone after SIGTERM to the gateway, which exits 0; so is the reaper', async () => {
    const { gateway } = await busy(mode);
    await using _end = gateway;
    const own = await ownChildren(gateway);
    const ended = gateway.end('SIGTERM');
    await gateway.processes(0, TEN_SECONDS);
    expect(await ended).toBe(0);
    await allGone(own, 2_000);
  });

  it('is gone after kill -9 of the gateway in the middle of calls; so is the reaper', async () => {
    const { gateway, sessions } = await busy(mode);
    await using _end = gateway;
    const own = await ownChildren(gateway);
    const calls = sessions.map((session) => session.call('x_up_sleep', { ms: 60_000 }).catch(() => undefined));
    await gateway.end('SIGKILL');
    await gateway.processes(0, TEN_SECONDS);
    await allGone(own);
    await Promise.all(calls);
  });

  it('is gone after a second signal cut the shutdown short', async () => {
    const { gateway, sessions } = await busy(mode);
    await using _end = gateway;
    const call = sessions[0]?.call('x_up_sleep', { ms: 60_000 }).catch(() => undefined);
    gateway.child.kill('SIGTERM');
    await gateway.says(/Stopping/);
    // Signals that come together are one: npm and terminals send them twice.
    await new Promise((resolve) => setTimeout(resolve, 500));
    const second = performance.now();
    expect(await gateway.end('SIGTERM')).toBe(143);
    expect(performance.now() - second).toBeLessThan(3_000);
    await gateway.processes(0, TEN_SECONDS);
    await call;
  });
});

it.concurrent('a child sees our end as the end of its stdin, also after kill -9', async () => {
  const { gateway } = await busy('polite');
  await using _end = gateway;
  const note = join(gateway.folder, 'note');
  expect(existsSync(note)).toBe(false);
  await gateway.end('SIGKILL');
  await until(
    () => readFile(note, 'utf8').catch(() => ''),
    (text) => text.split('\n').filter((line) => line !== '').length === 3,
    5_000,
  );
  await gateway.processes(0, TEN_SECONDS);
});

it.concurrent('kill -9 of the reaper: it is replaced, and kill -9 of the gateway leaves nothing behind', async () => {
  const { gateway } = await busy('deaf');
  await using _end = gateway;
  const reaperOf = async () => {
    for (const pid of await ownChildren(gateway)) {
      if ((await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).includes('turnpike-reaper')) return pid;
    }
    return undefined;
  };
  const first = await reaperOf();
  expect(first).toBeDefined();
  process.kill(first ?? 0, 'SIGKILL');
  await until(reaperOf, (pid) => pid !== undefined && pid !== first, TEN_SECONDS);
  await gateway.end('SIGKILL');
  await gateway.processes(0, TEN_SECONDS);
});

describe.concurrent('a launch that fails', () => {
  it('by time: the tree is killed, and a call that waited is told', async () => {
    await using gateway = await GatewayProcess.start(withUpstream('silent', { timeouts: { startup: '1s' }, protocol: '2025-11-25' }));
    const session = await gateway.session('alice');
    await session.send('tools/list');
    await gateway.processes(0, TEN_SECONDS);
    await gateway.says(/server startup timeout after 1s/);
  });

  it('by the gateway being killed in the middle of it', async () => {
    await using gateway = await GatewayProcess.spawn(withUpstream('silent', { timeouts: { startup: '60s' } }));
    await gateway.processes(2, 20_000);
    await gateway.end('SIGKILL');
    await gateway.processes(0, TEN_SECONDS);
  });

  it('by a signal in the middle of it', async () => {
    await using gateway = await GatewayProcess.spawn(withUpstream('silent', { timeouts: { startup: '60s' } }));
    await gateway.processes(2, 20_000);
    await gateway.end('SIGTERM');
    await gateway.processes(0, TEN_SECONDS);
  });

  it('over and over: a crash loop that leaves helpers never has more than a few at a time', async () => {
    await using gateway = await GatewayProcess.spawn(withUpstream('gone', { retry: { initial: '100ms', factor: 1, max: '100ms', jitter: 0 } }));
    let most = 0;
    let starts = 0;
    const seen = new Set<number>();
    await until(
      async () => {
        const live = await processesWithMark(gateway.mark);
        for (const { pid } of live) seen.add(pid);
        most = Math.max(most, live.length);
        starts = seen.size;
        return starts;
      },
      (count) => count >= 6,
      25_000,
    );
    expect(most).toBeLessThanOrEqual(4);
    await gateway.end('SIGTERM');
    await gateway.processes(0, TEN_SECONDS);
  });
});

it.concurrent('the caps hold: sessions beyond them wait or are refused, and never make more processes', async () => {
  const limits = { pool: { limits: { stdio: 3, perPrincipal: 2 } } };
  await using gateway = await GatewayProcess.start(withUpstream('polite', {}, limits));
  const sessions = await Promise.all(Array.from({ length: 8 }, (_, index) => gateway.session(index % 2 === 0 ? 'alice' : 'bob')));
  let most = 0;
  let over = false;
  const watching = (async () => {
    while (!over) {
      // Only servers: a cap is about what we start.
      const live = await processesWithMark(gateway.mark);
      const servers = await Promise.all(
        live.map(async ({ pid }) => !(await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => 'helper')).includes('helper')),
      );
      most = Math.max(most, servers.filter((is) => is).length);
    }
  })();
  const replies = await Promise.all(sessions.map((session) => session.call('x_up_sleep', { ms: 3_000 })));
  over = true;
  await watching;
  const done = replies.filter(({ text }) => text.includes('Slept'));
  expect(done.length).toBeGreaterThanOrEqual(3);
  for (const { text } of replies) expect(text).toMatch(/Slept|connection limit reached for upstream 'up'/);
  // Three for callers, one of our own, and one that is on its way out.
  expect(most).toBeLessThanOrEqual(5);
});

it.concurrent('kill -9 of a client on a pipe ends the gateway and everything below it', async () => {
  await using gateway = await GatewayProcess.spawn(() => ({}));
  await gateway.end('SIGKILL');
  // The same files, behind a client that we can kill: it holds the pipes of `serve --stdio` and dies with them.
  const { writeFile } = await import('node:fs/promises');
  const { configurationText } = await import('./kit/gateway.ts');
  const file = join(gateway.folder, 'stdio.yaml');
  await writeFile(
    file,
    configurationText(gateway.folder, { auth: { modes: ['none'] }, upstreams: [upstream(gateway.folder, gateway.mark, 'deaf')] }),
  );
  const main = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
  const script = `
    const child = require('node:child_process').spawn(process.execPath, process.argv.slice(1), { stdio: ['pipe', 'pipe', 'ignore'] });
    child.stdout.on('data', () => process.stdout.write('answered ' + child.pid + '\\n'));
    const send = (message) => child.stdin.write(JSON.stringify(message) + '\\n');
    send({ jsonrpc: '2.0', id: 1, method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'c', version: '1' } } });
    send({ jsonrpc: '2.0', method: 'notifications/initialized' });
    setInterval(() => send({ jsonrpc: '2.0', id: 2, method: 'tools/call', params: { name: 'x_up_counter', arguments: {} } }), 500);`;
  const client = spawn(process.execPath, ['-e', script, '--', main, 'serve', '--stdio', '--config', file], {
    env: { PATH: process.env.PATH, HOME: gateway.folder },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let words = '';
  client.stdout.on('data', (chunk: Buffer) => {
    words += chunk.toString();
  });
  // Our own connection and that of the client's session.
  await gateway.processes(4, 25_000);
  const served = Number(/answered (\d+)/.exec(words)?.[1]);
  client.kill('SIGKILL');
  await gateway.processes(0, TEN_SECONDS + 5_000);
  await allGone([served], 15_000);
});
