import { expect, it } from 'vitest';
import { Catalog } from '../../catalog/catalog.ts';
import { type SampleLists, SampleSource, sampleSet, sampleTool } from '../../catalog/sample-source.ts';
import { loadConfig } from '../../config/load.ts';
import { ManualClock } from '../../core/manual-clock.ts';
import { namedCallers } from './callers.ts';
import { explanationOf } from './explanation.ts';

const FAMILY = 'family: {name: f, instanceArg: instance}';
const CONFIG = `auth:
  modes: [static]
  static:
    - {name: ci, token: t1}
    - {name: dev, token: t2, tenant: platform}
upstreams:
  - {name: a, type: sse, url: "https://a.example.com/sse", ${FAMILY}}
  - {name: b, type: sse, url: "https://b.example.com/sse", ${FAMILY}, tools: {deny: [hid]}}
  - {name: c, type: sse, url: "https://c.example.com/sse", ${FAMILY}, tenants: [platform]}
`;

async function explaining(offers: Readonly<Record<string, SampleLists>>, text = CONFIG) {
  const loaded = await loadConfig({ file: 'turnpike.yaml', cwd: '/', env: { HOME: '/h' }, readFile: async () => Buffer.from(text) });
  const { config } = loaded;
  const source = new SampleSource();
  for (const [name, lists] of Object.entries(offers)) source.set(name, sampleSet(lists));
  const settings = { catalog: config.catalog, policy: config.policy, upstreams: config.upstreams };
  const whole = { ...settings, upstreams: config.upstreams.map((upstream) => ({ ...upstream, tenants: undefined })) };
  const options = { clock: new ManualClock() };
  const survey = { snapshots: source.snapshot(), catalog: new Catalog(settings, source, options), whole: new Catalog(whole, source, options) };
  const everybody = namedCallers(config, false);
  return (tool: string) => {
    const { blocks, problems, code } = explanationOf(tool, undefined, everybody, loaded, { ...survey, failures: new Map() });
    return { code, problems, texts: blocks.map(({ title, rows }) => ({ title, ...Object.fromEntries(rows) })) as Record<string, string>[] };
  };
}

const SAME = { a: { tools: ['t', 'hid', 'f_own'] }, b: { tools: ['t', 'hid'] }, c: { tools: ['t'] } };

it('a tool of a family is explained for each upstream that a call may name', async () => {
  const { code, texts } = (await explaining(SAME))('x_f_t');
  expect([code, texts.map(({ title, Route }) => [title, Route?.split(' (')[0]])]).toEqual([
    3,
    [
      ['x_f_t', 'x_f_t with instance a → a'],
      ['x_f_t', 'x_f_t with instance b → b'],
      ['x_f_t', 'x_f_t with instance c → c'],
    ],
  ]);
  expect(texts[0]).toMatchObject({
    Family: 'f: a call names its upstream by the argument instance, which does not go on; it is offered by a, b, c',
    'Called by ci': 'goes to a (tenant default; scopes turnpike:read turnpike:write)',
  });
  expect(texts[2]).toMatchObject({
    'Called by ci': '"tool x_f_t is not available on server "c" (available: a, b)" (tenant default; c is not for this tenant, but for platform)',
    'Called by dev': 'goes to c (tenant platform; scopes turnpike:read turnpike:write)',
  });
});

it('says who of the family does not offer it, and that its name is not doubled', async () => {
  const explain = await explaining(SAME);
  const { texts } = explain('x_f_hid');
  expect(texts.map(({ Policy, Family }) => [Policy?.split(':')[0], Family])).toEqual([
    ['allowed, write', 'f: a call names its upstream by the argument instance, which does not go on; it is offered by a'],
    ['hidden, as if it did not exist', 'f: a call names its upstream by the argument instance, which does not go on; it is offered by a'],
  ]);
  expect(texts[1]?.['Called by ci']).toBe('"tool x_f_hid is not available on server "b" (available: a)" (tenant default)');
  expect(explain('f_own').texts[0]).toMatchObject({ title: 'x_f_own', Name: 'begins with f_ already, so the prefix is not put twice' });
});

it('says why a tool is shown by server, and how those call it who do not see everybody', async () => {
  const explain = await explaining({ ...SAME, c: { tools: [sampleTool('t', { description: 'other' })] } });
  const [a, ...others] = explain('x_a_t').texts;
  expect(others).toEqual([]);
  expect(a).toMatchObject({
    title: 'x_a_t',
    Route: expect.stringMatching(/^x_a_t → a /),
    Family: "'x_f_t' of family 'f' is shown under the names of its servers: a and c differ in description",
    'Called by ci': 'goes to a as x_f_t (tenant default; scopes turnpike:read turnpike:write)',
    'Called by dev': 'goes to a (tenant platform; scopes turnpike:read turnpike:write)',
  });
  // The name that one of them has for it.
  expect(explain('x_f_t').texts.map(({ title }) => title)).toEqual(['x_a_t', 'x_b_t']);
});

it('says that the whole family is shown by server', async () => {
  const text = CONFIG.replace(`b.example.com/sse", ${FAMILY}`, 'b.example.com/sse", family: {name: f, instanceArg: host}');
  const explain = await explaining(SAME, text);
  expect(explain('x_f_t')).toMatchObject({ code: 1, texts: [] });
  expect(explain('x_b_t').texts[0]).toMatchObject({
    Family: "family 'f' is shown under the names of its servers: its instanceArg is instance by a, host by b, instance by c",
    'Called by dev': 'goes to b (tenant platform; scopes turnpike:read turnpike:write)',
  });
});
