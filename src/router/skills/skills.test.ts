import { describe, expect, it } from 'vitest';
import { isJsonObject, type JsonObject, META, SKILLS_EXTENSION, TURNPIKE_META } from '../../core/mcp.ts';
import { dispatch, isServed } from '../dispatch.ts';
import { ALICE, type Answering, errorOf, NEVER, resultOf, sampleExchange } from '../sample-services.ts';
import { entry, file, gateway, lists, named, paramsOf, resultIn, root, urisOf } from '../sample-skills.ts';

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

  it('is as private as the most private page', async () => {
    const answer: Answering = (call) => {
      const isFirst = paramsOf(call).cursor === undefined;
      return resultOf({ skills: [], ttlMs: isFirst ? 9 : 7, cacheScope: isFirst ? 'private' : 'public', ...(isFirst ? { nextCursor: 'n' } : {}) });
    };
    expect(await gateway({ a: { answer } }).result('skills/list')).toMatchObject({ ttlMs: 7, cacheScope: 'private' });
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
    return isJsonObject(extensions) ? extensions[SKILLS_EXTENSION] : undefined;
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

  it('by a session upstream counts for nothing', async () => {
    const { result, fault } = gateway({ a: { era: 'legacy' } });
    expect(JSON.stringify(await result('server/discover'))).not.toContain(SKILLS_EXTENSION);
    expect(await fault('skills/list')).toBe('request/method');
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
