import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import type { JsonObject } from '../../src/core/mcp.ts';
import type { Gateway } from '../../src/gateway.ts';
import { createLogger } from '../../src/telemetry/log.ts';
import { until } from '../fixtures/processes.ts';
import { answerIn, messagesOf, modernRequest, post } from './raw-client.ts';
import { Rig } from './rig.ts';

/** A document as `reload` takes it. */
async function loaded(rig: Rig, document: JsonObject, env: Record<string, string> = {}) {
  const bytes = Buffer.from(JSON.stringify(rig.configuration(document)));
  return loadConfig({ file: 'turnpike.json', cwd: rig.folder, env, readFile: async () => bytes });
}

const reload = (gateway: Gateway, rig: Rig, document: JsonObject) => gateway.reload(() => loaded(rig, document));

function lines() {
  const written: Record<string, unknown>[] = [];
  const logger = createLogger({ format: 'json', sink: { write: (line) => written.push(JSON.parse(line)) } });
  return { written, logger, said: (message: string) => written.filter((line) => String(line.message).startsWith(message)) };
}

async function call(rig: Rig, tool: string, args: JsonObject = {}, headers: Record<string, string> = {}) {
  const request = modernRequest(1, 'tools/call', { name: tool, arguments: args });
  return answerIn(await post(rig.endpoint, request.body, { headers: { ...request.headers, ...headers } }));
}

async function metrics(rig: Rig): Promise<string> {
  return (await fetch(new URL('/metrics', rig.endpoint))).text();
}

describe('Gateway.reload', () => {
  it('reports what it did, and keeps everything when the load fails', async () => {
    await using rig = await Rig.make();
    const gateway = await rig.start({ upstreams: [rig.stdio('a', 'modern')] });
    const report = await reload(gateway, rig, {
      upstreams: [rig.stdio('b', 'modern'), rig.stdio('a', 'modern', { required: true })],
      limits: { ip: 3 },
    });
    expect(report).toEqual({
      changed: ['limits.ip', 'limits.ipBurst', 'limits.user', 'limits.userBurst'],
      needsRestart: [],
      upstreams: { added: ['b'], removed: [], restarted: [], updated: ['a'] },
    });
    expect(gateway.status().upstreams.map(({ name }) => name)).toEqual(['b', 'a']);
    // The order is what changes here, and nothing else.
    const limits = { ip: 3 };
    await reload(gateway, rig, { upstreams: [rig.stdio('a', 'modern', { required: true }), rig.stdio('b', 'modern')], limits });
    expect(gateway.status().upstreams.map(({ name }) => name)).toEqual(['a', 'b']);
    await expect(gateway.reload(() => Promise.reject(new Error('no disk')))).rejects.toThrow('no disk');
    await expect(reload(gateway, rig, { listen: { host: '0.0.0.0', port: 0 } })).resolves.toMatchObject({ needsRestart: ['listen.host'] });
    const open = rig.stdio('c', 'modern', { command: 'npx', args: ['something'] });
    await expect(reload(gateway, rig, { policy: { requirePinned: true }, upstreams: [open] })).rejects.toMatchObject({ code: 'config/refused' });
    expect(gateway.status().upstreams.map(({ name }) => name)).toEqual([]);
  });

  it('one at a time, in the order of the requests; none while the gateway ends', async () => {
    await using rig = await Rig.make();
    const gateway = await rig.start({ upstreams: [] });
    const order: string[] = [];
    const slow = Promise.withResolvers<void>();
    const first = gateway.reload(async () => {
      order.push('first');
      await slow.promise;
      return loaded(rig, { policy: { nonDestructive: true } });
    });
    const second = gateway.reload(async () => {
      order.push('second');
      return loaded(rig, {});
    });
    await until(
      () => order.length,
      (begun) => begun > 0,
      1_000,
    );
    expect(order).toEqual(['first']);
    slow.resolve();
    expect((await first).changed).toEqual(['policy.nonDestructive']);
    expect((await second).changed).toEqual(['policy.nonDestructive']);
    await gateway.drain(AbortSignal.abort());
    await expect(reload(gateway, rig, { policy: { yolo: true } })).rejects.toMatchObject({ code: 'gateway/draining' });
  });

  it('takes the log level, what is weakened, and what must not be repeated', async () => {
    await using rig = await Rig.make();
    const log = lines();
    const gateway = await rig.start({ upstreams: [rig.stdio('a', 'modern')] }, { logger: log.logger });
    expect(await metrics(rig)).not.toContain('policy.yolo');
    await gateway.reload(() =>
      loaded(
        rig,
        { upstreams: [rig.stdio('a', 'modern')], policy: { yolo: true }, telemetry: { log: { level: 'debug' }, metrics: { token: `\${env:T}` } } },
        { T: 'sentinel-new-token' },
      ),
    );
    expect(log.said('weakened: policy.yolo')).toHaveLength(1);
    log.logger.debug('seen');
    expect(log.said('seen')).toHaveLength(1);
    const told = await (await fetch(new URL('/metrics', rig.endpoint), { headers: { authorization: 'Bearer sentinel-new-token' } })).text();
    expect(told).toContain('turnpike_weakened{setting="policy.yolo"} 1');
    await call(rig, 'x_none_sentinel-new-token');
    await until(
      () => rig.audit(),
      (records) => records.length > 0,
      5_000,
    );
    expect(JSON.stringify(await rig.audit())).not.toContain('sentinel-new-token');
    await reload(gateway, rig, { upstreams: [rig.stdio('a', 'modern')] });
    expect(await metrics(rig)).not.toContain('policy.yolo');
  });

  it('tells listeners, those too whose toolset names what is gone', async () => {
    await using rig = await Rig.make();
    const gateway = await rig.start({ upstreams: [rig.stdio('a', 'modern'), rig.stdio('b', 'modern')] });
    const listening = modernRequest(6, 'subscriptions/listen', { notifications: { toolsListChanged: true } });
    const heard: Record<string, number> = {};
    const end = new AbortController();
    for (const toolset of ['server:a', 'server:b']) {
      const headers = { 'content-type': 'application/json', accept: 'text/event-stream', 'x-turnpike-toolset': toolset, ...listening.headers };
      const response = await fetch(rig.endpoint, { method: 'POST', body: listening.body, headers, signal: end.signal });
      heard[toolset] = 0;
      void (async () => {
        for await (const { method } of messagesOf(response))
          if (String(method).endsWith('list_changed') || String(method).endsWith('acknowledged')) heard[toolset] = (heard[toolset] ?? 0) + 1;
      })();
    }
    await until(
      () => Object.values(heard),
      (counts) => counts.every((count) => count === 1),
      5_000,
    );
    await reload(gateway, rig, { upstreams: [rig.stdio('a', 'modern', { toolPrefix: 'k' })] });
    await until(
      () => Object.values(heard),
      (counts) => counts.every((count) => count >= 2),
      5_000,
    );
    expect((await call(rig, 'x_k_echo', { value: 'still here' }))?.result).toBeDefined();
    end.abort();
  });

  it('an upstream whose certificates changed under the same names is connected anew, and no other', async () => {
    await using rig = await Rig.make();
    const server = await rig.serve('modern');
    const caFile = join(rig.folder, 'ca.pem');
    await writeFile(caFile, '');
    const document = {
      upstreams: [
        { name: 'a', type: 'streamable-http', url: server.url(), tls: { caFile } },
        { name: 'b', type: 'streamable-http', url: server.url() },
      ],
    };
    const gateway = await rig.start(document);
    const { upstreams } = await gateway.reload(async () => ({ ...(await loaded(rig, document)), touched: [caFile] }));
    expect(upstreams).toEqual({ added: [], removed: [], restarted: ['a'], updated: [] });
  });
});
