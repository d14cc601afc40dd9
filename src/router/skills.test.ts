import { describe, expect, it } from 'vitest';
import { Catalog } from '../catalog/catalog.ts';
import { type SampleLists, SampleSource, sampleSet, sampleSettings, sampleUpstream } from '../catalog/sample-source.ts';
import { asTurnpikeError } from '../core/errors.ts';
import { type Answer, isJsonObject, type JsonObject, META, TURNPIKE_META } from '../core/mcp.ts';
import type { ConnectionLease, ConnectionSource, UpstreamCall } from '../core/ports.ts';
import { dispatch, isServed } from './dispatch.ts';
import { ALICE, type Answering, errorOf, NEVER, resultOf, SampleConnection, sampleExchange, sampleServices } from './sample-services.ts';

const SKILLS = 'io.modelcontextprotocol/skills';
const root = (name: string) => `skill://${name}`;
const file = (name: string, path = 'SKILL.md') => `${root(name)}/${path}`;
const named = (upstream: string, uri: string) => `turnpike://${upstream}/${uri}`;
const entry = (name: string, ...paths: string[]) => ({
  uri: file(name),
  frontmatter: { name },
  resources: ['SKILL.md', ...paths].map((path) => ({ uri: file(name, path), digest: `sha256:${path}`, size: 1 })),
});

interface Server {
  readonly answer?: Answering;
  /** What it declares under the extension; `null`: nothing. */
  readonly settings?: object | null;
  readonly lists?: SampleLists;
  readonly credentialMode?: string;
}

/** Several modern upstreams; each has a connection of its own. */
function gateway(servers: Readonly<Record<string, Server>>, unknown: readonly string[] = []) {
  const connections = new Map(Object.keys(servers).map((name) => [name, new SampleConnection('modern')]));
  const byName: ConnectionSource = {
    async lease(upstream, _caller, _profile, signal): Promise<ConnectionLease> {
      signal.throwIfAborted();
      const connection = connections.get(upstream);
      if (connection === undefined) throw new Error(`nobody called ${upstream} was expected to be asked`);
      return { connection, ended: new AbortController().signal, release() {} };
    },
    async notifySession() {},
    async endSession() {},
  };
  const { services: sample, clock, audited } = sampleServices();
  const source = new SampleSource();
  const names = [...Object.keys(servers), ...unknown];
  const settingsOf = (name: string) => ({
    ...[...sample.settings.upstreams.values()][0],
    timeouts: { call: 60_000, callMax: 3_600_000 },
    naming: 'prefixed' as const,
    credentialMode: servers[name]?.credentialMode ?? 'none',
    configHash: name,
  });
  for (const [name, { answer, settings = {}, lists = {} }] of Object.entries(servers)) {
    const connection = connections.get(name);
    if (connection !== undefined && answer !== undefined) connection.answer = answer;
    const extensions = settings === null ? {} : { extensions: { [SKILLS]: settings } };
    const caching = { resources: { ttlMs: 60_000, cacheScope: 'public' as const } };
    source.set(name, sampleSet({ tools: ['t'], ...lists }, { capabilities: { tools: {}, resources: {}, ...extensions }, caching }));
  }
  for (const name of unknown) source.set(name, undefined, 'stopped');
  const services = {
    ...sample,
    catalog: new Catalog(sampleSettings(names.map((name) => sampleUpstream(name))), source, { clock }),
    upstreams: source,
    connections: byName,
    settings: { ...sample.settings, upstreams: new Map(names.map((name) => [name, settingsOf(name)])) },
  };
  const asked = (name: string): UpstreamCall[] => [...(connections.get(name)?.calls ?? [])];
  const send = async (method: string, body: JsonObject | string = {}, more: Parameters<typeof sampleExchange>[0] = {}): Promise<Answer> =>
    dispatch(services, sampleExchange({ ...more, method, body }).exchange);
  const result = async (method: string, body: JsonObject | string = {}, more: Parameters<typeof sampleExchange>[0] = {}): Promise<JsonObject> =>
    resultIn(await send(method, body, more));
  const fault = (method: string, body: JsonObject = {}, more: Parameters<typeof sampleExchange>[0] = {}) =>
    send(method, body, more).then(
      (answer) => Promise.reject(new Error(`answered ${answer.kind}`)),
      (error: unknown) => asTurnpikeError(error).code,
    );
  return { services, source, clock, audited, asked, send, result, fault, connections };
}

function resultIn(answer: Answer): JsonObject {
  if (answer.kind === 'error') throw new Error(answer.error.toString());
  return JSON.parse(answer.result.toString()) as JsonObject;
}

const paramsOf = ({ params }: UpstreamCall) => JSON.parse(params.toString()) as JsonObject;
const urisOf = ({ skills }: JsonObject) => (skills as JsonObject[]).map(({ uri }) => uri);
const lists =
  (...skills: object[]): Answering =>
  () =>
    resultOf({ skills, ttlMs: 60_000, cacheScope: 'public' });

describe('skills/list', () => {
  it('merges in the order of the upstreams and leaves the bytes of the entries', async () => {
    const odd = '{"frontmatter" : {"n":9007199254740993, "n2":1.0},"uri":"skill://b1/SKILL.md","resources": "dynamic","x":null}';
    const { send } = gateway({
      b: { answer: () => resultOf(`{"skills":[ ${odd} ]}`), lists: { resources: [file('b1')] } },
      a: { answer: lists(entry('a1')), lists: { resources: [file('a1')] } },
    });
    const answer = await send('skills/list');
    expect(urisOf(resultIn(answer))).toEqual([file('a1'), file('b1')]);
    expect(answer.kind === 'result' && answer.result.toString()).toContain(`,${odd}]`);
  });

  it('names ours in the result, and gives the smallest lifetime', async () => {
    const both = (second: object) =>
      gateway({ a: { answer: lists() }, b: { answer: () => resultOf({ skills: [], ttlMs: 5, cacheScope: 'public', ...second }) } }).result(
        'skills/list',
      );
    expect(await both({})).toEqual({
      skills: [],
      ttlMs: 5,
      cacheScope: 'public',
      resultType: 'complete',
      _meta: { [META.serverInfo]: { name: 'turnpike', version: '0' } },
    });
    expect(await both({ cacheScope: 'private' })).toMatchObject({ ttlMs: 5, cacheScope: 'private' });
    expect(await both({ ttlMs: -1 })).toMatchObject({ ttlMs: 0, cacheScope: 'private' });
    expect(await both({ ttlMs: 1e12 })).toMatchObject({ ttlMs: 60_000 });
  });

  it('is never public when a credential of the caller may have made it', async () => {
    const { result } = gateway({ a: { answer: lists(), credentialMode: 'forward' } });
    expect(await result('skills/list')).toMatchObject({ cacheScope: 'private' });
  });

  it('gathers all pages of an upstream', async () => {
    const pages: Record<string, object> = {
      undefined: { skills: [entry('s1')], nextCursor: 'one' },
      one: { skills: [entry('s2'), entry('s1')], nextCursor: 'two' },
      two: { skills: [{ frontmatter: {} }, 5, entry('s3')], nextCursor: 'one' },
    };
    const { result, asked } = gateway({ a: { answer: (call) => resultOf(pages[String(paramsOf(call).cursor)] ?? {}) } });
    expect(urisOf(await result('skills/list', { 'x-vendor': 1 }))).toEqual([file('s1'), file('s2'), file('s3')]);
    expect(asked('a').map(paramsOf)).toEqual([{ 'x-vendor': 1 }, { 'x-vendor': 1, cursor: 'one' }, { 'x-vendor': 1, cursor: 'two' }]);
  });

  it('stops after 100 pages', async () => {
    let page = 0;
    const { result, asked } = gateway({ a: { answer: () => resultOf({ skills: [entry(`s${++page}`)], nextCursor: String(page) }) } });
    expect(urisOf(await result('skills/list'))).toHaveLength(100);
    expect(asked('a')).toHaveLength(100);
  });

  it('says who did not answer, and that the rest is not for keeping', async () => {
    const { result } = gateway({
      a: { answer: lists(entry('a1')), lists: { resources: [file('a1')] } },
      b: { answer: () => errorOf(-32603) },
      c: { answer: () => resultOf({ skills: {} }) },
    });
    expect(await result('skills/list')).toMatchObject({
      skills: [entry('a1')],
      ttlMs: 0,
      cacheScope: 'private',
      _meta: {
        [TURNPIKE_META.unavailable]: [
          { upstream: 'b', reason: "upstream 'b' refused skills/list (code -32603)" },
          { upstream: 'c', reason: "upstream 'c' answered skills/list without a list" },
        ],
      },
    });
  });

  it('does not wait for an upstream longer than for one call, however many pages it has', async () => {
    const slow: Answering = async (call) => {
      if (paramsOf(call).cursor === undefined) return resultOf({ skills: [entry('b1')], nextCursor: 'more' });
      return NEVER(call);
    };
    const { send, clock, asked } = gateway({ a: { answer: lists(entry('a1')) }, b: { answer: slow } });
    const answer = send('skills/list');
    await expect.poll(() => asked('b').length).toBe(2);
    await clock.advanceAsync(60_000);
    const { skills, _meta } = resultIn(await answer);
    expect(skills).toHaveLength(1);
    const reason = "upstream 'b' did not answer skills/list within 60s";
    expect(_meta).toMatchObject({ [TURNPIKE_META.unavailable]: [{ upstream: 'b', reason }] });
  });

  it('ends with its client', async () => {
    const { services, asked } = gateway({ a: { answer: NEVER } });
    const { exchange, gone } = sampleExchange({ method: 'skills/list' });
    const answer = dispatch(services, exchange);
    await expect.poll(() => asked('a').length).toBe(1);
    gone.abort(new Error('gone'));
    await expect(answer).rejects.toThrow();
    expect(asked('a')[0]?.signal.aborted).toBe(true);
  });

  it('takes no progress from anybody', async () => {
    const { services, asked } = gateway({ a: { answer: lists() } });
    await dispatch(services, sampleExchange({ method: 'skills/list', progressToken: 'p' }).exchange);
    expect(asked('a')[0]?.progress).toBe(false);
  });

  it('serves pages of 500 to whom they belong, for as long as the list is the same', async () => {
    const all = Array.from({ length: 501 }, (_, index) => entry(`s${index}`));
    const { result, fault, connections } = gateway({ a: { answer: lists(...all) } });
    const first = await result('skills/list');
    expect(urisOf(first)).toHaveLength(500);
    const cursor = String(first.nextCursor);
    const second = await result('skills/list', { cursor });
    expect([urisOf(second), second.nextCursor]).toEqual([[file('s500')], undefined]);
    const bob = { ...ALICE, principal: { issuer: 'static', subject: 'bob' } };
    for (const wrong of [{ caller: bob }, { caller: { ...ALICE, tenant: 't2' } }])
      expect(await fault('skills/list', { cursor }, wrong)).toBe('catalog/cursor');
    for (const wrong of ['x', 5, `${cursor}A`]) expect(await fault('skills/list', { cursor: wrong })).toBe('catalog/cursor');
    const [a] = [...connections.values()];
    if (a !== undefined) a.answer = lists(...all.slice(1));
    expect(await fault('skills/list', { cursor })).toBe('catalog/cursor');
  });

  it('removes reserved _meta members of entries, and no others', async () => {
    const { result } = gateway({ a: { answer: lists({ ...entry('a1'), _meta: { [META.serverInfo]: 1, 'com.example/x': 2 } }) } });
    expect(await result('skills/list')).toMatchObject({ skills: [{ _meta: { 'com.example/x': 2 } }] });
    expect(JSON.stringify(await result('skills/list'))).not.toContain(`"${META.serverInfo}":1`);
  });
});

describe('URIs', () => {
  const echo: Answering = (call) => {
    const { uri } = paramsOf(call);
    if (call.method === 'skills/list') return resultOf({ skills: [entry('same', 'more.md')] });
    if (call.method === 'skills/get') return resultOf({ skill: { ...entry('same', 'more.md'), uri }, ttlMs: 7, cacheScope: 'public' });
    if (call.method === 'resources/directory/read') return resultOf({ resources: [{ uri: `${uri}/x`, name: 'x' }], nextCursor: 'n' });
    return resultOf({ contents: [{ uri, text: '' }] });
  };
  const settings = { directoryRead: true };
  const all = [file('same'), file('same', 'more.md')];

  it('of a skill that two upstreams list name their upstream, all of them, and lead back', async () => {
    const { result, asked } = gateway({ a: { answer: echo, settings }, b: { answer: echo, settings, lists: { resources: all } } });
    const { skills } = await result('skills/list');
    expect(skills).toEqual(
      ['a', 'b'].map((upstream) => ({
        ...entry('same'),
        uri: named(upstream, file('same')),
        resources: entry('same', 'more.md').resources.map((one) => ({ ...one, uri: named(upstream, one.uri) })),
      })),
    );
    expect(await result('skills/get', { uri: named('b', file('same')) })).toMatchObject({
      skill: { uri: named('b', file('same')), resources: [{ uri: named('b', file('same')) }, { uri: named('b', file('same', 'more.md')) }] },
    });
    expect(await result('resources/directory/read', { uri: named('b', root('same')) })).toMatchObject({
      resources: [{ uri: named('b', `${root('same')}/x`), name: 'x' }],
      nextCursor: 'n',
    });
    await result('resources/read', { uri: named('b', file('same', 'more.md')) });
    expect(asked('b').map(({ method, params }) => [method, JSON.parse(params.toString()).uri])).toEqual([
      ['skills/list', undefined],
      ['skills/get', file('same')],
      ['resources/directory/read', root('same')],
      ['resources/read', file('same', 'more.md')],
    ]);
    expect(asked('a').map(({ method }) => method)).toEqual(['skills/list']);
  });

  it('stay where the resources list says whose they are; directories belong to the skill above them', async () => {
    const { result, asked } = gateway({
      a: { answer: echo, settings, lists: { resources: all } },
      b: { answer: lists(entry('other')), settings, lists: { templates: ['skill://{+path}'] } },
    });
    expect(urisOf(await result('skills/list'))).toEqual([file('same'), named('b', file('other'))]);
    await result('resources/directory/read', { uri: root('same') });
    await result('resources/directory/read', { uri: `${root('same')}/templates/deep` });
    await result('skills/get', { uri: file('same') });
    expect(
      asked('a')
        .slice(1)
        .map(({ method }) => method),
    ).toEqual(['resources/directory/read', 'resources/directory/read', 'skills/get']);
    await result('skills/get', { uri: file('unlisted') });
    expect(asked('b').at(-1)?.method).toBe('skills/get');
  });

  it('of which one file is in the list of another upstream name their upstream', async () => {
    const { result } = gateway({
      a: { answer: echo, lists: { resources: [file('same')] } },
      b: { settings: null, lists: { resources: [file('same', 'more.md')] } },
    });
    expect(urisOf(await result('skills/list'))).toEqual([named('a', file('same'))]);
  });

  it('that nobody lists lead to the only upstream with skills', async () => {
    const { result, send, fault, asked, connections } = gateway({ a: { answer: echo, settings }, b: { settings: null } });
    expect(urisOf(await result('skills/list'))).toEqual([file('same')]);
    expect(await result('skills/get', { uri: file('same') })).toMatchObject({ skill: { uri: file('same') } });
    await result('resources/directory/read', { uri: root('same'), cursor: 'n' });
    await result('resources/read', { uri: file('same', 'more.md') });
    expect(asked('a').map(paramsOf).at(2)).toEqual({ uri: root('same'), cursor: 'n' });
    const [a] = [...connections.values()];
    if (a !== undefined) a.answer = () => errorOf(-32602, 'no such skill');
    expect(await send('skills/get', { uri: file('none') })).toMatchObject({ kind: 'error', code: -32602 });
    expect(await fault('resources/read', { uri: 'x://nope' })).toBe('catalog/resource');
  });

  it('that nobody lists lead nowhere while an upstream is stopped that may be meant', async () => {
    const { result, fault, asked } = gateway({ a: { answer: echo, settings } }, ['b']);
    expect(urisOf(await result('skills/list'))).toEqual([named('a', file('same'))]);
    for (const method of ['skills/get', 'resources/directory/read', 'resources/read'])
      expect(await fault(method, { uri: file('same') })).toBe('catalog/resource');
    expect(asked('a')).toHaveLength(1);
    expect(await result('skills/get', { uri: named('a', file('same')) })).toMatchObject({ skill: { uri: named('a', file('same')) } });
  });

  it('in our scheme are nobody’s', async () => {
    const foreign = { uri: 'turnpike://b/skill://x/SKILL.md', frontmatter: {}, resources: 'dynamic' };
    const { result } = gateway({ a: { answer: lists(foreign) } });
    expect(urisOf(await result('skills/list'))).toEqual([named('a', foreign.uri)]);
  });

  it('of resources of an upstream without skills are no skills', async () => {
    const { fault } = gateway({ a: { answer: echo, settings }, b: { settings: null, lists: { resources: [file('memo')] } } });
    expect(await fault('skills/get', { uri: file('memo') })).toBe('catalog/resource');
    expect(await fault('skills/get', { uri: named('b', file('memo')) })).toBe('catalog/resource');
    expect(await fault('skills/get', { uri: 5 })).toBe('request/params');
  });

  it('are written down with the upstream that they led to', async () => {
    const { services, result, fault, audited } = gateway({ a: { answer: echo, settings } });
    await result('skills/get', { uri: file('same') });
    await fault('skills/get', { uri: 'turnpike://nobody/skill://x/SKILL.md' });
    await services.audit.close();
    expect(audited).toMatchObject([
      { method: 'skills/get', tool: file('same'), upstream: 'a', outcome: 'ok' },
      { method: 'skills/get', decision: 'catalog/resource', outcome: 'refused' },
    ]);
  });
});

describe('skills/get', () => {
  it('has caching fields as on resources/read', async () => {
    const of = async (fields: object) => {
      const { ttlMs, cacheScope } = await gateway({ a: { answer: () => resultOf({ skill: {}, ...fields }) } }).result('skills/get', {
        uri: file('s'),
      });
      return [ttlMs, cacheScope];
    };
    expect(await of({})).toEqual([0, 'private']);
    expect(await of({ ttlMs: 1e12, cacheScope: 'public' })).toEqual([3_600_000, 'public']);
    expect(await of({ ttlMs: 5, cacheScope: 'all' })).toEqual([5, 'private']);
  });

  it('leaves the bytes', async () => {
    const text =
      '{"skill" : {"uri":"skill://s/SKILL.md" , "frontmatter":{"n":9007199254740993},"resources":"dynamic"},"ttlMs":1.0,"cacheScope":"public"';
    const { send } = gateway({ a: { answer: () => resultOf(`${text},"resultType":"complete"}`) } });
    const answer = await send('skills/get', { uri: file('s') });
    expect(answer.kind === 'result' && answer.result.toString()).toContain(text);
  });
});

describe('what is declared', () => {
  const declared = async ({ result }: ReturnType<typeof gateway>, more = {}) => {
    const { capabilities } = await result('server/discover', {}, more);
    const { extensions } = capabilities as JsonObject;
    return isJsonObject(extensions) ? extensions[SKILLS] : undefined;
  };

  it('exists; nothing else does', async () => {
    const without = gateway({ a: { settings: null } });
    expect(await declared(without)).toBeUndefined();
    for (const method of ['skills/list', 'skills/get', 'resources/directory/read']) {
      expect(await without.fault(method, { uri: file('s') })).toBe('request/method');
      expect([isServed(method, 'modern'), isServed(method, 'legacy')]).toEqual([true, false]);
    }
    expect(without.asked('a')).toEqual([]);
  });

  it('directories only if every part has them', async () => {
    const some = gateway({ a: { settings: { directoryRead: true } }, b: { settings: {} }, c: { settings: null } });
    expect(await declared(some)).toEqual({});
    expect(await some.fault('resources/directory/read', { uri: root('s') })).toBe('request/method');
    expect(await declared(gateway({ a: { settings: { directoryRead: true, more: 1 } }, c: { settings: null } }))).toEqual({ directoryRead: true });
  });

  it('follows the toolset of the request, and a selected tool selects no skill', async () => {
    const both = gateway({ a: { answer: lists(entry('a1')) }, b: { answer: lists(entry('b1')) } });
    const narrowed = (selector: string) => ({ headers: { 'x-turnpike-toolset': selector } });
    expect(urisOf(await both.result('skills/list', {}, narrowed('server:b')))).toEqual([named('b', file('b1'))]);
    expect(await both.fault('skills/get', { uri: named('a', file('a1')) }, narrowed('server:b'))).toBe('catalog/resource');
    expect(await declared(both, narrowed('tool:x_a_t'))).toBeUndefined();
    expect(await both.fault('skills/list', {}, narrowed('tool:x_a_t'))).toBe('request/method');
  });

  it('needs the scope for reading', async () => {
    const one = gateway({ a: { answer: lists(), settings: { directoryRead: true } } });
    const caller = { ...ALICE, scopes: new Set([] as const) };
    for (const method of ['skills/list', 'skills/get', 'resources/directory/read'])
      expect(await one.fault(method, { uri: file('s') }, { caller })).toBe('auth/scope');
    expect(one.asked('a')).toEqual([]);
  });
});
