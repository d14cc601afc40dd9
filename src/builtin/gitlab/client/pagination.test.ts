import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nextQuery, paginationOf, perPageOf, queryText } from './pagination.ts';

const HOST = 'git.corp:8443';
const link = (url: string, rel = 'next') => ({ link: `<https://${HOST}/x?first>; rel="first", <${url}>; rel="${rel}"` });

describe('pages', () => {
  it('have 1 to 100 items, 20 if nobody says', () => {
    expect([undefined, 1, 0, -5, 100, 500, '50', 'x', true, 2.9].map((per_page) => perPageOf({ per_page }))).toEqual([
      20, 1, 1, 1, 100, 100, 50, 20, 20, 2,
    ]);
    expect(perPageOf(undefined)).toBe(20);
  });

  it('follow by number, keeping the query', () => {
    expect(nextQuery({ 'x-next-page': '3' }, { search: 'a', page: 2 }, HOST)).toEqual({ search: 'a', page: 3 });
    for (const last of ['', '-1', 'x', '1e3']) expect(nextQuery({ 'x-next-page': last }, {}, HOST)).toBeUndefined();
  });

  it('follow by the query of a link, and nothing else of it', () => {
    const keyset = { pagination: 'keyset' };
    const next = `https://${HOST}/elsewhere?cursor=a%2Bb&labels%5B%5D=x&labels%5B%5D=y&per_page=100`;
    expect(nextQuery(link(next), keyset, HOST)).toEqual({ cursor: 'a+b', labels: ['x', 'y'], per_page: '100' });
    expect(nextQuery(link(next.replace('https', 'http')), keyset, HOST)).toMatchObject({ cursor: 'a+b' });
    expect(nextQuery({ ...link(next), 'x-next-page': '2' }, keyset, HOST)).toMatchObject({ cursor: 'a+b' });
    expect(nextQuery({ ...link(next), 'x-next-page': '2' }, { a: 1 }, HOST)).toEqual({ a: 1, page: 2 });
    expect(nextQuery(link(next), {}, HOST)).toMatchObject({ cursor: 'a+b' });
    expect(nextQuery(link(`https://${HOST}/x?__proto__=1`), keyset, HOST)).toEqual(Object.fromEntries([['__proto__', '1']]));
  });

  it('ignore links to other hosts, and what is no link', () => {
    const keyset = { pagination: 'keyset' };
    for (const url of [
      'https://evil.test/x?cursor=1',
      'https://git.corp/x?cursor=1',
      `https://${HOST}@evil.test/?cursor=1`,
      '/x?cursor=1',
      'javascript:1',
      '',
    ])
      expect(nextQuery(link(url), keyset, HOST)).toBeUndefined();
    expect(nextQuery({ ...link('https://evil.test/x?cursor=1'), 'x-next-page': '2' }, keyset, HOST)).toEqual({ ...keyset, page: 2 });
    expect(nextQuery(link(`https://${HOST}/?cursor=1`, 'prev'), keyset, HOST)).toBeUndefined();
    fc.assert(fc.property(fc.string(), (header) => nextQuery({ link: header }, keyset, HOST) === undefined));
  });

  it('tell what is known and null for the rest', () => {
    const headers = { 'x-page': '2', 'x-per-page': '50', 'x-next-page': '3', 'x-prev-page': '1', 'x-total': '120', 'x-total-pages': '3' };
    expect(paginationOf(headers, 20, {})).toEqual({
      page: 2,
      per_page: 50,
      next_page: 3,
      prev_page: 1,
      total_items: 120,
      total_pages: 3,
      has_more: true,
    });
    expect(paginationOf({}, 20, undefined)).toEqual({
      page: null,
      per_page: 20,
      next_page: null,
      prev_page: null,
      total_items: null,
      total_pages: null,
      has_more: false,
    });
  });
});

describe('queries', () => {
  it('are written as GitLab reads them', () => {
    expect(queryText({ a: 'x y&z', b: true, c: 0, d: undefined, e: ['p', 1], f: [] })).toBe('?a=x+y%26z&b=true&c=0&e%5B%5D=p&e%5B%5D=1');
    expect([queryText(undefined), queryText({})]).toEqual(['', '']);
  });
});
