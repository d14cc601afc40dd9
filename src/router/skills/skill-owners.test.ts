import { describe, expect, it } from 'vitest';
import { type Answering, errorOf, resultOf } from '../sample-services.ts';
import { entry, file, gateway, lists, named, paramsOf, root, urisOf } from '../sample-skills.ts';

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
    // Hosts find the contents by the URI that they asked for.
    const more = named('b', file('same', 'more.md'));
    expect(await result('resources/read', { uri: more })).toMatchObject({ contents: [{ uri: more, text: '' }] });
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
    expect(await fault('resources/read', { uri: file('none') })).toBe('catalog/resource');
    const heard = asked('a').length;
    expect(await fault('resources/read', { uri: 'https://user:password@host/' })).toBe('catalog/resource');
    expect(asked('a')).toHaveLength(heard);
  });

  it('of another scheme that nobody lists name their upstream, who is not asked for all that is unknown', async () => {
    const git = { uri: 'git://repo/flow/SKILL.md', frontmatter: { name: 'flow' }, resources: 'dynamic' };
    const skills = lists(git);
    expect(urisOf(await gateway({ a: { answer: skills } }).result('skills/list'))).toEqual([named('a', git.uri)]);
    const known = gateway({ a: { answer: skills, lists: { templates: ['GIT://{+path}'] } } });
    expect(urisOf(await known.result('skills/list'))).toEqual([git.uri]);
  });

  it('that nobody lists lead nowhere while an upstream is stopped that may be meant', async () => {
    const { result, fault, asked } = gateway({ a: { answer: echo, settings } }, ['b']);
    expect(urisOf(await result('skills/list'))).toEqual([named('a', file('same'))]);
    for (const method of ['skills/get', 'resources/directory/read', 'resources/read'])
      expect(await fault(method, { uri: file('same') })).toBe('catalog/resource');
    expect(asked('a')).toHaveLength(1);
    expect(await result('skills/get', { uri: named('a', file('same')) })).toMatchObject({ skill: { uri: named('a', file('same')) } });
  });

  it('that nobody lists lead nowhere when a toolset leaves their upstream out', async () => {
    const { fault, asked } = gateway({ a: { answer: echo, settings }, b: { settings: null } });
    const narrowed = { headers: { 'x-turnpike-toolset': 'tool:x_a_t' } };
    expect(await fault('resources/read', { uri: file('same') }, narrowed)).toBe('catalog/resource');
    expect(await fault('skills/get', { uri: file('same') }, narrowed)).toBe('request/method');
    expect(asked('a')).toEqual([]);
  });

  it('in our scheme are nobody’s', async () => {
    const foreign = { uri: 'turnpike://b/skill://x/SKILL.md', frontmatter: {}, resources: 'dynamic' };
    const { result } = gateway({ a: { answer: lists(foreign), lists: { templates: ['turnpike://b/{+path}'] } } });
    expect(urisOf(await result('skills/list'))).toEqual([named('a', foreign.uri)]);
  });

  it('of resources are told apart as ever, and what their upstream says about them passes', async () => {
    const shared = { lists: { resources: [file('same', 'more.md')] } };
    const { fault, send } = gateway({
      a: { answer: () => errorOf(-32602, 'gone'), settings, lists: { resources: all } },
      b: { settings: null, ...shared },
    });
    expect(await fault('resources/read', { uri: file('same', 'more.md') })).toBe('catalog/ambiguous');
    expect(await send('resources/read', { uri: file('same') })).toMatchObject({ kind: 'error', code: -32602 });
  });

  it('of resources of an upstream without skills are no skills', async () => {
    const { fault } = gateway({ a: { answer: echo, settings }, b: { settings: null, lists: { resources: [file('memo')] } } });
    expect(await fault('skills/get', { uri: file('memo') })).toBe('catalog/resource');
    expect(await fault('skills/get', { uri: named('b', file('memo')) })).toBe('catalog/resource');
    expect(await fault('skills/get', { uri: 5 })).toBe('request/params');
  });

  it('are written down with the upstream that they led to', async () => {
    const { services, result, send, fault, audited } = gateway({ a: { answer: echo, settings } });
    await result('skills/get', { uri: file('same') });
    await fault('skills/get', { uri: 'turnpike://nobody/skill://x/SKILL.md' });
    const secret = 'https://user:SENTINEL@host/SKILL.md?token=SENTINEL';
    for (const uri of [secret, named('a', secret), named('a', encodeURIComponent(secret))]) await send('skills/get', { uri }).catch(() => {});
    await services.audit.close();
    expect(audited).toHaveLength(5);
    expect(JSON.stringify(audited)).not.toContain('SENTINEL');
    expect(audited.slice(0, 2)).toMatchObject([
      { method: 'skills/get', tool: file('same'), upstream: 'a', outcome: 'ok' },
      { method: 'skills/get', decision: 'catalog/resource', outcome: 'refused' },
    ]);
  });
});
