import { expect, it } from 'vitest';
import { TurnpikeError } from '../core/errors.ts';
import { ManualClock } from '../core/manual-clock.ts';
import { Catalog } from './catalog.ts';
import type { Finding } from './findings.ts';
import { SampleSource, sampleCaller, sampleSet, sampleSettings, sampleTool, sampleUpstream } from './sample-source.ts';

const ANN = sampleCaller();

function open() {
  const source = new SampleSource();
  const set = sampleSet({ tools: ['read', 'write'] });
  source.set('a', set);
  source.set('b', sampleSet({ tools: ['read'] }));
  const reported: Finding[] = [];
  const catalog = new Catalog(sampleSettings(['a', 'b']), source, { clock: new ManualClock(), report: (finding) => reported.push(finding) });
  return { source, catalog, set, reported };
}

const names = (catalog: Catalog) =>
  catalog
    .viewFor(ANN)
    .list('tools')
    .items.map((item) => JSON.parse(item.toString()).name);

it('names, policy and visibility change with the next view; who holds an old one keeps it', () => {
  const { catalog } = open();
  const before = catalog.viewFor(ANN);
  catalog.reconfigure({
    ...sampleSettings([sampleUpstream('a', { toolPrefix: 'k', tools: { deny: ['write'] } }), sampleUpstream('b', { tenants: ['other'] })]),
    catalog: { prefix: 'y', maxNameLength: 64 },
  });
  expect(names(catalog)).toEqual(['y_k_read']);
  expect(before.resolveTool('x_b_read')).toMatchObject({ kind: 'found' });
  expect(catalog.viewFor(ANN).resolveTool('x_a_read')).toMatchObject({ kind: 'unknown' });
});

it('a policy alone counts, too: what was checked under the old one is decided anew', () => {
  const { catalog } = open();
  expect(names(catalog)).toEqual(['x_a_read', 'x_a_write', 'x_b_read']);
  catalog.reconfigure(sampleSettings(['a', 'b'], { denylist: { extra: ['write'], except: [] } }));
  expect(names(catalog)).toEqual(['x_a_read', 'x_b_read']);
  expect(catalog.viewFor(ANN).resolveTool('x_a_write')).toMatchObject({ decision: { kind: 'denied', rule: 'denylist' } });
});

it('what did not change is not checked again', () => {
  const { catalog } = open();
  const capability = sampleTool('slow');
  const parsed = capability.parsed;
  let looks = 0;
  const watched = { ...capability };
  Object.defineProperty(watched, 'parsed', {
    get() {
      looks++;
      return parsed;
    },
  });
  const source = new SampleSource();
  source.set('a', sampleSet({ tools: [watched] }));
  const fresh = new Catalog(sampleSettings(['a']), source, { clock: new ManualClock() });
  fresh.viewFor(ANN);
  const once = looks;
  expect(once).toBeGreaterThan(0);
  fresh.reconfigure(sampleSettings(['a', 'c']));
  fresh.viewFor(ANN);
  expect(looks).toBe(once);
  fresh.reconfigure(sampleSettings([sampleUpstream('a', { toolPrefix: 'k' }), 'c']));
  fresh.viewFor(ANN);
  expect(looks).toBeGreaterThan(once);
  catalog[Symbol.dispose]();
});

it('a pattern that cannot be compiled changes nothing', () => {
  const { catalog } = open();
  expect(() => catalog.reconfigure(sampleSettings([sampleUpstream('a', { tools: { allow: ['['] } })]))).toThrow(TurnpikeError);
  expect(names(catalog)).toEqual(['x_a_read', 'x_a_write', 'x_b_read']);
});

it('listeners hear when they are told, once for each upstream', () => {
  const { catalog } = open();
  const heard: string[] = [];
  catalog.onChange((upstream) => heard.push(upstream));
  catalog.reconfigure(sampleSettings(['a']));
  expect(heard).toEqual([]);
  catalog.announce(['a', 'b']);
  expect(heard).toEqual(['a', 'b']);
});
