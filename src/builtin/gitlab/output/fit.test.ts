import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { JsonObject } from '../../../core/mcp.ts';
import type { ToolOutcome } from '../../server/server.ts';
import { fitted, outcomeOf } from './fit.ts';
import { markdownOf } from './markdown.ts';
import type { Draft, Payload } from './payload.ts';

const bytes = (outcome: ToolOutcome) => Buffer.byteLength(JSON.stringify(outcome));
const listDraft = (items: readonly JsonObject[]): Draft => ({
  ...{ count: items.length, unit: 'items', field: 'items', goOn: (kept) => `cursor after ${kept}`, goOnInside: () => 'look inside' },
  build: (kept) => ({ items: items.slice(0, kept) }),
});
const itemDraft = (item: JsonObject): Draft => ({
  count: 0,
  unit: 'items',
  field: 'item',
  build: () => ({ item }),
  goOn: () => 'nothing',
  goOnInside: () => 'look elsewhere',
});

describe('fitted', () => {
  it('leaves what fits as it is', () => {
    const outcome = fitted(listDraft([{ a: 1 }]), 100_000);
    expect(outcome).toEqual(outcomeOf({ items: [{ a: 1 }] }));
  });

  it('cuts lists at whole items and says so', () => {
    const items = Array.from({ length: 100 }, (_, id) => ({ id, text: 'x'.repeat(2_000) }));
    const outcome = fitted(listDraft(items), 100_000);
    const { items: kept, truncated } = outcome.structuredContent as { items: JsonObject[]; truncated: JsonObject };
    expect(bytes(outcome)).toBeLessThanOrEqual(100_000);
    expect(kept.length).toBeGreaterThan(20);
    expect(kept.every((item) => String(item.text).length === 2_000)).toBe(true);
    expect(truncated).toEqual({ cut: [{ field: 'items', kept: kept.length, of: 100, unit: 'items' }], go_on: `cursor after ${kept.length}` });
    expect(String(outcome.content[0]?.text)).toContain(`To go on: cursor after ${kept.length}`);
  });

  it('cuts a text inside the only item at a line', () => {
    const item = { id: 1, diff: 'a line of text\n'.repeat(10_000) };
    const outcome = fitted(itemDraft(item), 20_000);
    const { item: kept, truncated } = outcome.structuredContent as { item: JsonObject; truncated: { cut: JsonObject[] } };
    expect(bytes(outcome)).toBeLessThanOrEqual(20_000);
    expect(kept.id).toBe(1);
    expect(
      String(kept.diff)
        .split('\n')
        .every((line) => line === 'a line of text'),
    ).toBe(true);
    expect(truncated.cut).toEqual([{ field: 'item.diff', kept: expect.any(Number), of: 10_001, unit: 'lines' }]);
  });

  it('cuts a line that is too long by itself, never inside a character', () => {
    for (let max = 5_000; max < 5_030; max++) {
      const outcome = fitted(itemDraft({ text: '👍'.repeat(50_000) }), max);
      const { item } = outcome.structuredContent as { item: JsonObject };
      expect(bytes(outcome)).toBeLessThanOrEqual(max);
      expect(String(item.text).length).toBeGreaterThan(100);
      expect(String(item.text)).toMatch(/^👍+$/u);
    }
  });

  it('fits whatever there is, and keeps whole what it keeps', () => {
    const value = fc.letrec((tie) => ({
      any: fc.oneof(
        { maxDepth: 3 },
        fc.string({ maxLength: 400 }),
        fc.integer(),
        fc.boolean(),
        fc.constant(null),
        fc.array(tie('any'), { maxLength: 6 }),
        fc.dictionary(fc.stringMatching(/^[a-z]{1,8}$/), tie('any'), { maxKeys: 6 }),
      ),
    })).any;
    const item = fc.dictionary(fc.stringMatching(/^[a-z]{1,8}$/), value, { maxKeys: 8 });
    fc.assert(
      fc.property(fc.array(item, { maxLength: 12 }), fc.integer({ min: 1_500, max: 6_000 }), (items, max) => {
        const outcome = fitted(listDraft(items), max);
        expect(bytes(outcome)).toBeLessThanOrEqual(max);
        const kept = (outcome.structuredContent as { items: JsonObject[] }).items;
        if (kept.length > 1) expect(kept).toEqual(items.slice(0, kept.length));
        if (kept.length < items.length) expect(outcome.structuredContent).toHaveProperty('truncated');
      }),
      { numRuns: 150 },
    );
  });
});

describe('markdownOf', () => {
  it('says every fact of the structured content', () => {
    const leaf = fc.oneof(fc.string({ maxLength: 60 }), fc.integer(), fc.boolean());
    const item = fc.dictionary(
      fc.stringMatching(/^[a-z]{1,8}$/),
      fc.oneof(leaf, fc.array(leaf, { maxLength: 4 }), fc.dictionary(fc.stringMatching(/^[a-z]{1,8}$/), leaf, { maxKeys: 3 })),
      { maxKeys: 5 },
    );
    const leaves = (value: unknown): unknown[] => (typeof value === 'object' && value !== null ? Object.values(value).flatMap(leaves) : [value]);
    fc.assert(
      fc.property(fc.array(item, { maxLength: 4 }), (items) => {
        const markdown = markdownOf({ items });
        for (const fact of leaves(items)) expect(markdown.includes(String(fact).trimEnd())).toBe(true);
      }),
      { numRuns: 200 },
    );
  });

  it('keeps text inside its fence', () => {
    const payload: Payload = { item: { content: 'a\n```\n# Not a heading\n````\nb' } };
    expect(markdownOf(payload)).toBe('- content:\n`````\na\n```\n# Not a heading\n````\nb\n`````');
  });

  it('tells notice, pages, cuts, masks and next steps', () => {
    const payload: Payload = {
      items: [],
      pagination: { page: 1, per_page: 20, next_page: null, prev_page: null, total_items: 0, total_pages: null, has_more: false, next_cursor: null },
      next_steps: [{ tool: 'get_issue', arguments: { issue_iid: 1 }, why: 'because' }],
      notice: 'Careful.',
      truncated: { cut: [{ field: 'items', kept: 1, of: 2, unit: 'items' }], go_on: 'ask again' },
      masked: 2,
    };
    expect(markdownOf(payload)).toBe(
      [
        '> Careful.',
        '',
        'No items.',
        '',
        'Pagination: page 1, per_page 20, next_page null, prev_page null, total_items 0, total_pages null, has_more false, next_cursor null',
        'Cut: field items, kept 1, of 2, unit items',
        'To go on: ask again',
        'Masked secrets: 2',
        'Next: get_issue {"issue_iid":1} (because)',
      ].join('\n'),
    );
  });
});
