import { describe, expect, it } from 'vitest';
import { collect, json, never, Rig } from './client-fixture.ts';

describe('lists', () => {
  const all = Array.from({ length: 250 }, (_, index) => ({ id: index + 1 }));
  const offset = () =>
    Rig.start((request, response) => {
      const query = new URL(request.url, 'http://x').searchParams;
      const [page, size] = [Number(query.get('page') ?? 1), Number(query.get('per_page'))];
      const last = page * size >= all.length;
      json(response, all.slice((page - 1) * size, page * size), 200, {
        'x-next-page': last ? '' : String(page + 1),
        'x-total': '250',
        'x-page': String(page),
      });
    });

  it('come in pages of at most 100', async () => {
    await using rig = await offset();
    const first = await rig.client().list({ path: '/issues', query: { per_page: 500, scope: 'all' }, signal: never });
    expect(first.items).toHaveLength(100);
    expect(first).toMatchObject({
      pagination: { page: 1, per_page: 100, next_page: 2, total_items: 250, has_more: true },
      next: { per_page: 100, scope: 'all', page: 2 },
    });
    expect(rig.server.requests[0]?.url).toBe('/api/v4/issues?per_page=100&scope=all');
    expect((await rig.client().list({ path: '/issues', signal: never })).items).toHaveLength(20);
  });

  it('are walked through until the budget is spent', async () => {
    await using rig = await offset();
    const walk = (maxItems: number, maxBytes = 1e6) =>
      collect(rig.client().page({ path: '/issues', query: { per_page: 100 }, maxItems, maxBytes, signal: never }));
    expect(await walk(1000)).toEqual(all);
    expect(rig.server.requests).toHaveLength(3);
    expect(await walk(100)).toEqual(all.slice(0, 100));
    expect(rig.server.requests).toHaveLength(4);
    expect(await walk(101)).toHaveLength(101);
    // Eight bytes each for the first nine.
    expect(await walk(1000, 30)).toEqual(all.slice(0, 3));
    expect(await walk(0)).toEqual([]);
  });

  it('are walked through by keyset', async () => {
    await using rig = await Rig.start((request, response) => {
      const query = new URL(request.url, 'http://x').searchParams;
      const after = Number(query.get('id_after') ?? 0);
      const items = all.slice(after, after + 100);
      const next = `<http://${request.headers.host}/api/v4/projects?id_after=${after + 100}&pagination=keyset&per_page=100>; rel="next"`;
      json(response, items, 200, after + 100 < all.length ? { link: next } : {});
    });
    const found = await collect(rig.client().keyset({ path: '/projects', query: { per_page: 100 }, maxItems: 1000, maxBytes: 1e6, signal: never }));
    expect(found).toEqual(all);
    expect(rig.server.requests.map(({ url }) => url)).toEqual([
      '/api/v4/projects?per_page=100&pagination=keyset',
      '/api/v4/projects?id_after=100&pagination=keyset&per_page=100',
      '/api/v4/projects?id_after=200&pagination=keyset&per_page=100',
    ]);
  });

  it('never follow a link to another host', async () => {
    await using evil = await Rig.start((_request, response) => json(response, [{ id: 666 }]));
    await using rig = await Rig.start((_request, response) =>
      json(response, [{ id: 1 }], 200, { link: `<${evil.url}/api/v4/x?cursor=1>; rel="next"` }),
    );
    expect(await collect(rig.client().keyset({ path: '/x', maxItems: 9, maxBytes: 999, signal: never }))).toEqual([{ id: 1 }]);
    expect(evil.server.connections).toBe(0);
  });

  it('that never end are ended', async () => {
    await using rig = await Rig.start((request, response) =>
      json(response, [{ id: 1 }], 200, { link: `<http://${request.headers.host}${request.url}>; rel="next"` }),
    );
    expect(await collect(rig.client().keyset({ path: '/x', maxItems: 100, maxBytes: 9999, signal: never }))).toHaveLength(1);
    expect(rig.server.requests).toHaveLength(1);
  });

  it('tolerate what is no object, and refuse what is no list', async () => {
    await using rig = await Rig.start((request, response) => json(response, request.url.includes('odd') ? [null, 1, { id: 1 }, []] : { id: 1 }));
    expect((await rig.client().list({ path: '/odd', signal: never })).items).toEqual([{ id: 1 }]);
    await expect(rig.client().list({ path: '/x', signal: never })).rejects.toMatchObject({
      code: 'invalid_response',
      message: 'GitLab answered no list',
    });
  });
});
