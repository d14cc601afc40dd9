import { describe, expect, it } from 'vitest';
import { ManualClock } from '../core/manual-clock.ts';
import type { JsonObject } from '../core/mcp.ts';
import type { Capability, CapabilitySet } from '../core/ports.ts';
import { Catalog } from './catalog.ts';
import { FamilySide } from './families.ts';
import type { Finding } from './findings.ts';
import { ListBytes } from './list-bytes.ts';
import { Cursors } from './pages.ts';
import { SampleSource, sampleCaller, sampleCapability, sampleSet, sampleSettings, sampleTool, sampleUpstream } from './sample-source.ts';
import type { UpstreamSettings } from './settings.ts';
import type { View } from './view.ts';

const ANN = sampleCaller();
const FAMILY = { name: 'f', instanceArg: 'instance' };
const inFamily = (name: string, more: Parameters<typeof sampleUpstream>[1] = {}) => sampleUpstream(name, { family: FAMILY, ...more });

type Offers = Readonly<Record<string, readonly (string | Capability)[] | CapabilitySet>>;

/** Upstreams that are all members of `f`, but for those with settings of their own. */
function open(offers: Offers, ...settings: UpstreamSettings[]) {
  const source = new SampleSource();
  for (const [name, offer] of Object.entries(offers)) source.set(name, 'lists' in offer ? offer : sampleSet({ tools: offer }));
  const own = new Set(settings.map(({ name }) => name));
  const others = Object.keys(offers).filter((name) => !own.has(name));
  const reported: Finding[] = [];
  const config = sampleSettings([...others.map((name) => inFamily(name)), ...settings]);
  const catalog = new Catalog(config, source, { clock: new ManualClock(), report: (finding) => reported.push(finding) });
  return { source, catalog, reported, config };
}

const listed = (view: View): string[] => view.list('tools').items.map((item) => (JSON.parse(item.toString()) as { name: string }).name);
const textOf = (view: View, name: string) => {
  const resolution = view.resolveTool(name);
  return resolution.kind === 'unknown' || resolution.kind === 'ambiguous' ? resolution.text : resolution.kind;
};
/** Whom a call of a family's tool may name. */
function members(view: View, name: string): readonly string[] | undefined {
  const resolution = view.resolveTool(name);
  return resolution.kind === 'family' ? resolution.tool.available : undefined;
}
const props = (properties: JsonObject, more: JsonObject = {}) => ({ inputSchema: { type: 'object', properties, ...more } });

describe('the definition', () => {
  const shown = (definition: string, ...more: string[]) => {
    const tool = sampleCapability('tools', definition);
    const { catalog } = open(Object.fromEntries(['a', ...more].map((name) => [name, [tool]])));
    return catalog.viewFor(ANN).list('tools').items.map(String);
  };
  const property = (names: string, list: string) =>
    `"instance":{"type":"string","description":"Target instance to execute this tool on. Available: ${names}","enum":${list}}`;

  it('gets the argument cut into its bytes; every other byte stays', () => {
    const definition =
      '{ "x" : 12345678901234567890,"name":"t" , "description" : "Says \\u201cit\\u201d\\n","inputSchema": {"required" : [ "n" ],' +
      '"type":"object", "properties":{ "n" : {"minimum":1.0} } , "additionalProperties":false}, "title" : "T" }';
    expect(shown(definition, 'b')).toEqual([
      '{ "x" : 12345678901234567890,"name":"x_f_t" , "description" : "Says \\u201cit\\u201d\\n (available on servers: a, b)",' +
        '"inputSchema": {"required" : [ "n" ,"instance"],' +
        `"type":"object", "properties":{ "n" : {"minimum":1.0},${property('a, b', '["a","b"]')} } , "additionalProperties":false}, "title" : "T" }`,
    ]);
  });

  it.each([
    ['nothing but a type', '"type":"object"', `"type":"object","properties":{${property('a', '["a"]')}},"required":["instance"]`],
    [
      'empty members',
      '"type":"object","required":[ ],"properties":{ }',
      `"type":"object","required":[ "instance"],"properties":{${property('a', '["a"]')} }`,
    ],
  ])('has room for it where the schema has %s', (_, before, after) => {
    expect(shown(`{"name":"t","inputSchema":{${before}}}`)).toEqual([
      `{"name":"x_f_t","inputSchema":{${after}},"description":"(available on servers: a)"}`,
    ]);
    expect(shown(`{"name":"t","description":"","inputSchema":{${before}}}`)[0]).toContain('"description":"(available on servers: a)"');
  });

  it('names members in the order of their names, and stands where the first of them is', () => {
    const { catalog } = open({ c: ['t', 'last'], a: ['own', 't'], B: ['t'], b0: ['plain'] }, sampleUpstream('b0'));
    expect(listed(catalog.viewFor(ANN))).toEqual(['x_f_t', 'x_f_own', 'x_b0_plain', 'x_f_last']);
    expect(members(catalog.viewFor(ANN), 'x_f_t')).toEqual(['B', 'a', 'c']);
  });

  it('is built once for each set of members, and lists once for each view', () => {
    const { catalog, source, config } = open({ a: ['t'], b: ['t'], z: ['u'] }, sampleUpstream('z'));
    const item = () => catalog.viewFor(ANN).list('tools').items[0];
    const first = item();
    source.set('z', sampleSet({ tools: ['v'] }));
    expect(item()).toBe(first);
    source.set('b', undefined, 'stopped');
    const alone = item();
    expect(alone).not.toEqual(first);
    expect(catalog.viewFor(ANN, 'server:a').list('tools').items[0]).toBe(alone);
    source.set('b', sampleSet({ tools: ['t'] }));
    expect(item()).toBe(first);
    catalog.reconfigure({ ...config, upstreams: [...config.upstreams, sampleUpstream('y')] });
    expect(item()).toBe(first);
    const lists = new ListBytes({ cursors: new Cursors({ seal: (payload) => payload, open: (text) => text }) });
    for (let round = 0; round < 3; round++) lists.pieces('tools', catalog.viewFor(ANN), ANN, 'modern');
    lists.pieces('tools', catalog.viewFor(sampleCaller('other')), ANN, 'modern');
    expect(lists.builds).toBe(1);
  });

  it('is kept for a bounded number of sets of members, whatever toolsets ask for', () => {
    const names = Array.from({ length: 8 }, (_, index) => `m${index}`);
    const { catalog } = open(Object.fromEntries(names.map((name) => [name, [sampleTool('t', { description: 'D' })]])));
    const all = catalog.viewFor(ANN).list('tools').items[0];
    for (let bits = 1; bits < 1 << names.length; bits++) {
      const chosen = names.filter((_, index) => (bits & (1 << index)) !== 0);
      const view = catalog.viewFor(ANN, chosen.map((name) => `server:${name}`).join(','));
      expect(String(view.list('tools').items[0])).toContain(`D (available on servers: ${chosen.join(', ')})`);
    }
    expect(catalog.viewFor(ANN).list('tools').items[0]).toBe(all);
  });

  it('keeps those that are asked for, and lets the others go', () => {
    const { name, instanceArg } = FAMILY;
    const tool = sampleTool('t');
    const side = new FamilySide({ name, instanceArg }, tool, tool.bytes, 'modern', { prefix: 'x', maxNameLength: 64 });
    const [often, once] = [side.form(['often']), side.form(['once'])];
    for (let index = 0; index < 40; index++) {
      side.form([`m${index}`]);
      expect(side.form(['often'])).toBe(often);
    }
    expect(side.form(['once'])).not.toBe(once);
    expect(side.form(['once']).digest).toEqual(once.digest);
  });

  it('passes to session clients as that of a tool does', () => {
    const schema = { type: 'array', items: { type: 'string' } };
    const { catalog } = open({ a: [sampleTool('t', { outputSchema: schema })], b: [sampleTool('t', { outputSchema: schema })] });
    const lists = new ListBytes({ cursors: new Cursors({ seal: (payload) => payload, open: (text) => text }) });
    const [tool] = JSON.parse(Buffer.concat(lists.pieces('tools', catalog.viewFor(ANN), ANN, 'legacy')).toString()).tools;
    expect(tool).toMatchObject({ name: 'x_f_t', inputSchema: { required: ['instance'] }, outputSchema: { properties: { result: schema } } });
  });
});

describe('a tool falls back to the names of its servers', () => {
  const reasons = ({ catalog }: { catalog: Catalog }) =>
    catalog
      .findings()
      .filter(({ rule }) => rule === 'family-fallback')
      .map(({ upstream, text }) => [upstream, text.replace(/^.*servers: /, '')]);

  it.each([
    ['has it as a property', props({ instance: { type: 'string' } })],
    ['requires it', props({}, { required: ['instance'] })],
    ['has it in a branch', props({}, { anyOf: [{ properties: { instance: {} } }, {}] })],
    ['has it under a condition', props({}, { if: { required: ['x'] }, else: { allOf: [{ required: ['instance'] }] } })],
    ['has it by reference', props({}, { allOf: [{ $ref: '#/$defs/x~1y' }], $defs: { 'x/y': { properties: { instance: {} } } } })],
    ['has it with another argument', props({ x: {} }, { dependentSchemas: { x: { properties: { instance: {} } } } })],
    ['has it so in draft 7', props({ x: {} }, { dependencies: { y: ['x'], x: { properties: { instance: {} } } } })],
  ])('if one %s', (_, definition) => {
    const rig = open({ a: ['t', 'u'], b: [sampleTool('t', definition), 'u'] });
    expect(listed(rig.catalog.viewFor(ANN))).toEqual(['x_a_t', 'x_f_u', 'x_b_t']);
    expect(textOf(rig.catalog.viewFor(ANN), 'x_f_t')).toBe('tool not found: x_f_t');
    expect(reasons(rig)).toEqual(['a', 'b'].map((upstream) => [upstream, "b has an argument 'instance' of its own"]));
    // Alone, too.
    expect(listed(open({ b: [sampleTool('t', definition)] }).catalog.viewFor(ANN))).toEqual(['x_b_t']);
  });

  it.each([
    ['deeper', props({ x: { type: 'object', properties: { instance: {} }, required: ['instance'] } })],
    ['in a definition that nothing refers to', props({}, { $defs: { x: { properties: { instance: {} } } } })],
    ['in data', props({ x: { default: { properties: { instance: {} } }, enum: ['instance'] } })],
    ['as an inherited member', props({ x: {} }, { $ref: '#/constructor' })],
    ['in a loop of references', props({}, { $ref: '#' })],
    ['by a foreign reference', props({}, { $ref: 'https://example.com/#/properties/instance' })],
  ])('but not if the name stands %s', (_, definition) => {
    expect(listed(open({ a: [sampleTool('t', definition)] }).catalog.viewFor(ANN))).toEqual(['x_f_t']);
  });

  it('but not if it is called as something that every object inherits', () => {
    const family = { name: 'f', instanceArg: 'constructor' };
    const { catalog } = open({ a: [sampleTool('t', props({ n: {} }, { $ref: '#/properties' }))] }, inFamily('a', { family }));
    const [tool] = catalog
      .viewFor(ANN)
      .list('tools')
      .items.map((item) => JSON.parse(item.toString()));
    expect(tool).toMatchObject({ name: 'x_f_t', inputSchema: { properties: { constructor: { enum: ['a'] } }, required: ['constructor'] } });
  });

  it('if nothing can be added to a definition', () => {
    const broken = [
      props([] as unknown as JsonObject),
      props({}, { required: 'x' }),
      { description: 5 },
      { inputSchema: { type: 'object', properties: null } },
    ].map((definition, index) => sampleTool(`t${index}`, definition));
    const rig = open({ a: broken });
    expect(listed(rig.catalog.viewFor(ANN))).toEqual(['x_a_t0', 'x_a_t1', 'x_a_t2', 'x_a_t3']);
    expect(reasons(rig)[0]).toEqual(['a', 'a has a definition that no argument can be added to']);
  });

  it('if a member has two of that name; the same page twice is no second one', () => {
    const rig = open({ a: ['t', 'f_t'], b: ['t'], c: ['u', 'u'] });
    expect(listed(rig.catalog.viewFor(ANN))).toEqual(['x_a_t', 'x_a_f_t', 'x_b_t', 'x_f_u']);
    expect(reasons(rig)[0]).toEqual(['a', 'a has two tools of that name']);
  });

  it('but not because members call it differently themselves: each hears its own name', () => {
    const { catalog } = open({ a: ['f_t'], b: ['t'] });
    const resolution = catalog.viewFor(ANN).resolveTool('x_f_t');
    expect(resolution.kind === 'family' && ['a', 'b'].map((name) => resolution.tool.choose(name))).toMatchObject([
      { upstream: 'a', original: 'f_t' },
      { upstream: 'b', original: 't' },
    ]);
  });

  it('if results that session clients get wrapped come from members of both eras', () => {
    const offer = (outputSchema: JsonObject) => {
      const tools = [sampleTool('t', { outputSchema })];
      return open({ a: sampleSet({ tools }), b: sampleSet({ tools }, { era: 'legacy' }) }).catalog.viewFor(ANN);
    };
    expect(listed(offer({ type: 'array' }))).toEqual(['x_a_t', 'x_b_t']);
    expect(listed(offer({ type: 'object' }))).toEqual(['x_f_t']);
  });

  it('with its whole family, if members configure different arguments; told once for each member', () => {
    const other = inFamily('b', { family: { name: 'f', instanceArg: 'host' } });
    const rig = open({ a: ['t'], b: ['u'], c: ['v'] }, other, inFamily('c', { family: { name: 'g', instanceArg: 'host' } }));
    expect(listed(rig.catalog.viewFor(ANN))).toEqual(['x_a_t', 'x_b_u', 'x_g_v']);
    expect(rig.reported.map(({ upstream, name, rule, dropped, text }) => ({ upstream, name, rule, dropped, text }))).toEqual(
      ['a', 'b'].map((upstream) => ({
        upstream,
        name: 'f',
        rule: 'family-fallback',
        dropped: false,
        text: "family 'f' is shown under the names of its servers: its instanceArg is instance by a, host by b",
      })),
    );
    expect(() => rig.catalog.viewFor(ANN, 'family:f')).toThrow("unknown toolset selector 'family:f'");
    expect(listed(rig.catalog.viewFor(ANN, 'family:g'))).toEqual(['x_g_v']);
  });

  it('for those only who see who differs', () => {
    const differing = [sampleTool('t', { description: 'other' })];
    const rig = open({ a: ['t'], b: ['t'], c: differing }, inFamily('c', { tenants: ['red'] }));
    const [red, blue] = [rig.catalog.viewFor(sampleCaller('red')), rig.catalog.viewFor(sampleCaller('blue'))];
    expect([listed(red), listed(blue)]).toEqual([['x_a_t', 'x_b_t', 'x_c_t'], ['x_f_t']]);
    const whole = open({ a: ['t'], b: ['t'] }, inFamily('b', { tenants: ['red'], family: { name: 'f', instanceArg: 'host' } }));
    expect(listed(whole.catalog.viewFor(sampleCaller('blue')))).toEqual(['x_f_t']);
    expect(listed(whole.catalog.viewFor(sampleCaller('red')))).toEqual(['x_a_t', 'x_b_t']);
  });

  it('whatever a toolset leaves of the members', () => {
    const { catalog } = open({ a: ['t'], b: [sampleTool('t', { description: 'other' })] });
    expect(listed(catalog.viewFor(ANN, 'server:a'))).toEqual(['x_a_t']);
    expect(textOf(catalog.viewFor(ANN, 'family:f'), 'x_f_t')).toBe('tool not found: x_f_t');
  });

  it('and a tool that the policy hides decides nothing, one that it refuses does', () => {
    const offers = { a: ['cleanup'], b: [sampleTool('cleanup', { description: 'other' })] };
    expect(textOf(open(offers, inFamily('b', { tools: { deny: ['*'] } })).catalog.viewFor(ANN), 'x_f_cleanup')).toBe('family');
    expect(textOf(open(offers).catalog.viewFor(ANN), 'x_f_cleanup')).toBe('tool not found: x_f_cleanup');
  });
});

describe('names do not change hands', () => {
  const stranger = sampleUpstream('z', { toolPrefix: 'f' });

  it('when a stranger claims the name of a family, or all its members stop', () => {
    const { catalog, source } = open({ a: ['t'], b: ['t'], z: ['t', 'own'] }, stranger);
    const AMBIGUOUS = "tool 'x_f_t' is ambiguous: provided by a, b, z";
    expect(textOf(catalog.viewFor(ANN), 'x_f_t')).toBe(AMBIGUOUS);
    expect(listed(catalog.viewFor(ANN))).toEqual(['x_f_own']);
    for (const name of ['a', 'b']) source.set(name, undefined, 'stopped');
    expect(textOf(catalog.viewFor(ANN), 'x_f_t')).toBe(AMBIGUOUS);
    expect(catalog.findings().filter(({ rule }) => rule === 'collision')).toHaveLength(3);
    source.set('z', sampleSet({ tools: [] }));
    expect(textOf(catalog.viewFor(ANN), 'x_f_t')).toBe('tool not found: x_f_t');
  });

  it('when a tool falls back: a call that was made for one of the members runs nowhere else', () => {
    const differing = sampleTool('t', { description: 'other' });
    const { catalog, source } = open({ a: ['t'], b: ['t'], f: ['t'] });
    expect(members(catalog.viewFor(ANN), 'x_f_t')).toEqual(['a', 'b', 'f']);
    source.set('b', sampleSet({ tools: [differing] }));
    // `f` would have the very name of the family.
    expect(textOf(catalog.viewFor(ANN), 'x_f_t')).toBe("tool 'x_f_t' is ambiguous: provided by a, b, f");
    expect(listed(catalog.viewFor(ANN))).toEqual(['x_a_t', 'x_b_t']);
    const other = open({ a: ['t'], b: [differing], z: ['t'] }, stranger);
    expect(textOf(other.catalog.viewFor(ANN), 'x_f_t')).toBe("tool 'x_f_t' is ambiguous: provided by a, b, z");
    // Nobody else could be meant.
    expect(textOf(open({ f: [sampleTool('t', props({ instance: {} }))] }).catalog.viewFor(ANN), 'x_f_t')).toBe('found');
  });

  it('when the one that differs stops: it counts with what it offered last', () => {
    const { catalog, source } = open({ a: ['t'], b: ['t'], c: [sampleTool('t', { description: 'other' })] });
    source.set('c', undefined, 'stopped');
    expect(listed(catalog.viewFor(ANN))).toEqual(['x_a_t', 'x_b_t']);
    source.delete('c');
    expect(listed(catalog.viewFor(ANN))).toEqual(['x_f_t']);
  });

  it('when a member stops: the others stay, and nobody answers for it', () => {
    const { catalog, source } = open({ a: ['t'], b: ['t', 'only'] });
    source.set('b', undefined, 'stopped');
    const view = catalog.viewFor(ANN);
    expect(members(view, 'x_f_t')).toEqual(['a']);
    expect(textOf(view, 'x_f_only')).toBe('tool not found: x_f_only');
    source.set('b', sampleSet({ tools: ['t'] }), 'unreachable');
    expect(members(catalog.viewFor(ANN), 'x_f_t')).toEqual(['a', 'b']);
  });

  it('between families whose names meet, and with reserved ones', () => {
    const { catalog, config } = open(
      { p: ['b_c'], q: ['c'] },
      inFamily('p', { family: { name: 'a', instanceArg: 'instance' } }),
      inFamily('q', { family: { name: 'a_b', instanceArg: 'instance' } }),
    );
    expect(textOf(catalog.viewFor(ANN), 'x_a_b_c')).toBe("tool 'x_a_b_c' is ambiguous: provided by p, q");
    catalog.reconfigure({
      ...config,
      catalog: { prefix: '', maxNameLength: 64 },
      upstreams: [inFamily('p', { family: { name: 'core', instanceArg: 'i' } })],
    });
    expect(textOf(catalog.viewFor(ANN), 'core_b_c')).toBe("tool 'core_b_c' is ambiguous: provided by core, p");
  });
});

describe('whom a call means', () => {
  it('is looked up among the members of the view only, whatever the value is', () => {
    const { catalog } = open({ a: ['t'], b: ['t'] });
    const resolution = catalog.viewFor(ANN, 'server:a').resolveTool('x_f_t');
    if (resolution.kind !== 'family') throw new Error(resolution.kind);
    const { tool } = resolution;
    expect(tool.choose('a')).toMatchObject({ kind: 'found', upstream: 'a', original: 't' });
    expect(tool.choose('a')).toBe(tool.choose('a'));
    for (const value of [undefined, null, '', 0, true, {}, ['a'], { toString: () => 'a' }])
      expect(tool.choose(value)).toEqual({
        kind: 'unknown',
        text: 'tool x_f_t is provided by family f on servers a; the "instance" parameter is required',
      });
    for (const value of ['b', '__proto__', 'constructor'])
      expect(tool.choose(value)).toEqual({ kind: 'unknown', text: `tool x_f_t is not available on server "${value}" (available: a)` });
    expect(tool.choose('a"\n')).toEqual({ kind: 'unknown', text: 'tool x_f_t is not available on server "a\\"\\n" (available: a)' });
  });

  it('does not matter where the policy refuses all of them', () => {
    const { catalog } = open({ a: ['cleanup'], b: ['cleanup'] }, inFamily('b', { tools: { trustAnnotations: true } }));
    const resolution = catalog.viewFor(ANN).resolveTool('x_f_cleanup');
    if (resolution.kind !== 'family') throw new Error(resolution.kind);
    for (const value of [undefined, 'none']) expect(resolution.tool.choose(value)).toMatchObject({ kind: 'denied', decision: { rule: 'denylist' } });
    expect(resolution.tool.choose('b')).toMatchObject({ kind: 'found', upstream: 'b', decision: { kind: 'denied' } });
    expect(listed(catalog.viewFor(ANN))).toEqual([]);
  });
});
