import { describe, expect, it } from 'vitest';
import { Catalog } from '../catalog/catalog.ts';
import { SampleSource, sampleCaller, sampleSet, sampleSettings, sampleTool, sampleUpstream } from '../catalog/sample-source.ts';
import { ManualClock } from '../core/manual-clock.ts';
import { ViewWatch } from './view-watch.ts';

function start(toolset?: string) {
  const clock = new ManualClock();
  const source = new SampleSource();
  const catalog = new Catalog(sampleSettings(['a', sampleUpstream('b', { tenants: ['other'] })]), source, { clock });
  source.set('a', sampleSet({ tools: ['t1'], resources: ['memo://x'] }));
  source.set('b', sampleSet({ tools: ['t1'] }));
  const seen: string[] = [];
  const watch = new ViewWatch({
    clock,
    view: () => catalog.viewFor(sampleCaller(), toolset),
    source: (listener) => catalog.onChange(listener),
    onChange: (kind) => seen.push(kind),
  });
  return { clock, source, seen, watch };
}

describe('changes of one view', () => {
  it('are told at once, then once a second, and the last is never lost', () => {
    const { clock, source, seen } = start();
    source.set('a', sampleSet({ tools: ['t1', 't2'], resources: ['memo://x'] }));
    expect(seen).toEqual(['tools']);
    for (let index = 0; index < 200; index++) source.set('a', sampleSet({ tools: [`t${index}`], resources: ['memo://x'] }));
    expect(seen).toEqual(['tools']);
    clock.advance(999);
    expect(seen).toEqual(['tools']);
    clock.advance(1);
    expect(seen).toEqual(['tools', 'tools']);
    clock.advance(60_000);
    expect(seen).toEqual(['tools', 'tools']);
    expect(clock.pending).toBe(0);
  });

  it('say nothing when it went back within the second, and nothing about definitions that are the same', () => {
    const { clock, source, seen } = start();
    source.set('a', sampleSet({ tools: ['t1'], resources: ['memo://x'] }));
    expect(seen).toEqual([]);
    source.set('a', sampleSet({ tools: [], resources: ['memo://x'] }));
    source.set('a', sampleSet({ tools: ['t1'], resources: ['memo://x'] }));
    source.set('a', sampleSet({ tools: [], resources: ['memo://x'] }));
    clock.advance(1_000);
    expect(seen).toEqual(['tools']);
    source.set('a', sampleSet({ tools: [sampleTool('t1', { description: 'new' })], resources: ['memo://x'] }));
    expect(seen).toEqual(['tools', 'tools']);
  });

  it('are told per kind; templates count as resources', () => {
    const { source, seen } = start();
    source.set('a', sampleSet({ tools: ['t1'], prompts: ['p'], resources: ['memo://x'], templates: ['memo://{y}'] }));
    expect(seen).toEqual(['prompts', 'resources']);
  });

  it('of other callers are nobody else\u2019s business', () => {
    const { source, seen } = start();
    source.set('b', sampleSet({ tools: ['t1', 't2', 't3'] }));
    expect(seen).toEqual([]);
  });

  it('narrowed by a toolset are judged by what is left', () => {
    const { source, seen } = start('tool:x_a_t1');
    source.set('a', sampleSet({ tools: ['t1', 't2'], resources: ['memo://x'] }));
    expect(seen).not.toContain('tools');
  });

  it('are not told any more after the end, and nothing is left', () => {
    const { clock, source, seen, watch } = start();
    source.set('a', sampleSet({ tools: [], resources: ['memo://x'] }));
    watch[Symbol.dispose]();
    expect(clock.pending).toBe(0);
    source.set('a', sampleSet({ tools: ['t9'], resources: ['memo://x'] }));
    expect(seen).toEqual(['tools']);
  });
});
