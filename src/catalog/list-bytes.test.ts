import { describe, expect, it } from 'vitest';
import { TurnpikeError } from '../core/errors.ts';
import { ManualClock } from '../core/manual-clock.ts';
import type { JsonObject } from '../core/mcp.ts';
import type { CapabilitySet } from '../core/ports.ts';
import { Catalog } from './catalog.ts';
import { dialectOf } from './dialects.ts';
import { ListBytes } from './list-bytes.ts';
import { Cursors } from './pages.ts';
import { SampleSource, sampleCaller, sampleCapability, sampleSet, sampleSettings, sampleTool, sampleUpstream } from './sample-source.ts';
import type { CatalogSettings } from './settings.ts';

const ANN = sampleCaller('default', 'ann');

/** Only texts it sealed can be opened. */
function sampleSealer() {
  const sealed = new Map<string, string>();
  return {
    seal: (payload: string) => {
      const text = `sealed-${sealed.size}`;
      sealed.set(text, payload);
      return text;
    },
    open: (text: string) => sealed.get(text),
  };
}

function open(sets: Record<string, CapabilitySet>, settings: CatalogSettings = sampleSettings(Object.keys(sets))) {
  const source = new SampleSource();
  for (const [name, set] of Object.entries(sets)) source.set(name, set);
  const catalog = new Catalog(settings, source, { clock: new ManualClock() });
  const lists = new ListBytes({ cursors: new Cursors(sampleSealer()), serverInfo: { name: 'turnpike', version: '0' } });
  return { source, catalog, lists };
}

function manyTools(count: number): CapabilitySet {
  return sampleSet({ tools: Array.from({ length: count }, (_, index) => `t${index}`) });
}

function parse(bytes: Buffer): JsonObject & { readonly tools: readonly JsonObject[]; readonly nextCursor?: string } {
  return JSON.parse(bytes.toString());
}

function pageOf(lists: ListBytes, ...asked: Parameters<ListBytes['pieces']>): Buffer {
  const pieces = lists.pieces(...asked);
  return pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces);
}

describe('results', () => {
  it('of modern clients carry the caching fields, the type and our name', () => {
    const { catalog, lists } = open({ a: sampleSet({ tools: ['t'] }, { caching: { tools: { ttlMs: 5_000, cacheScope: 'public' } } }) });
    expect(pageOf(lists, 'tools', catalog.viewFor(ANN), ANN, 'modern').toString()).toBe(
      '{"tools":[{"name":"x_a_t","inputSchema":{"type":"object"}}],"ttlMs":5000,"cacheScope":"public","resultType":"complete",' +
        '"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"turnpike","version":"0"}}}',
    );
  });

  it('of legacy clients carry the list alone', () => {
    const { catalog, lists } = open({ a: sampleSet({ tools: ['t'] }) });
    const view = catalog.viewFor(ANN);
    expect(pageOf(lists, 'tools', view, ANN, 'legacy').toString()).toBe('{"tools":[{"name":"x_a_t","inputSchema":{"type":"object"}}]}');
    expect(pageOf(lists, 'templates', view, ANN, 'legacy').toString()).toBe('{"resourceTemplates":[]}');
    expect(pageOf(lists, 'prompts', view, ANN, 'legacy').toString()).toBe('{"prompts":[]}');
    expect(pageOf(lists, 'resources', view, ANN, 'legacy').toString()).toBe('{"resources":[]}');
  });

  it('name the missing parts, in both eras', () => {
    const { catalog, lists, source } = open({ a: sampleSet({ tools: ['t'] }), b: sampleSet({}) });
    source.set('b', undefined, 'failed', 'no such command');
    const unavailable = { 'turnpike/unavailable': [{ upstream: 'b', reason: 'failed: no such command' }] };
    expect(parse(pageOf(lists, 'tools', catalog.viewFor(ANN), ANN, 'modern'))._meta).toMatchObject(unavailable);
    expect(parse(pageOf(lists, 'tools', catalog.viewFor(ANN), ANN, 'legacy'))._meta).toEqual(unavailable);
  });
});

describe('caching (protocol.md section 5)', () => {
  const modern = (ttlMs: number, cacheScope: 'public' | 'private') => sampleSet({ tools: ['t'] }, { caching: { tools: { ttlMs, cacheScope } } });
  const caching = (sets: Record<string, CapabilitySet>, settings?: CatalogSettings, toolset?: string) =>
    open(sets, settings).catalog.viewFor(ANN, toolset).caching('tools');

  it('takes the smallest lifetime, and public only if all are', () => {
    expect(caching({ a: modern(9, 'public'), b: modern(5, 'public') })).toEqual({ ttlMs: 5, cacheScope: 'public' });
    expect(caching({ a: modern(9, 'public'), b: modern(10, 'private') })).toEqual({ ttlMs: 9, cacheScope: 'private' });
    expect(caching({ a: modern(10_000_000, 'public') })).toEqual({ ttlMs: 3_600_000, cacheScope: 'public' });
    expect(caching({ a: modern(-1, 'public') })).toEqual({ ttlMs: 0, cacheScope: 'public' });
  });

  it('knows legacy upstreams by their listChanged, and ignores those without such a list', () => {
    const legacy = (tools: JsonObject) => sampleSet({ tools: ['t'] }, { era: 'legacy', capabilities: { tools } });
    expect(caching({ a: legacy({ listChanged: true }) })).toEqual({ ttlMs: 30_000, cacheScope: 'private' });
    expect(caching({ a: legacy({}) })).toEqual({ ttlMs: 0, cacheScope: 'private' });
    const noTools = sampleSet({ prompts: ['p'] }, { era: 'legacy', capabilities: { prompts: {} } });
    expect(caching({ a: modern(9, 'public'), b: noTools })).toEqual({ ttlMs: 9, cacheScope: 'public' });
    expect(caching({})).toEqual({ ttlMs: 0, cacheScope: 'private' });
  });

  it('is private wherever something was cut', () => {
    const sets = { a: modern(9, 'public'), b: modern(9, 'public') };
    const hiding = { deny: ['nothing', 't'] };
    expect(caching(sets, sampleSettings([sampleUpstream('a', { tenants: ['default'] }), 'b'])).cacheScope).toBe('private');
    expect(caching(sets, sampleSettings(['a', sampleUpstream('b', { tenants: ['other'] })])).cacheScope).toBe('private');
    expect(caching(sets, sampleSettings(['a', sampleUpstream('b', { tools: hiding })])).cacheScope).toBe('private');
    expect(caching(sets, sampleSettings(['a', 'b'], { nonDestructive: true })).cacheScope).toBe('private');
    expect(caching(sets, undefined, 'server:a,server:b').cacheScope).toBe('private');
    expect(caching(sets).cacheScope).toBe('public');
  });

  it('is nothing while a part is missing', () => {
    const { catalog, source } = open({ a: modern(9, 'public'), b: modern(9, 'public') });
    source.set('b', undefined, 'starting');
    expect(catalog.viewFor(ANN).caching('tools')).toEqual({ ttlMs: 0, cacheScope: 'private' });
  });
});

describe('pages', () => {
  it('hold 500 items and join to the whole list', () => {
    const { catalog, lists } = open({ a: manyTools(700), b: manyTools(600), c: sampleSet({}) });
    const view = catalog.viewFor(ANN);
    const names: unknown[] = [];
    const sizes: number[] = [];
    let cursor: string | undefined;
    do {
      const page = parse(pageOf(lists, 'tools', view, ANN, 'modern', cursor));
      sizes.push(page.tools.length);
      names.push(...page.tools.map(({ name }) => name));
      expect(page).toMatchObject({ ttlMs: 0, cacheScope: 'private', resultType: 'complete' });
      cursor = page.nextCursor;
    } while (cursor !== undefined);
    expect(sizes).toEqual([500, 500, 300]);
    expect(names).toEqual(view.list('tools').items.map((item) => JSON.parse(item.toString()).name));
  });

  it('end without a cursor at exactly 500', () => {
    const { catalog, lists } = open({ a: manyTools(500) });
    expect(parse(pageOf(lists, 'tools', catalog.viewFor(ANN), ANN, 'legacy')).nextCursor).toBeUndefined();
  });

  it('take only cursors of the same principal, tenant, kind and list', () => {
    const { catalog, lists, source } = open({ a: manyTools(501), b: sampleSet({}) });
    const view = catalog.viewFor(ANN);
    const cursor = parse(pageOf(lists, 'tools', view, ANN, 'modern')).nextCursor;
    expect(parse(pageOf(lists, 'tools', view, ANN, 'modern', cursor)).tools).toHaveLength(1);
    const error = new TurnpikeError('catalog/cursor');
    expect(() => pageOf(lists, 'tools', view, sampleCaller('default', 'bob'), 'modern', cursor)).toThrow(error);
    expect(() => pageOf(lists, 'tools', view, sampleCaller('other', 'ann'), 'modern', cursor)).toThrow(error);
    expect(() => pageOf(lists, 'prompts', view, ANN, 'modern', cursor)).toThrow(error);
    expect(() => pageOf(lists, 'tools', catalog.viewFor(ANN, 'tool:x_a_t1'), ANN, 'modern', cursor)).toThrow(error);
    for (const bad of ['', 'x', 5, null, {}, 'x'.repeat(2_000)]) expect(() => pageOf(lists, 'tools', view, ANN, 'modern', bad)).toThrow(error);
    source.set('b', sampleSet({ prompts: ['p'] }), 'unreachable');
    expect(parse(pageOf(lists, 'tools', catalog.viewFor(ANN), ANN, 'modern', cursor)).tools).toHaveLength(1);
    source.set('b', sampleSet({ tools: ['p'] }));
    expect(() => pageOf(lists, 'tools', catalog.viewFor(ANN), ANN, 'modern', cursor)).toThrow(error);
  });
});

it('holds what the view lists, also where a toolset, a collision or a rule cut the part of an upstream', () => {
  const resources = ['f://x', 'f://y'];
  const { catalog, lists } = open({
    a: sampleSet({ tools: ['b_c', 't', 'u', 'cleanup'], resources }),
    a_b: sampleSet({ tools: ['c', 'v'], resources: ['f://x'] }),
  });
  for (const toolset of [undefined, 'tool:x_a_u', 'server:a_b', 'server:a,tool:x_a_b_v']) {
    const view = catalog.viewFor(ANN, toolset);
    for (const kind of ['tools', 'resources'] as const) {
      const items = view.list(kind).items.map((item) => JSON.parse(item.toString()));
      expect(parse(pageOf(lists, kind, view, ANN, 'modern'))[kind]).toEqual(items);
    }
  }
});

describe('the cache', () => {
  it('builds a list of 2,000 tools once for all callers', () => {
    const { catalog, lists } = open({ a: manyTools(1_000), b: manyTools(1_000) });
    const read = (subject: string) => {
      const caller = sampleCaller('default', subject);
      let cursor: string | undefined;
      do cursor = parse(pageOf(lists, 'tools', catalog.viewFor(caller), caller, 'modern', cursor)).nextCursor;
      while (cursor !== undefined);
    };
    for (let index = 0; index < 20; index++) read(`user-${index}`);
    expect(lists.builds).toBe(4);
  });

  it('answers one buffer to everybody, and keeps it while the list stays', () => {
    const { catalog, lists, source } = open({ a: manyTools(3), b: manyTools(3) });
    const bob = sampleCaller('other', 'bob');
    const first = pageOf(lists, 'tools', catalog.viewFor(ANN), ANN, 'modern');
    expect(pageOf(lists, 'tools', catalog.viewFor(bob), bob, 'modern')).toBe(first);
    source.set('a', sampleSet({ tools: ['t0', 't1', 't2'], prompts: ['new'] }));
    expect(pageOf(lists, 'tools', catalog.viewFor(ANN), ANN, 'modern')).toBe(first);
    expect(lists.builds).toBe(1);
    source.set('a', sampleSet({ tools: ['t0'] }));
    expect(parse(pageOf(lists, 'tools', catalog.viewFor(ANN), ANN, 'modern')).tools).toHaveLength(4);
  });

  it('keeps views apart that differ', () => {
    const settings = sampleSettings(['a', sampleUpstream('b', { tenants: ['red'] })]);
    const { catalog, lists } = open({ a: manyTools(1), b: manyTools(1) }, settings);
    const tools = (tenant: string) =>
      parse(pageOf(lists, 'tools', catalog.viewFor(sampleCaller(tenant)), sampleCaller(tenant), 'modern')).tools.length;
    expect([tools('red'), tools('blue'), tools('red')]).toEqual([2, 1, 2]);
  });
});

describe('down-conversion', () => {
  const first = (tool: JsonObject, dialect: 'modern' | 'legacy' | 'plain', era: 'modern' | 'legacy' = 'modern') => {
    const { catalog, lists } = open({ a: sampleSet({ tools: [sampleTool('t', tool)] }, { era }) });
    return parse(pageOf(lists, 'tools', catalog.viewFor(ANN), ANN, dialect)).tools[0];
  };

  it('knows dialects by revision', () => {
    expect(['2025-11-25', '2025-06-18', '2025-03-26', '2024-11-05'].map((version) => dialectOf('legacy', version))).toEqual([
      'legacy',
      'legacy',
      'plain',
      'plain',
    ]);
    expect(dialectOf('modern', '2026-07-28')).toBe('modern');
  });

  it('wraps output schemas that are no objects, and moves their definitions', () => {
    const outputSchema = { type: 'array', items: { $ref: '#/$defs/x' }, $defs: { x: { type: 'string' } } };
    expect(first({ outputSchema }, 'legacy')?.outputSchema).toEqual({
      type: 'object',
      properties: { result: { type: 'array', items: { $ref: '#/$defs/x' } } },
      required: ['result'],
      $defs: { x: { type: 'string' } },
    });
    expect(first({ outputSchema: { type: 'object', title: 'o' } }, 'legacy')?.outputSchema).toEqual({ type: 'object', title: 'o' });
    expect(first({ outputSchema }, 'modern')?.outputSchema).toEqual(outputSchema);
    expect(first({ outputSchema }, 'legacy', 'legacy')?.outputSchema).toEqual(outputSchema);
    const named = { $id: 'urn:s', ...outputSchema };
    expect(first({ outputSchema: named }, 'legacy')?.outputSchema).toMatchObject({ properties: { result: named } });
  });

  it('leaves output schemas away for revisions that know none', () => {
    expect(first({ outputSchema: { type: 'object' } }, 'plain')).not.toHaveProperty('outputSchema');
  });

  it('hides tasks from legacy clients', () => {
    const execution = { taskSupport: 'optional' };
    expect(first({ execution }, 'legacy')).not.toHaveProperty('execution');
    expect(first({ execution: { ...execution, other: 1 } }, 'legacy')?.execution).toEqual({ other: 1 });
    expect(first({ execution }, 'modern')?.execution).toEqual(execution);
  });

  it('removes reserved _meta members, and leaves those of carried extensions to modern clients', () => {
    const _meta = { 'io.modelcontextprotocol/serverInfo': {}, 'io.modelcontextprotocol/ui': { a: 1 }, ui: { b: 1 }, 'vendor/x': 1 };
    expect(first({ _meta }, 'modern')?._meta).toEqual({ 'io.modelcontextprotocol/ui': { a: 1 }, ui: { b: 1 }, 'vendor/x': 1 });
    expect(first({ _meta }, 'legacy')?._meta).toEqual({ ui: { b: 1 }, 'vendor/x': 1 });
    expect(first({ _meta: { 'io.modelcontextprotocol/x': 1 } }, 'legacy')).not.toHaveProperty('_meta');
  });

  it('leaves every other byte', () => {
    const bytes = '{ "name":"t", "big":12345678901234567890 ,"inputSchema":{"type":"object"},"icons":[ ], "f":1.0 }';
    const { catalog, lists } = open(
      { a: sampleSet({ tools: [sampleCapability('tools', bytes)] }) },
      sampleSettings([sampleUpstream('a', { naming: 'passthrough' })]),
    );
    for (const dialect of ['modern', 'legacy', 'plain'] as const) {
      expect(pageOf(lists, 'tools', catalog.viewFor(ANN), ANN, dialect).toString()).toContain(`[${bytes}]`);
    }
  });
});
