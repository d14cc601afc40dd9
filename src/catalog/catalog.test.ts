import { describe, expect, it } from 'vitest';
import { TurnpikeError } from '../core/errors.ts';
import { ManualClock } from '../core/manual-clock.ts';
import type { CapabilityKind } from '../core/ports.ts';
import { Catalog } from './catalog.ts';
import { DENYLIST } from './denylist.ts';
import type { Finding } from './findings.ts';
import {
  type SampleLists,
  SampleSource,
  sampleCaller,
  sampleCapability,
  sampleSet,
  sampleSettings,
  sampleTool,
  sampleUpstream,
} from './sample-source.ts';
import type { CatalogSettings } from './settings.ts';
import type { View } from './view.ts';

const ANN = sampleCaller();

function open(upstreams: Record<string, SampleLists>, settings: CatalogSettings = sampleSettings(Object.keys(upstreams))) {
  const source = new SampleSource();
  for (const [name, lists] of Object.entries(upstreams)) source.set(name, sampleSet(lists));
  const reported: Finding[] = [];
  const catalog = new Catalog(settings, source, { clock: new ManualClock(), report: (finding) => reported.push(finding) });
  return { source, catalog, reported };
}

function ids(view: View, kind: CapabilityKind = 'tools'): string[] {
  return view.list(kind).items.map((item) => {
    const { name, uri, uriTemplate } = JSON.parse(item.toString());
    return uri ?? uriTemplate ?? name;
  });
}

describe('lists', () => {
  it('are sorted by upstream name, then as the upstream ordered them', () => {
    const { catalog } = open({ b: { tools: ['z', 'a'] }, a: { tools: ['y', 'c'] }, B: { tools: ['m'] } });
    expect(ids(catalog.viewFor(ANN))).toEqual(['x_B_m', 'x_a_y', 'x_a_c', 'x_b_z', 'x_b_a']);
  });

  it('rename in the bytes and leave the rest', () => {
    const bytes = '{ "x-unknown" : 12345678901234567890,"name":"t" ,"inputSchema":{"type":"object"}, "n":1.0}';
    const { catalog } = open({ a: { tools: [sampleCapability('tools', bytes)] } });
    expect(catalog.viewFor(ANN).list('tools').items[0]?.toString()).toBe(bytes.replace('"t"', '"x_a_t"'));
  });

  it('hand passthrough definitions on as they are', () => {
    const tool = sampleTool('odd name!');
    const { catalog } = open({ a: { tools: [tool] } }, sampleSettings([sampleUpstream('a', { naming: 'passthrough' })]));
    expect(catalog.viewFor(ANN).list('tools').items[0]).toBe(tool.bytes);
  });

  it('keep prompts in a table of their own', () => {
    const { catalog } = open({ a: { tools: ['b_c'] }, a_b: { prompts: ['c'] } });
    const view = catalog.viewFor(ANN);
    expect(view.resolveTool('x_a_b_c')).toMatchObject({ kind: 'found', upstream: 'a' });
    expect(view.resolvePrompt('x_a_b_c')).toMatchObject({ kind: 'found', upstream: 'a_b', original: 'c' });
  });

  it('drop what vetting refuses, and its neighbours stay', () => {
    const { catalog, reported } = open({ a: { tools: ['one', 't\u200bwo', 'three'] } });
    const view = catalog.viewFor(ANN);
    expect(ids(view)).toEqual(['x_a_one', 'x_a_three']);
    expect(view.resolveTool('x_a_t_wo')).toEqual({ kind: 'unknown', text: 'tool not found: x_a_t_wo' });
    expect(reported).toEqual([
      { upstream: 'a', kind: 'tools', name: 't\\u{200b}wo', rule: 'name', dropped: true, text: 'the name holds hidden characters' },
    ]);
  });
});

describe('collisions (security class 16)', () => {
  const AMBIGUOUS = { kind: 'ambiguous', text: "tool 'x_a_b_c' is ambiguous: provided by a, a_b" };

  it.each([
    ['a', 'a_b'],
    ['a_b', 'a'],
  ])('remove all claimants, %s first', (first, second) => {
    const lists: Record<string, SampleLists> = { a: { tools: ['b_c', 'only'] }, a_b: { tools: ['c'] } };
    const { catalog, reported } = open({ [first]: lists[first] ?? {}, [second]: lists[second] ?? {} });
    const view = catalog.viewFor(ANN);
    expect(ids(view)).toEqual(['x_a_only']);
    expect(view.resolveTool('x_a_b_c')).toEqual(AMBIGUOUS);
    expect(reported.map(({ upstream, rule, dropped }) => ({ upstream, rule, dropped }))).toEqual([
      { upstream: 'a', rule: 'collision', dropped: true },
      { upstream: 'a_b', rule: 'collision', dropped: true },
    ]);
  });

  it('outlive the stop of one claimant: no call moves over', () => {
    const { catalog, source } = open({ a: { tools: ['b_c'] }, a_b: { tools: ['c'] } });
    source.set('a', undefined, 'stopped');
    expect(catalog.viewFor(ANN).resolveTool('x_a_b_c')).toEqual(AMBIGUOUS);
    expect(ids(catalog.viewFor(ANN))).toEqual([]);
    source.set('a', sampleSet({ tools: ['b_c'] }), 'unreachable');
    expect(catalog.viewFor(ANN).resolveTool('x_a_b_c')).toEqual(AMBIGUOUS);
  });

  it('arise with the claim of a stopped owner, even if nobody looked in between', () => {
    const { catalog, source } = open({ a: { tools: [] }, a_b: { tools: [] } });
    source.set('a', sampleSet({ tools: ['b_c'] }));
    source.set('a', undefined, 'stopped');
    expect(catalog.viewFor(ANN).resolveTool('x_a_b_c')).toEqual({ kind: 'unknown', text: 'tool not found: x_a_b_c' });
    source.set('a_b', sampleSet({ tools: ['c'] }));
    expect(catalog.viewFor(ANN).resolveTool('x_a_b_c')).toEqual(AMBIGUOUS);
  });

  it('end when a claimant leaves the configuration, or takes the tool back', () => {
    const { catalog, source } = open({ a: { tools: ['b_c'] }, a_b: { tools: ['c'] } });
    source.set('a', sampleSet({ tools: ['other'] }));
    expect(catalog.viewFor(ANN).resolveTool('x_a_b_c')).toMatchObject({ kind: 'found', upstream: 'a_b' });
    source.set('a', sampleSet({ tools: ['b_c'] }));
    source.delete('a');
    expect(catalog.viewFor(ANN).resolveTool('x_a_b_c')).toMatchObject({ kind: 'found', upstream: 'a_b' });
  });

  it('count a blocked tool as a claimant, and a hidden one not', () => {
    const upstreams = { a: { tools: ['b_cleanup'] }, a_b: { tools: ['cleanup'] } };
    expect(open(upstreams).catalog.viewFor(ANN).resolveTool('x_a_b_cleanup').kind).toBe('ambiguous');
    const hiding = sampleSettings(['a', sampleUpstream('a_b', { tools: { deny: ['cleanup'] } })]);
    expect(open(upstreams, hiding).catalog.viewFor(ANN).resolveTool('x_a_b_cleanup')).toMatchObject({ kind: 'found', upstream: 'a' });
  });

  it('are not decided by upstreams that the caller cannot see', () => {
    const settings = sampleSettings(['a', sampleUpstream('a_b', { tenants: ['red'] })]);
    const { catalog } = open({ a: { tools: ['b_c'] }, a_b: { tools: ['c'] } }, settings);
    expect(catalog.viewFor(sampleCaller('blue')).resolveTool('x_a_b_c')).toMatchObject({ kind: 'found', upstream: 'a' });
    expect(catalog.viewFor(sampleCaller('red')).resolveTool('x_a_b_c')).toEqual(AMBIGUOUS);
  });

  it('are not resolved by a toolset', () => {
    const { catalog } = open({ a: { tools: ['b_c'] }, a_b: { tools: ['c'] }, other: { tools: ['t'] } });
    expect(catalog.viewFor(ANN, 'server:a').resolveTool('x_a_b_c')).toEqual(AMBIGUOUS);
    expect(catalog.viewFor(ANN, 'server:other').resolveTool('x_a_b_c').kind).toBe('unknown');
  });

  it('arise within one upstream, but not from the same bytes twice', () => {
    const { catalog } = open({ a: { tools: ['t u', 't_u', 'same', 'same', sampleTool('d'), sampleTool('d', { description: 'other' })] } });
    const view = catalog.viewFor(ANN);
    expect(ids(view)).toEqual(['x_a_same']);
    expect(view.resolveTool('x_a_t_u')).toEqual({ kind: 'ambiguous', text: "tool 'x_a_t_u' is ambiguous: provided by a" });
    expect(view.resolveTool('x_a_d').kind).toBe('ambiguous');
  });

  it('arise with reserved names', () => {
    const { catalog } = open(
      { a: { tools: ['call_tool', 'core_events', 'fine'], prompts: ['call_tool'] } },
      sampleSettings([sampleUpstream('a', { naming: 'passthrough' })]),
    );
    const view = catalog.viewFor(ANN);
    expect(ids(view)).toEqual(['fine']);
    expect(view.resolveTool('call_tool')).toEqual({ kind: 'ambiguous', text: "tool 'call_tool' is ambiguous: provided by a, meta" });
    expect(view.resolvePrompt('call_tool').kind).toBe('found');
  });
});

describe('policy', () => {
  it('takes each of the 32 names out of the list, and a call of it says why', () => {
    const { catalog } = open({ a: { tools: [...DENYLIST, 'fine'] } });
    const view = catalog.viewFor(ANN);
    expect(ids(view)).toEqual(['x_a_fine']);
    for (const name of DENYLIST) {
      expect(view.resolveTool(`x_a_${name}`)).toMatchObject({
        kind: 'found',
        decision: {
          kind: 'denied',
          rule: 'denylist',
          text: `tool '${name}' is blocked as it is destructive. Use --yolo flag to allow destructive operations`,
        },
      });
    }
    const yolo = open({ a: { tools: DENYLIST } }, sampleSettings(['a'], { yolo: true })).catalog.viewFor(ANN);
    expect(ids(yolo)).toEqual(DENYLIST.map((name) => `x_a_${name}`));
  });

  it('makes hidden tools absent', () => {
    const settings = sampleSettings([sampleUpstream('a', { tools: { allow: ['read_*'], deny: ['*_secret'] } })]);
    const view = open({ a: { tools: ['read_file', 'read_secret', 'write'] } }, settings).catalog.viewFor(ANN);
    expect(ids(view)).toEqual(['x_a_read_file']);
    for (const name of ['x_a_read_secret', 'x_a_write', 'x_a_nothing']) {
      expect(view.resolveTool(name)).toEqual({ kind: 'unknown', text: `tool not found: ${name}` });
    }
  });
});

describe('tenants', () => {
  const settings = sampleSettings(['open', sampleUpstream('red', { tenants: ['red'] }), sampleUpstream('none', { tenants: [] })]);
  const upstreams = { open: { tools: ['t'] }, red: { tools: ['t'], prompts: ['p'], resources: ['f://r'] }, none: { tools: ['t'] } };

  it('see their own only, in names, lists, counts and errors', () => {
    const { catalog, source } = open(upstreams, settings);
    source.set('red', undefined, 'failed', 'no such host');
    const blue = catalog.viewFor(sampleCaller('blue'));
    expect(blue.upstreams).toEqual(['open']);
    expect(blue.unavailable).toEqual([]);
    expect(blue.resolveTool('x_red_t').kind).toBe('unknown');
    expect(blue.resolvePrompt('x_red_p').kind).toBe('unknown');
    expect(blue.resolveResource('f://r')).toEqual({ kind: 'unknown', text: 'resource not found: f://r' });
    expect(blue.resolveResource('turnpike://red/f%3A%2F%2Fr').kind).toBe('unknown');
    expect(() => catalog.viewFor(sampleCaller('blue'), 'server:red')).toThrow("unknown toolset selector 'server:red'");
    expect(catalog.viewFor(sampleCaller('red')).unavailable).toEqual([{ upstream: 'red', reason: 'failed: no such host' }]);
  });

  it('share a view when they see the same', () => {
    const { catalog } = open(upstreams, settings);
    expect(catalog.viewFor(sampleCaller('blue', 'a'))).toBe(catalog.viewFor(sampleCaller('green', 'b')));
    expect(catalog.viewFor(sampleCaller('red')).id).not.toBe(catalog.viewFor(sampleCaller('blue')).id);
    expect(ids(catalog.viewFor(sampleCaller('red')))).toEqual(['x_open_t', 'x_red_t']);
  });

  it('see no upstream that the settings do not know', () => {
    const { catalog, source } = open(upstreams, settings);
    source.set('stray', sampleSet({ tools: ['t'] }));
    expect(catalog.viewFor(ANN).resolveTool('x_stray_t').kind).toBe('unknown');
  });
});

describe('toolsets', () => {
  const upstreams = { a: { tools: ['t', 'cleanup'], prompts: ['p'], resources: ['f://a'] }, b: { tools: ['t', 'u'], resources: ['f://b'] } };

  it('narrow to the union of their selectors, for lists and calls', () => {
    const view = open(upstreams).catalog.viewFor(ANN, 'server:a , tool:x_b_u');
    expect(ids(view)).toEqual(['x_a_t', 'x_b_u']);
    expect(ids(view, 'resources')).toEqual(['f://a']);
    expect(view.upstreams).toEqual(['a', 'b']);
    expect(view.resolveTool('x_b_t')).toEqual({ kind: 'unknown', text: 'tool not found: x_b_t' });
    expect(view.resolveResource('f://b').kind).toBe('unknown');
    expect(view.resolveResource('turnpike://b/f%3A%2F%2Fb').kind).toBe('unknown');
    expect(view.resolveTool('x_a_cleanup')).toMatchObject({ decision: { kind: 'denied' } });
  });

  it('hide upstreams outside', () => {
    const { catalog, source } = open(upstreams);
    source.set('b', undefined, 'failed');
    expect(catalog.viewFor(ANN, 'tool:x_a_t').upstreams).toEqual(['a']);
    expect(catalog.viewFor(ANN, 'server:a').unavailable).toEqual([]);
  });

  it.each(['', 'server:', 'server:c', 'tool:x_a_none', 'tool:t', 'preset:full', 'family:f', 'workflow:w', 'a', 'Server:a'])(
    'refuse %j',
    (selector) => {
      const { catalog } = open(upstreams);
      expect(() => catalog.viewFor(ANN, selector)).toThrow(new TurnpikeError('request/params', `unknown toolset selector '${selector}'`));
      expect(() => catalog.viewFor(ANN, `server:a,${selector}`)).toThrow(TurnpikeError);
    },
  );

  it('take 32 selectors and no more', () => {
    const { catalog } = open(upstreams);
    expect(ids(catalog.viewFor(ANN, Array(32).fill('tool:x_a_t').join(',')))).toEqual(['x_a_t']);
    expect(() => catalog.viewFor(ANN, Array(33).fill('tool:x_a_t').join(','))).toThrow('at most 32 toolset selectors are allowed');
  });
});

describe('changes', () => {
  it('tell listeners, and the fingerprint tells whose list changed', () => {
    const { catalog, source } = open({ a: { tools: ['t'] }, b: { tools: ['u'] } });
    const before = catalog.viewFor(ANN);
    const narrow = catalog.viewFor(ANN, 'server:a');
    const heard: string[] = [];
    const stop = catalog.onChange((upstream) => heard.push(upstream));
    source.set('b', sampleSet({ tools: ['u', 'v'] }));
    const after = catalog.viewFor(ANN);
    expect(heard).toEqual(['b']);
    expect(after.fingerprint('tools')).not.toBe(before.fingerprint('tools'));
    expect(after.fingerprint('prompts')).toBe(before.fingerprint('prompts'));
    expect(catalog.viewFor(ANN, 'server:a').fingerprint('tools')).toBe(narrow.fingerprint('tools'));
    stop();
    source.set('b', undefined);
    expect(heard).toEqual(['b']);
    expect(ids(before)).toEqual(['x_a_t', 'x_b_u']);
  });

  it('of a description, a schema, an annotation change the fingerprint', () => {
    const { catalog, source } = open({ a: {} });
    const prints = [{}, { description: 'd' }, { annotations: { readOnlyHint: true } }, { inputSchema: { type: 'object', title: 't' } }].map(
      (more) => {
        source.set('a', sampleSet({ tools: [sampleTool('t', more)] }));
        return catalog.viewFor(ANN).fingerprint('tools');
      },
    );
    expect(new Set(prints).size).toBe(4);
  });

  it('report a finding once', () => {
    const { catalog, source, reported } = open({ a: { tools: ['b\u200b'] } });
    catalog.viewFor(ANN);
    source.set('a', sampleSet({ tools: ['b\u200b', 'c'] }));
    catalog.viewFor(ANN);
    expect(reported).toHaveLength(1);
    expect(catalog.findings()).toHaveLength(1);
  });

  it('are no longer heard after disposal', () => {
    const { catalog, source } = open({ a: {} });
    expect(source.listeners).toBe(1);
    catalog[Symbol.dispose]();
    expect(source.listeners).toBe(0);
  });
});

describe('unavailable parts', () => {
  it('are named, with those that are listed as last known; stopped ones are just absent', () => {
    const { catalog, source } = open({ down: {}, gone: {}, late: {}, off: {}, shaky: { tools: ['t'] }, up: { tools: ['t'] } });
    source.set('down', sampleSet({ tools: ['t'] }), 'unreachable', 'connect ECONNREFUSED');
    source.set('gone', undefined, 'failed');
    source.set('late', undefined, 'starting');
    source.set('off', undefined, 'stopped');
    source.set('shaky', sampleSet({ tools: ['t'] }), 'degraded');
    const view = catalog.viewFor(ANN);
    expect(ids(view)).toEqual(['x_down_t', 'x_shaky_t', 'x_up_t']);
    expect(view.unavailable).toEqual([
      { upstream: 'down', reason: 'unreachable: connect ECONNREFUSED' },
      { upstream: 'gone', reason: 'failed' },
      { upstream: 'late', reason: 'starting' },
    ]);
  });
});
