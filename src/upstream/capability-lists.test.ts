import { describe, expect, it } from 'vitest';
import { ManualClock } from '../core/manual-clock.ts';
import type { JsonObject } from '../core/mcp.ts';
import { listAll, listKind } from './capability-lists.ts';
import { Link } from './connection.ts';
import { type Handlers, sampleServer } from './sample-servers.ts';
import { SampleTransport } from './sample-transport.ts';

const ALL: JsonObject = { tools: {}, prompts: {}, resources: {} };

function rig(handlers: Handlers, capabilities: JsonObject = ALL) {
  const clock = new ManualClock();
  const transport = new SampleTransport('channel', sampleServer('modern', handlers));
  const link = new Link({ name: 'S', transport, clock, clientInfo: {}, renewalMs: 1, onDropped: () => {} });
  link.agreed({ era: 'modern', version: '2026-07-28', serverInfo: { name: 'x' }, capabilities, instructions: 'use me' });
  const options = { upstream: 'S', clock, timeoutMs: 10_000, signal: new AbortController().signal };
  return { clock, transport, link, options };
}

const page = (names: readonly string[], more: JsonObject = {}): JsonObject => ({ result: { tools: names.map((name) => ({ name })), ...more } });
const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

describe('one list', () => {
  it('gathers all pages, keeps the bytes, drops what has no name', async () => {
    const { link, options, transport } = rig({
      'tools/list': ({ cursor }) =>
        cursor === undefined ? page(['a', 'b'], { nextCursor: 'two' }) : { result: { tools: [{ name: 'c', n: 1.5 }, 7, {}, { name: 5 }] } },
    });
    const { items } = await listKind(link, 'tools', options);
    expect(items.map(({ id }) => id)).toEqual(['a', 'b', 'c']);
    expect(items[2]?.bytes.toString()).toBe('{"name":"c","n":1.5}');
    expect(transport.sent.map(({ params }) => (params as JsonObject).cursor)).toEqual([undefined, 'two']);
  });

  it('ends: with a cursor that comes again, after 100 pages, after 10,000 items', async () => {
    const loop = rig({ 'tools/list': () => page(['a'], { nextCursor: 'same' }) });
    expect((await listKind(loop.link, 'tools', loop.options)).items).toHaveLength(2);
    let count = 0;
    const endless = rig({ 'tools/list': () => page(['a'], { nextCursor: String(count++) }) });
    expect((await listKind(endless.link, 'tools', endless.options)).items).toHaveLength(100);
    const names = Array.from({ length: 4_000 }, (_, index) => `t${index}`);
    const huge = rig({ 'tools/list': () => page(names, { nextCursor: String(count++) }) });
    expect((await listKind(huge.link, 'tools', huge.options)).items).toHaveLength(10_000);
    expect(huge.transport.sent).toHaveLength(3);
  });

  it('is refused above 64 MiB', async () => {
    const big = 'x'.repeat(8 * 2 ** 20);
    let count = 0;
    const { link, options } = rig({ 'tools/list': () => page([big], { nextCursor: String(count++) }) });
    await expect(listKind(link, 'tools', options)).rejects.toMatchObject({
      code: 'upstream/protocol',
      message: "upstream 'S' lists more than 64 MiB in tools/list",
    });
  });

  it('has one deadline for all its pages', async () => {
    let count = 0;
    const { link, options, clock } = rig({ 'tools/list': () => (count++ < 3 ? page(['a'], { nextCursor: String(count) }) : undefined) });
    const listing = listKind(link, 'tools', options).catch((error: unknown) => error);
    await settle();
    clock.advance(10_000);
    expect(await listing).toMatchObject({ code: 'upstream/timeout', message: "upstream 'S' did not answer tools/list within 10s" });
    expect(clock.pending).toBe(0);
  });

  it('caching is that of the page with the least of it', async () => {
    const caching = async (...pages: JsonObject[]) => {
      const { link, options } = rig({
        'tools/list': ({ cursor }) => {
          const at = Number(cursor ?? 0);
          return page([`t${at}`], { ...pages[at], ...(at + 1 < pages.length ? { nextCursor: String(at + 1) } : {}) });
        },
      });
      return (await listKind(link, 'tools', options)).caching;
    };
    expect(await caching({ ttlMs: 5, cacheScope: 'public' }, { ttlMs: 3, cacheScope: 'public' })).toEqual({ ttlMs: 3, cacheScope: 'public' });
    expect(await caching({ ttlMs: 5, cacheScope: 'public' }, { ttlMs: 9, cacheScope: 'private' })).toEqual({ ttlMs: 5, cacheScope: 'private' });
    for (const pages of [
      [{ ttlMs: 5 }, {}],
      [{}, { ttlMs: 5 }],
      [{ ttlMs: 5 }, {}, { ttlMs: 5 }],
      [{ ttlMs: -1 }],
      [{ ttlMs: 1.5 }],
      [{ ttlMs: '5' }],
    ])
      expect(await caching(...pages)).toBeUndefined();
  });

  it('what an upstream writes into an error stays out of the message', async () => {
    const { link, options } = rig({ 'tools/list': () => ({ error: { code: -32603, message: 'open /etc/secret' } }) });
    await expect(listKind(link, 'tools', options)).rejects.toMatchObject({
      message: "upstream 'S' refused tools/list (code -32603)",
      details: { reason: 'open /etc/secret' },
    });
  });
});

describe('all lists', () => {
  it('tools must succeed; the others may fail, and are named', async () => {
    const { link, options } = rig({
      'prompts/list': () => ({ error: { code: -32603, message: 'no' } }),
      'resources/list': () => ({ result: { resources: [{ uri: 'a:', name: 'a' }] } }),
    });
    const { set, missing } = await listAll(link, options);
    expect(missing).toEqual(['prompts']);
    expect(set).toMatchObject({ era: 'modern', instructions: 'use me', lists: { prompts: [], templates: [] } });
    expect(set.lists.resources.map(({ id }) => id)).toEqual(['a:']);
    const broken = rig({ 'tools/list': () => ({ error: { code: -32601, message: 'no' } }) });
    await expect(listAll(broken.link, broken.options)).rejects.toMatchObject({ code: 'upstream/protocol' });
  });

  it('what is not declared is not asked', async () => {
    const { link, options, transport } = rig({}, { tools: {} });
    await listAll(link, options);
    expect(transport.sent.map(({ method }) => method)).toEqual(['tools/list']);
  });
});
