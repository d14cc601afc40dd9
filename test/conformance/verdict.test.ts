import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { BUILT_IN_CELLS, CLIENT_CELLS, DIRECT_CELLS, MATRIX, SKILLS } from './cells.ts';
import expected from './expected.json' with { type: 'json' };
import { HOLLOW } from './hollow.ts';
import { INEXPRESSIBLE, inexpressibleIn, NOT_BUILT_IN } from './inexpressible.ts';
import { type Check, type Results, readResults } from './referee.ts';
import { notes, summary } from './report.ts';
import { requirements, wantedBy } from './requirements.ts';
import { type Pinned, reasons, score, shortfalls, withoutFixtureTools } from './verdict.ts';

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
    hollow: ['x'],
    warnings: ['a: w'],
  });
  expect(reasons(results, ['b', 'y'])).toEqual(['b: left no result', 'y: c: ']);
});

test('a fallen number, a fallen extra scenario, an emptied one and a new warning are shortfalls; more than pinned is none', () => {
  const found = {
    required: { passed: 2, total: 3 },
    extra: { passed: ['x'], failed: ['y'] },
    failed: ['c'],
    hollow: ['a', 'x'],
    warnings: ['a: new', 'a: old'],
  };
  expect(shortfalls(found, { required: 3, extra: ['x', 'y'], hollow: ['x'], warnings: ['a: old'] })).toEqual([
    'required 2, pinned 3: c',
    'extra scenario fell: y',
    'nothing is looked at any more: a',
    'new warning: a: new',
  ]);
  expect(shortfalls(found, { required: 1, extra: [], hollow: ['a', 'b', 'x'], warnings: ['a: new', 'a: old', 'b: gone'] })).toEqual([]);
});

test('what the referee cannot look at without tools of the fixtures is told apart from what failed; warnings are those of wanted scenarios', () => {
  const failure = (errorMessage: string, status: Check['status'] = 'FAILURE'): Check => ({ id: 'c', status, errorMessage });
  const untestable = failure("Not testable: server does not list the diagnostic tool 'test_x' in tools/list");
  const results: Results = new Map([
    ['a', [check('SUCCESS'), untestable, failure('Mutated the tool list but no notifications/tools/list_changed arrived', 'WARNING')]],
    ['b', [check('SUCCESS'), failure('Not testable: no task was created by the preceding step')]],
    ['z', [check('WARNING')]],
  ]);
  const { made, unmade } = withoutFixtureTools(results);
  expect(unmade).toEqual(['a: c', 'a: c']);
  expect(score(made, { required: ['a', 'b'], extra: [] })).toMatchObject({ required: { passed: 1, total: 2 }, failed: ['b'], warnings: [] });
  expect(score(results, { required: ['a', 'b'], extra: [] })).toMatchObject({ required: { passed: 0, total: 2 }, warnings: ['a: c'] });
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

test('every cell has pinned numbers: all that is required, all that is extra, no warning, nothing hollow without a reason', async () => {
  const pinned: Readonly<Record<string, Pinned>> = expected;
  const cells = [...MATRIX, ...BUILT_IN_CELLS, ...CLIENT_CELLS, ...DIRECT_CELLS];
  expect(Object.keys(pinned).sort()).toEqual(cells.map(({ name }) => name).sort());
  for (const cell of cells) {
    const { required, extra } = await wantedBy(cell);
    const pin = pinned[cell.name];
    expect({ ...pin, hollow: [] }, cell.name).toEqual({ required: required.length, extra, hollow: [], warnings: [] });
    expect(Object.keys(HOLLOW), cell.name).toEqual(expect.arrayContaining([...(pin?.hollow ?? [])]));
  }
});

test('the matrix is both revisions in front of both fixtures, over both transports', () => {
  const kinds = MATRIX.map(({ revision, fixture, through }) => `${revision} ${fixture} ${through}`);
  const all = ['2025-11-25', '2026-07-28'].flatMap((revision) =>
    ['legacy', 'modern'].flatMap((fixture) => ['http', 'stdio'].map((through) => `${revision} ${fixture} ${through}`)),
  );
  expect(kinds.sort()).toEqual(all.sort());
});

test('a cell of a server runs every scenario the referee has for either revision, or the table says why it does not', async () => {
  const lists = [await requirements('2025-11-25', 'server'), await requirements('2026-07-28', 'server')];
  const known = [...new Set([...lists.flatMap(({ required, extra }) => [...required, ...extra]), ...SKILLS])].sort();
  expect(known.length).toBeGreaterThan(37 + 13);
  for (const cell of [...MATRIX, ...BUILT_IN_CELLS]) {
    const { required, extra } = await wantedBy(cell);
    const left = inexpressibleIn(cell).flatMap(({ scenarios }) => scenarios);
    expect([...required, ...extra, ...left].sort(), cell.name).toEqual(known);
  }
  for (const { reason, source } of [...INEXPRESSIBLE, ...NOT_BUILT_IN]) expect(`${reason} ${source}`).toMatch(/^.{20,} \S/);
});

test('the report is one table, and names what is hollow and what has no meaning there', async () => {
  const cell = MATRIX.find(({ name }) => name === 'modern-to-legacy-stdio');
  if (!cell) throw new Error('no such cell');
  const found = { required: { passed: 37, total: 37 }, extra: { passed: ['tasks-status-notifications'], failed: ['x'] }, failed: [], warnings: [] };
  const rows = [{ cell, score: { ...found, hollow: ['tasks-status-notifications'] }, seconds: 9.6, problems: ['one'] }];
  expect(summary(rows)[1]?.split(/ {2,}/)).toEqual([cell.name, '2026-07-28', '2025-11-25', 'stdio', '37/37', '1/2', '1', '0', '10', 'FAILED']);
  const text = notes(rows);
  expect(text).toContain(`  ${cell.name}  tasks-status-notifications  hollow`);
  expect(text).toContain(`  ${cell.name}  x  failed`);
  expect(text).toContain(`  tasks-status-notifications: ${HOLLOW['tasks-status-notifications']}`);
  for (const scenario of ['ping', 'sep-2640-skills-manifest']) expect(text.filter((line) => line === `    ${scenario}`)).toHaveLength(1);
  expect(text.filter((line) => line.includes('client of 2025-11-25'))).toEqual([]);
});
