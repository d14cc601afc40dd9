import { describe, expect, it } from 'vitest';
import { seriesOf } from './statistics.ts';
import { tableOf } from './table.ts';
import { plainRow, ratioRow } from './verdict.ts';

const lines = (text: string) => text.split('\n');

describe('table', () => {
  it('says for each row what it was compared with, what it took, and whether that is within the bound', () => {
    const met = ratioRow('modern', seriesOf([30.24, 33]), seriesOf([45.36, 54.432]));
    const missed = ratioRow('stream', seriesOf([100]), seriesOf([131]), { variant: 'legacy' });
    expect(lines(tableOf([met, missed], false))).toEqual([
      '| path | against | reference | gateway | figure | median | spread of both | bound | met |',
      '| --- | --- | --- | --- | --- | --- | --- | --- | --- |',
      '| modern call → HTTP upstream | HTTP floor | 30.2 µs | 45.4 µs | 1.50 | 1.57 | 9 % / 20 % | ≤ 1.6 | yes |',
      '| event stream, five events and a result, legacy | HTTP floor | 100 µs | 131 µs | 1.31 | 1.31 | 0 % / 0 % | ≤ 1.3 | **no** |',
    ]);
  });

  it('writes figures of other units with their unit, and those without a reference alone', () => {
    const [, , session] = lines(tableOf([plainRow('session', 'KiB', [7.123, 9], { variant: 'after a call' })], false));
    expect(session).toBe(
      '| idle legacy session, heap and buffers, after a call | – | – | 7.12 KiB | 7.12 KiB | 8.06 KiB | – / 26 % | ≤ 8 KiB | yes |',
    );
  });

  it('says why there is no figure', () => {
    const failed = ratioRow('large', seriesOf([1]), seriesOf([2]), { failure: '3 calls failed, first: 500' });
    expect(tableOf([failed], false)).toContain('| 3 calls failed, first: 500 | – | 0 % / 0 % | – | **failed** |');
  });

  it('holds a smoke run against its own bounds', () => {
    const row = ratioRow('peer', seriesOf([500]), seriesOf([100]));
    expect(tableOf([row], false)).toContain('| ≥ 5 |');
    expect(tableOf([row], true)).toContain('| – | – |');
  });
});
