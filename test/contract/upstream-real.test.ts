import { describe, expect, it } from 'vitest';
import type { Caller } from '../../src/core/caller.ts';
import type { UpstreamSnapshot } from '../../src/core/ports.ts';
import { remote, sampleSettings } from '../../src/upstream/sample-transport.ts';
import type { UpstreamSettings } from '../../src/upstream/settings.ts';
import { processesWithMark, until } from '../fixtures/processes.ts';
import { callTool, command, HttpServerProcess, stdioTarget, UpstreamRig } from './upstream-rig.ts';

const caller = (subject: string, sessionId?: string): Caller => ({
  principal: { issuer: 'static', subject },
  tenant: subject,
  scopes: new Set(['turnpike:write']),
  ...(sessionId === undefined ? {} : { sessionId }),
});
const soon = () => AbortSignal.timeout(20_000);

async function started(target: UpstreamSettings['target'], overrides: Partial<UpstreamSettings> = {}) {
  const settings = sampleSettings({ target, ...overrides });
  const rig = new UpstreamRig([settings]);
  await rig.registry.start(soon());
  const [snapshot] = rig.registry.snapshot();
  if (snapshot === undefined) throw new Error('no upstream');
  return { rig, settings, snapshot };
}

const tools = ({ capabilities }: UpstreamSnapshot) => capabilities?.lists.tools.map(({ id }) => id) ?? [];

describe('upstreams over stdio', () => {
  for (const [server, era, version, tool] of [
    ['modern', 'modern', '2026-07-28', 'echo'],
    ['legacy', 'legacy', '2025-11-25', 'echo'],
    ['everything', 'legacy', '2025-11-25', 'echo'],
  ] as const) {
    it(`lists and calls ${server}, remembers that it is ${era}, leaves no process`, async () => {
      let mark: string;
      {
        await using started_ = await rigOf(stdioTarget(command(server)));
        const { rig, snapshot, settings } = started_;
        mark = rig.mark;
        expect(snapshot.status).toMatchObject({ state: 'connected', era, consecutiveFailures: 0, restartCount: 0 });
        expect(snapshot.capabilities).toMatchObject({ era, version });
        expect(tools(snapshot)).toContain(tool);
        expect(await rig.memory.recall(settings, soon())).toBe(era);
        const lease = await rig.connections.lease('S', caller('a', 's1'), '-', soon());
        const said = await callTool(lease.connection, tool, { message: 'hello', text: 'hello' });
        expect(JSON.stringify(said)).toContain('hello');
        lease.release('ok');
        expect(await processesWithMark(mark)).toHaveLength(2);
        await rig.connections.endSession('s1');
        await until(
          () => processesWithMark(mark),
          (left) => left.length === 1,
          5_000,
        );
      }
      expect(await processesWithMark(mark)).toEqual([]);
    });
  }
});

describe('upstreams over HTTP', () => {
  for (const [server, path, type, era] of [
    ['modern', '/mcp', 'streamable-http', 'modern'],
    ['legacy', '/mcp', 'streamable-http', 'legacy'],
    ['streamableHttp', '/mcp', 'streamable-http', 'legacy'],
    ['sse', '/sse', 'sse', 'legacy'],
  ] as const) {
    it(`lists and calls ${server}, remembers that it is ${era}`, async () => {
      await using http = await HttpServerProcess.start(server);
      await using started_ = await rigOf(remote(http.url(path), type));
      const { rig, snapshot, settings } = started_;
      expect(snapshot.status).toMatchObject({ state: 'connected', era });
      expect(await rig.memory.recall(settings, soon())).toBe(era);
      for (const subject of ['a', 'b']) {
        const lease = await rig.connections.lease('S', caller(subject), '-', soon());
        expect(lease.connection.era).toBe(era);
        expect(JSON.stringify(await callTool(lease.connection, 'echo', { message: subject, text: subject }))).toContain(subject);
        lease.release('ok');
      }
      expect(rig.connections.stats().entries).toBe(era === 'modern' ? 1 : 2);
    });
  }
});

it('an HTTP+SSE server under the other type is found, and that is said once, however many connect', async () => {
  await using http = await HttpServerProcess.start('sse');
  await using started_ = await rigOf(remote(http.url('/sse'), 'streamable-http'));
  const { rig, snapshot } = started_;
  expect(snapshot.status).toMatchObject({ state: 'connected', era: 'legacy' });
  for (const subject of ['a', 'b']) {
    const lease = await rig.connections.lease('S', caller(subject), '-', soon());
    expect(JSON.stringify(await callTool(lease.connection, 'echo', { message: subject }))).toContain(subject);
    lease.release('ok');
  }
  expect(rig.advice).toEqual(['S speaks HTTP+SSE of 2024-11-05 and no streamable HTTP; set `type: sse`, which connects faster']);
});

/** A started upstream that ends with its block. */
async function rigOf(...args: Parameters<typeof started>) {
  const parts = await started(...args);
  return { ...parts, [Symbol.asyncDispose]: () => parts.rig[Symbol.asyncDispose]() };
}
