import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { CELLS, DIRECT_CELLS } from './cells.ts';
import expected from './expected.json' with { type: 'json' };
import { type Check, type Results, readResults } from './referee.ts';
import { requirements } from './requirements.ts';
import { type Pinned, reasons, score, shortfalls } from './verdict.ts';

const check = (status: Check['status'], id = 'c'): Check => ({ id, status });
const WANTED = { required: ['a', 'b', 'c'], extra: ['x', 'y'] };

test('a scenario passes with checks of which none failed; without checks or files it does not', () => {
  const results: Results = new Map([
    ['a', [check('SUCCESS'), check('WARNING', 'w')]],
    ['b', []],
    ['x', [check('INFO')]],
    ['y', [check('SUCCESS'), check('FAILURE')]],
  ]);
  expect(score(results, WANTED)).toEqual({
    required: { passed: 1, total: 3 },
    extra: { passed: ['x'], failed: ['y'] },
    failed: ['b', 'c'],
    warnings: ['a: w'],
  });
  expect(reasons(results, ['b', 'y'])).toEqual(['b: left no result', 'y: c: ']);
});

test('a fallen number, a fallen extra scenario and a new warning are shortfalls; more than pinned is none', () => {
  const found = { required: { passed: 2, total: 3 }, extra: { passed: ['x'], failed: ['y'] }, failed: ['c'], warnings: ['a: new', 'a: old'] };
  expect(shortfalls(found, { required: 3, extra: ['x', 'y'], warnings: ['a: old'] })).toEqual([
    'required 2, pinned 3: c',
    'extra scenario fell: y',
    'new warning: a: new',
  ]);
  expect(shortfalls(found, { required: 1, extra: [], warnings: ['a: new', 'a: old', 'b: gone'] })).toEqual([]);
});

test('results are found under the scenario names, those that begin with server- included', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'referee-'));
  try {
    const stamp = '2026-11-21T12-00-00-000Z';
    const folders = [`server-tools-list-${stamp}`, `server-server-stateless-${stamp}`, `sse-retry-${stamp}`, 'something-else'];
    for (const name of folders) await mkdir(join(folder, name));
    await writeFile(join(folder, folders[0] ?? '', 'checks.json'), JSON.stringify([check('SUCCESS')]));
    expect(await readResults(folder)).toEqual(
      new Map<string, Check[]>([
        ['server-stateless', []],
        ['tools-list', [check('SUCCESS')]],
        ['sse-retry', []],
      ]),
    );
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('every cell has pinned numbers: all that is required, all that is extra, no warning', async () => {
  const pinned: Readonly<Record<string, Pinned>> = expected;
  const cells = [...CELLS, ...DIRECT_CELLS];
  expect(Object.keys(pinned).sort()).toEqual(cells.map(({ name }) => name).sort());
  for (const { name, revision, role } of cells) {
    const { required, extra } = await requirements(revision, role);
    expect(pinned[name], name).toEqual({ required: required.length, extra, warnings: [] });
  }
});
