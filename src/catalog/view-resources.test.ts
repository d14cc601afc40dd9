import { describe, expect, it } from 'vitest';
import { ManualClock } from '../core/manual-clock.ts';
import { Catalog } from './catalog.ts';
import { cpuMs, type SampleLists, SampleSource, sampleCaller, sampleSet, sampleSettings, sampleUpstream } from './sample-source.ts';
import type { View } from './view.ts';

const ANN = sampleCaller();

function open(upstreams: Record<string, SampleLists>) {
  const source = new SampleSource();
  for (const [name, lists] of Object.entries(upstreams)) source.set(name, sampleSet(lists));
  const catalog = new Catalog(sampleSettings(Object.keys(upstreams)), source, { clock: new ManualClock() });
  return { source, view: (toolset?: string) => catalog.viewFor(ANN, toolset) };
}

function uris(view: View, kind: 'resources' | 'templates' = 'resources'): string[] {
  return view.list(kind).items.map((item) => {
    const { uri, uriTemplate } = JSON.parse(item.toString());
    return uri ?? uriTemplate;
  });
}

const found = (upstream: string, original: string) => expect.objectContaining({ kind: 'found', upstream, original });

describe('resources', () => {
  it('keep their URI if it is unique, and are readable as turnpike:// too', () => {
    const view = open({ a: { resources: ['file:///x?q=1'] }, b: { resources: ['file:///y'] } }).view();
    expect(uris(view)).toEqual(['file:///x?q=1', 'file:///y']);
    expect(view.resolveResource('file:///x?q=1')).toEqual(found('a', 'file:///x?q=1'));
    expect(view.resolveResource('turnpike://a/file%3A%2F%2F%2Fx%3Fq%3D1')).toEqual(found('a', 'file:///x?q=1'));
    expect(view.resolveResource('file:///z')).toEqual({ kind: 'unknown', text: 'resource not found: file:///z' });
  });

  it('of one URI are listed reversibly, and the URI itself is ambiguous', () => {
    const view = open({ a: { resources: ['file:///x'] }, b: { resources: ['file:///x'] } }).view();
    expect(uris(view)).toEqual(['turnpike://a/file%3A%2F%2F%2Fx', 'turnpike://b/file%3A%2F%2F%2Fx']);
    for (const upstream of ['a', 'b']) expect(view.resolveResource(`turnpike://${upstream}/file%3A%2F%2F%2Fx`)).toEqual(found(upstream, 'file:///x'));
    expect(view.resolveResource('file:///x')).toEqual({ kind: 'ambiguous', text: "resource 'file:///x' is ambiguous: provided by a, b" });
  });

  it('without a scheme are prefixed like a tool', () => {
    const view = open({ a: { resources: ['docs/é', 'a_x', 'x'] } }).view();
    expect(uris(view)).toEqual(['x_a_docs/é', 'turnpike://a/a_x', 'turnpike://a/x']);
    expect(view.resolveResource('x_a_docs/é')).toEqual(found('a', 'docs/é'));
    expect(view.resolveResource('turnpike://a/a_x')).toEqual(found('a', 'a_x'));
    expect(view.resolveResource('docs/é').kind).toBe('unknown');
  });

  it('that are not listed are read by name of the upstream, if it has resources at all', () => {
    const { view, source } = open({ a: {}, b: {} });
    source.set('b', sampleSet({ tools: ['t'] }, { capabilities: { tools: {} } }));
    expect(view().resolveResource('turnpike://a/file%3A%2F%2F%2Fhidden')).toEqual({ kind: 'found', upstream: 'a', original: 'file:///hidden' });
    expect(view().resolveResource('turnpike://b/file%3A%2F%2F%2Fhidden').kind).toBe('unknown');
    expect(view().resolveResource('turnpike://c/file%3A%2F%2F%2Fhidden').kind).toBe('unknown');
  });

  it('cannot pretend to be of another upstream', () => {
    const view = open({
      a: { resources: ['turnpike://b/f%3A%2F%2Fx', 'TURNPIKE://b/y'], templates: ['{+any}'] },
      b: { resources: ['f://x'] },
    }).view();
    expect(uris(view)).toEqual(['turnpike://a/turnpike%3A%2F%2Fb%2Ff%253A%252F%252Fx', 'turnpike://a/TURNPIKE%3A%2F%2Fb%2Fy', 'f://x']);
    expect(view.resolveResource('turnpike://b/f%3A%2F%2Fx')).toEqual(found('b', 'f://x'));
    expect(view.resolveResource('turnpike://a/turnpike%3A%2F%2Fb%2Ff%253A%252F%252Fx')).toEqual(found('a', 'turnpike://b/f%3A%2F%2Fx'));
    expect(view.resolveResource('TURNPIKE://b/y').kind).toBe('unknown');
    expect(view.resolveResource('turnpike://b/%').kind).toBe('unknown');
  });

  it('cannot be taken by a passthrough template that matches everything', () => {
    const source = new SampleSource();
    source.set('a', sampleSet({ templates: ['{+any}'] }));
    const settings = sampleSettings([sampleUpstream('a', { naming: 'passthrough' })]);
    const view = new Catalog(settings, source, { clock: new ManualClock() }).viewFor(ANN);
    expect(view.resolveResource('any:thing')).toEqual(found('a', 'any:thing'));
    for (const uri of ['turnpike://b/x', 'turnpike://a/%', 'TURNPIKE://a/x', 'turnpike:events'])
      expect(view.resolveResource(uri).kind).toBe('unknown');
  });

  it('do not move to a name-sake when their upstream stops', () => {
    const { view, source } = open({ a: { resources: ['file:///x', 'file:///y'] }, b: { resources: ['file:///x'], templates: ['file:///{p}'] } });
    source.set('a', undefined, 'stopped');
    expect(view().resolveResource('file:///x').kind).toBe('ambiguous');
    expect(view().resolveResource('file:///y').kind).toBe('unknown');
    expect(view().resolveResource('turnpike://a/file%3A%2F%2F%2Fx').kind).toBe('unknown');
    expect(view('server:b').resolveResource('file:///y').kind).toBe('unknown');
  });
});

describe('templates', () => {
  it('route URIs that no list holds, with their bytes', () => {
    const view = open({ a: { templates: ['file:///{+path}'] }, b: { resources: ['file:///b'], templates: ['test://{id}/data', 'rel/{id}'] } }).view();
    expect(view.resolveResource('file:///q/%20r')).toEqual(found('a', 'file:///q/%20r'));
    expect(view.resolveResource('file:///b')).toEqual(found('b', 'file:///b'));
    expect(view.resolveResource('test://5/data')).toEqual(found('b', 'test://5/data'));
    expect(view.resolveResource('test://5').kind).toBe('unknown');
    expect(uris(view, 'templates')).toEqual(['file:///{+path}', 'test://{id}/data', 'x_b_rel/{id}']);
    expect(view.resolveResource('x_b_rel/7')).toEqual(found('b', 'rel/7'));
  });

  it('that several upstreams claim are listed so that their expansions are told apart', () => {
    const view = open({ a: { templates: ['file:///{+path}'] }, b: { templates: ['file:///{+path}'] } }).view();
    expect(uris(view, 'templates')).toEqual(['turnpike://a/file:///{+path}', 'turnpike://b/file:///{+path}']);
    expect(view.resolveResource('turnpike://b/file:///x%20y')).toEqual(found('b', 'file:///x%20y'));
    expect(view.resolveResource('file:///x')).toEqual({ kind: 'ambiguous', text: "resource 'file:///x' is ambiguous: provided by a, b" });
    expect(view.resolveTemplate('turnpike://b/file:///{+path}')).toEqual(found('b', 'file:///{+path}'));
    expect(view.resolveTemplate('file:///{+path}').kind).toBe('unknown');
  });

  it('that overlap make a URI ambiguous, also for a toolset that holds one of them', () => {
    const { view } = open({ a: { templates: ['f://{x}/1'] }, b: { templates: ['f://1/{y}'] }, c: {} });
    expect(view().resolveResource('f://1/1').kind).toBe('ambiguous');
    expect(view('server:a').resolveResource('f://1/1').kind).toBe('ambiguous');
    expect(view('server:c').resolveResource('f://1/1').kind).toBe('unknown');
    expect(view().resolveResource('f://1/2')).toEqual(found('b', 'f://1/2'));
  });

  it('of a hostile upstream cost a bounded time, and only its own claims (security class 9)', () => {
    const hostile = Array.from({ length: 5_000 }, (_, index) => `${'{+a}a'.repeat(15)}{b${index}}!`);
    const view = open({ a: { templates: hostile }, b: { templates: ['good://{+x}'] } }).view();
    const uri = `good://${'a'.repeat(8_000)}`;
    expect(cpuMs(() => expect(view.resolveResource(uri)).toEqual(found('b', uri)))).toBeLessThan(50);
  });
});
