import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ManualClock } from '../core/manual-clock.ts';
import { Catalog } from './catalog.ts';
import type { ToolResolution } from './resolutions.ts';
import { SampleSource, sampleCaller, sampleSet, sampleTool, sampleUpstream } from './sample-source.ts';
import type { CatalogSettings, UpstreamSettings } from './settings.ts';

/** Few words, so that random upstreams meet in names: `a` + `b_c` and `a_b` + `c`. */
const UPSTREAMS = ['a', 'a_b', 'b'];
const TOOLS = ['b_c', 'c', 'b c', 'cleanup', 'a_c', 'read'];
const URIS = ['file:///x', 'file:///y', 'x', 'a_x', 'turnpike://a/x'];
const TENANTS = ['red', 'blue'];

const some = <T>(values: readonly T[]) => fc.subarray([...values]);
const glob = fc.constantFrom('*', 'c*', 'read', 'b?c', 'none');

const offer = fc.record({
  tools: fc.uniqueArray(fc.record({ name: fc.constantFrom(...TOOLS), destructiveHint: fc.boolean(), readOnlyHint: fc.boolean() }), {
    selector: ({ name }) => name,
  }),
  prompts: some(TOOLS),
  resources: some(URIS),
  state: fc.constantFrom('live', 'live', 'live', 'stopped', 'unreachable'),
});
type Offer = typeof offer extends fc.Arbitrary<infer T> ? T : never;

const upstream = (name: string) =>
  fc
    .record({
      naming: fc.constantFrom('prefixed' as const, 'prefixed' as const, 'passthrough' as const),
      toolPrefix: fc.option(fc.constantFrom('a', 'p'), { nil: undefined }),
      family: fc.option(fc.record({ name: fc.constantFrom('f', 'f', 'a'), instanceArg: fc.constantFrom('i', 'i', 'i', 'j') }), { nil: undefined }),
      tenants: fc.option(some(TENANTS), { nil: undefined }),
      tools: fc.record({
        allow: fc.option(fc.array(glob, { maxLength: 2 }), { nil: undefined }),
        deny: fc.array(glob, { maxLength: 1 }),
        readOnly: fc.array(glob, { maxLength: 1 }),
        trustAnnotations: fc.boolean(),
      }),
    })
    .map(({ family, ...settings }): UpstreamSettings => {
      return sampleUpstream(name, settings.naming === 'passthrough' ? settings : { ...settings, family });
    });

const settings: fc.Arbitrary<CatalogSettings> = fc.record({
  catalog: fc.record({ prefix: fc.constantFrom('x', 'y'), maxNameLength: fc.constantFrom(16, 64) }),
  policy: fc.record({
    denylist: fc.record({ extra: some(['read', 'c']), except: some(['a:cleanup', 'b:read', 'a_b:c']) }),
    annotations: fc.constantFrom('enforce', 'ignore'),
    nonDestructive: fc.boolean(),
    yolo: fc.boolean(),
  }),
  upstreams: fc.tuple(...UPSTREAMS.map(upstream)),
});

function build(config: CatalogSettings, offers: readonly Offer[], order: readonly number[]): Catalog {
  const source = new SampleSource();
  const catalog = new Catalog(config, source, { clock: new ManualClock() });
  for (const index of order) {
    const { tools, ...rest } = offers[index] as Offer;
    const set = sampleSet({ ...rest, tools: tools.map(({ name, ...annotations }) => sampleTool(name, { annotations })) });
    source.set(UPSTREAMS[index] as string, set);
  }
  for (const index of order) {
    const { state } = offers[index] as Offer;
    if (state === 'stopped') source.set(UPSTREAMS[index] as string, undefined, 'stopped');
  }
  return catalog;
}

const offers = fc.tuple(...UPSTREAMS.map(() => offer));
const order = fc.shuffledSubarray([0, 1, 2], { minLength: 3 });
const toolset = fc.constantFrom(undefined, 'server:a', 'server:b,server:a_b', 'tool:x_a_b_c', 'server:b,tool:x_a_b_c', 'family:f', 'tool:x_f_read');

function viewOf(catalog: Catalog, tenant: string, selectors: string | undefined) {
  try {
    return catalog.viewFor(sampleCaller(tenant), selectors);
  } catch {
    // An unknown selector: there is no view to compare.
    return undefined;
  }
}

function listed(view: NonNullable<ReturnType<typeof viewOf>>, kind: 'tools' | 'prompts' | 'resources'): { name: string; original: string }[] {
  const ids = view.list(kind).items.map((item) => JSON.parse(item.toString()));
  return ids.map(({ name, uri, annotations }) => ({ name: uri ?? name, original: JSON.stringify(annotations) }));
}

/** Whom a call of a tool or prompt may reach. */
function targetsOf(resolution: ToolResolution): { readonly upstream: string; readonly original: string }[] {
  const found = resolution.kind === 'family' ? resolution.tool.available.map((name) => resolution.tool.choose(name)) : [resolution];
  return found.filter((one) => one.kind === 'found').filter(({ decision }) => decision.kind === 'allowed');
}

describe('listing and calling', () => {
  it('agree for every policy, tenant and toolset: listed if and only if callable without refusal', () => {
    fc.assert(
      fc.property(settings, offers, order, fc.constantFrom(...TENANTS), toolset, (config, offered, sequence, tenant, selectors) => {
        const catalog = build(config, offered, sequence);
        const view = viewOf(catalog, tenant, selectors);
        if (view === undefined) return;
        for (const kind of ['tools', 'prompts'] as const) {
          const names = listed(view, kind).map(({ name }) => name);
          expect(new Set(names).size).toBe(names.length);
          const prefixes = ['', `${config.catalog.prefix}_`];
          const heads = ['', 'a_', 'p_', 'b_', 'a_b_', 'f_'];
          const candidates = new Set(prefixes.flatMap((prefix) => heads.flatMap((head) => TOOLS.map((tool) => `${prefix}${head}${tool}`))));
          for (const name of new Set([...names, ...candidates])) {
            const resolution = kind === 'tools' ? view.resolveTool(name) : view.resolvePrompt(name);
            const targets = targetsOf(resolution);
            expect(targets.length > 0, name).toBe(names.includes(name));
            for (const { upstream } of targets) expect(view.upstreams).toContain(upstream);
          }
        }
        for (const { name } of listed(view, 'resources')) expect(view.resolveResource(name).kind, name).toBe('found');
      }),
      { numRuns: 300 },
    );
  });

  it('agree on whose it is: a listed definition resolves to the one it was made from', () => {
    fc.assert(
      fc.property(settings, offers, order, fc.constantFrom(...TENANTS), (config, offered, sequence, tenant) => {
        const view = build(config, offered, sequence).viewFor(sampleCaller(tenant));
        const seen = new Set<string>();
        for (const { part, forms } of view.runs('tools')) {
          for (const { exposed } of forms) {
            const [first, ...others] = targetsOf(view.resolveTool(exposed));
            expect(first?.upstream).toBe(part.upstream.name);
            for (const { upstream, original } of first === undefined ? [] : [first, ...others]) {
              expect(view.nameOfTool(upstream, original)).toBe(exposed);
              // No tool is listed under two names.
              expect(seen.has(`${upstream} ${original}`)).toBe(false);
              seen.add(`${upstream} ${original}`);
            }
          }
        }
        const uris = new Set<string>();
        for (const { part, forms } of view.runs('resources')) {
          for (const { exposed } of forms) {
            const resolution = view.resolveResource(exposed);
            expect(resolution).toMatchObject({ kind: 'found', upstream: part.upstream.name });
            if (resolution.kind === 'found') uris.add(`${resolution.upstream} ${resolution.original}`);
          }
        }
        expect(uris.size).toBe(view.list('resources').items.length);
      }),
      { numRuns: 200 },
    );
  });

  it('do not depend on the order in which upstreams came', () => {
    fc.assert(
      fc.property(settings, offers, order, order, (config, offered, one, other) => {
        const [first, second] = [one, other].map((sequence) => build(config, offered, sequence).viewFor(sampleCaller('red')));
        expect(first?.id).toBe(second?.id);
      }),
      { numRuns: 100 },
    );
  });

  it('move no call to another upstream when one stops, or when a toolset narrows the view', () => {
    fc.assert(
      fc.property(settings, offers, order, fc.integer({ min: 0, max: 2 }), toolset, (config, offered, sequence, stopping, selectors) => {
        const live = offered.map((one) => ({ ...one, state: 'live' as const }));
        const stopped = live.map((one, index) => (index === stopping ? { ...one, state: 'stopped' as const } : one));
        const before = build(config, live, sequence).viewFor(sampleCaller('red'));
        const after = viewOf(build(config, stopped, sequence), 'red', selectors);
        if (after === undefined) return;
        for (const { name } of listed(after, 'tools')) {
          const was = targetsOf(before.resolveTool(name)).map(({ upstream, original }) => `${upstream} ${original}`);
          for (const { upstream, original } of targetsOf(after.resolveTool(name))) expect(was).toContain(`${upstream} ${original}`);
          expect(after.resolveTool(name).kind).toBe(before.resolveTool(name).kind);
        }
        for (const uri of [...URIS, ...listed(before, 'resources').map(({ name }) => name)]) {
          const [was, is] = [before.resolveResource(uri), after.resolveResource(uri)];
          if (is.kind === 'found') expect(was).toMatchObject({ upstream: is.upstream, original: is.original });
        }
      }),
      { numRuns: 200 },
    );
  });
});
