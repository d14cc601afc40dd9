import { describe, expect, it } from 'vitest';
import { Catalog } from '../../catalog/catalog.ts';
import { SampleSource, sampleSet, sampleTool } from '../../catalog/sample-source.ts';
import { loadConfig } from '../../config/load.ts';
import { ManualClock } from '../../core/manual-clock.ts';
import { namedCallers } from './callers.ts';
import { explanationOf } from './explanation.ts';
import type { Survey } from './survey.ts';

const CONFIG = `auth:
  modes: [static]
  static:
    - {name: ci, token: ci-secret-token, scopes: [turnpike:read]}
    - {name: dev, token: dev-secret-token, tenant: platform}
policy:
  denylist: {extra: [wipe], except: ["b:cleanup"]}
upstreams:
  - name: a
    type: stdio
    command: serve-a
    args: [--key, "\${env:KEY}"]
    env: {A_KEY: "\${env:KEY}"}
    tools: {readOnly: ["read*"], deny: ["hide*"]}
  - name: b
    type: streamable-http
    url: "https://b.example.com/mcp?key=query-secret"
    tenants: [platform]
    headers: {X-Team: core}
    auth: {mode: header, header: {name: X-Key, value: "\${env:KEY}"}}
  - {name: c, type: sse, url: "https://c.example.com/\${env:KEY}/sse", toolPrefix: a}
  - {name: down, type: sse, url: "https://d.example.com/sse"}
`;

async function surveyed(stdio = false) {
  const loaded = await loadConfig({
    file: 'turnpike.yaml',
    cwd: '/',
    env: { HOME: '/users/me', KEY: 'key-secret' },
    stdio,
    readFile: async () => Buffer.from(CONFIG),
  });
  const source = new SampleSource();
  const { config } = loaded;
  source.set('a', sampleSet({ tools: ['read', 'write', 'wipe', 'hide_me', 'same', sampleTool('drop', { annotations: { destructiveHint: true } })] }));
  source.set('b', sampleSet({ tools: ['cleanup', 'write', 'b_twice', 'näme'] }));
  source.set('c', sampleSet({ tools: ['same', sampleTool('bad', { inputSchema: 'none' })] }));
  source.set('down', undefined, 'unreachable', 'cannot be reached');
  const options = { clock: new ManualClock() };
  const settings = { catalog: config.catalog, policy: config.policy, upstreams: config.upstreams };
  const whole = { ...settings, upstreams: config.upstreams.map((upstream) => ({ ...upstream, tenants: undefined })) };
  const survey: Survey = {
    snapshots: source.snapshot(),
    catalog: new Catalog(settings, source, options),
    whole: new Catalog(whole, source, options),
    failures: new Map([['down', 'connect ECONNREFUSED 10.0.0.1:443']]),
  };
  const everybody = namedCallers(config, stdio);
  return (tool: string, as?: string) => {
    const { blocks, problems, code } = explanationOf(
      tool,
      everybody.find(({ name }) => name === as),
      everybody,
      loaded,
      survey,
    );
    return { code, problems, texts: blocks.map(({ title, rows }) => ({ title, ...Object.fromEntries(rows) })) as Record<string, string>[] };
  };
}

describe('explain', () => {
  it('tells the whole way of a tool that may be called', async () => {
    const explain = await surveyed();
    expect(explain('x_a_read')).toEqual({
      code: 0,
      problems: [],
      texts: [
        {
          title: 'x_a_read',
          Route: 'x_a_read → a (stdio, serve-a), where it is called read',
          Upstream: 'connected, modern',
          Policy: "allowed, read-only: 'read*' of tools.readOnly matches 'read' [upstreams[0].tools.readOnly: turnpike.yaml:14:23]",
          Scope: 'turnpike:read, because it only reads',
          Credential: "none of the caller's; the child process has A_KEY of env, besides PATH, HOME, LANG, LC_ALL, TZ and TMPDIR",
          Connection: 'one for each session, or for each principal without one',
          'If it breaks off': 'it is sent once more',
          'Called by ci': 'goes to a (tenant default; scopes turnpike:read)',
          'Called by dev': 'goes to a (tenant platform; scopes turnpike:read turnpike:write)',
        },
      ],
    });
  });

  it('keeps to the caller that is named', async () => {
    const explain = await surveyed();
    const ci = explain('x_a_write', 'ci');
    expect([ci.code, ci.texts[0]?.['Called by ci']]).toEqual([
      3,
      'refused with 403 insufficient_scope: it needs turnpike:write, and the caller has turnpike:read (tenant default)',
    ]);
    expect(ci.texts[0]).not.toHaveProperty('Called by dev');
    expect(explain('x_a_write', 'dev').code).toBe(0);
    const invisible = explain('x_b_write', 'ci');
    expect([invisible.code, invisible.texts[0]?.['Called by ci']]).toEqual([
      3,
      '"tool not found: x_b_write" (tenant default; b is not for this tenant, but for platform)',
    ]);
    expect(explain('x_b_write', 'dev').texts[0]).toMatchObject({
      Route: 'x_b_write → b (streamable-http, https://b.example.com/mcp), where it is called write',
      Credential: "header X-Key, the same for every caller (turnpike.yaml:20:55); the caller's own never goes on; headers X-Team for everybody",
      Connection: 'one for everybody; each request carries what is of its caller',
    });
  });

  it.each([
    [
      'x_a_wipe',
      "denied by rule denylist: 'wipe' is in policy.denylist.extra [policy.denylist.extra: turnpike.yaml:7:21]",
      "refused: \"tool 'wipe' is blocked as it is destructive.",
    ],
    [
      'x_a_drop',
      'denied by rule annotations: its upstream marks it as destructive (destructiveHint) [policy.annotations: default]',
      "refused: \"tool 'drop' is blocked",
    ],
    [
      'x_a_hide_me',
      "hidden, as if it did not exist: 'hide*' of tools.deny matches 'hide_me' [upstreams[0].tools.deny: turnpike.yaml:14:40]",
      '"tool not found: x_a_hide_me"',
    ],
  ])('%s: refused, by which rule, and what would lift it', async (tool, policy, answer) => {
    const explain = await surveyed();
    const { code, texts } = explain(tool, 'dev');
    expect([code, texts[0]?.Policy]).toEqual([3, policy]);
    expect(texts[0]?.['Called by dev']).toContain(answer);
    expect(texts[0]?.['To lift it']).toBeDefined();
    expect(texts[0]).not.toHaveProperty('Scope');
  });

  it('says that somebody lifted a rule', async () => {
    const explain = await surveyed();
    expect(explain('b:cleanup', 'dev')).toMatchObject({
      code: 0,
      texts: [{ Policy: 'allowed, write: the denylist would refuse it, but it is lifted [policy.denylist.except: turnpike.yaml:7:37]' }],
    });
  });

  it('explains collisions, dropped definitions, and what became of a name', async () => {
    const explain = await surveyed();
    const { code, texts } = explain('x_a_same', 'dev');
    expect(code).toBe(1);
    expect(texts.map(({ Route }) => Route)).toEqual([expect.stringContaining('→ a '), expect.stringContaining('→ c (sse, an address by reference)')]);
    for (const text of texts) {
      expect(text.Collision).toBe("tool 'x_a_same' is ambiguous: provided by a, c; set toolPrefix of one of them, or leave one out with tools.deny");
      expect(text['Called by dev']).toBe('"tool \'x_a_same\' is ambiguous: provided by a, c" (tenant platform)');
    }
    const dropped = explain('x_a_bad');
    expect([dropped.code, dropped.texts[0]?.Dropped]).toEqual([1, expect.stringMatching(/^schema: |^malformed: /)]);
    expect(explain('b_twice', 'dev').texts[0]).toMatchObject({ title: 'x_b_twice', Name: 'begins with b_ already, so the prefix is not put twice' });
    expect(explain('näme', 'dev').texts[0]).toMatchObject({ title: 'x_b_n_me', Name: 'characters that names may not hold became _' });
  });

  it('takes original names, and explains each that is called so', async () => {
    const explain = await surveyed();
    expect(explain('write').texts.map(({ title }) => title)).toEqual(['x_a_write', 'x_b_write']);
    expect(explain('b:write').texts.map(({ title }) => title)).toEqual(['x_b_write']);
  });

  it.each([
    ['x_a_reed', ['tool not found: x_a_reed', '(Did you mean x_a_read?)']],
    ['wirte', ['tool not found: wirte', '(Did you mean x_a_write, or x_b_write?)']],
    ['leanu', ['tool not found: leanu', '(Did you mean x_b_cleanup?)']],
    ['nothing-like-it', ['tool not found: nothing-like-it']],
    ['', ['tool not found: ']],
  ])('%j is not there: the nearest names, and who could not be asked', async (tool, problems) => {
    const explain = await surveyed();
    expect(explain(tool)).toEqual({
      code: 1,
      texts: [],
      problems: [...problems, 'upstream down could not be asked: connect ECONNREFUSED 10.0.0.1:443'],
    });
  });

  it('a tool of an upstream that is away', async () => {
    const explain = await surveyed();
    expect(explain('x_down_t').problems.at(-1)).toBe(
      'upstream down could not be asked, and by its name the tool is one of its own: connect ECONNREFUSED 10.0.0.1:443',
    );
  });

  it('shows no secret of the configuration, whatever is asked', async () => {
    const explain = await surveyed();
    for (const tool of ['read', 'write', 'wipe', 'same', 'cleanup', 'nope', 'x_down_t']) expect(JSON.stringify(explain(tool))).not.toMatch(/-secret/);
  });

  it('on a pipe there is one caller, who may do everything', async () => {
    const explain = await surveyed(true);
    expect(explain('x_a_write').texts[0]).toMatchObject({
      'Called by stdio': 'goes to a (tenant default; scopes turnpike:read turnpike:write turnpike:admin)',
    });
  });
});
