import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CONFIG_TREE, KEYS, type Key } from './keys.ts';
import { loadConfig } from './load.ts';
import { valueAt } from './problems.ts';
import { formatDuration, formatSize, parseDuration, parseSize } from './quantities.ts';
import type { Node } from './tree.ts';

const ENV = { HOME: '/h' };

function load(file: unknown, env: Readonly<Record<string, string>> = {}, flags: Readonly<Record<string, string | boolean>> = {}) {
  const readFile = async () => Buffer.from(JSON.stringify(file));
  return loadConfig({ cwd: '/w', env: { ...ENV, ...env }, flags, file: '/w/t.json', readFile });
}

async function messageOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'accepted',
    (error: unknown) => String(error),
  );
}

interface Mapping {
  readonly keys: readonly string[];
  /** A file that is valid but for what is put into this mapping. */
  readonly fileWith: (content: object) => unknown;
}

const COMPLETE: Readonly<Record<string, object>> = {
  stdio: { name: 'a', type: 'stdio', command: 'x' },
  'streamable-http': { name: 'a', type: 'streamable-http', url: 'http://x' },
  sse: { name: 'a', type: 'sse', url: 'http://x' },
  gitlab: { name: 'a', type: 'gitlab' },
};

/** Every mapping of the schema. */
function mappings(node: Node, fileWith: Mapping['fileWith']): Mapping[] {
  if (node.type === 'list') return mappings(node.items, (content) => fileWith([content]));
  if (node.type === 'map') return mappings(node.values, (content) => fileWith({ a: content }));
  if (node.type === 'variants') {
    return [...node.variants].flatMap(([type, variant]) => mappings(variant, (content) => fileWith({ ...COMPLETE[type], ...content })));
  }
  if (node.type !== 'object') return [];
  const inner = [...node.keys].flatMap(([key, child]) => mappings(child, (content) => fileWith({ [key]: content })));
  return [{ keys: [...node.keys.keys()], fileWith }, ...inner];
}

function nested(path: readonly string[], value: unknown): unknown {
  return path.reduceRight<unknown>((inner, part) => ({ [part]: inner }), value);
}

/** A valid value of a setting, as it would stand in a file. */
function sampleOf({ node }: Key): fc.Arbitrary<unknown> | undefined {
  const { kind, choices, schema = {}, expected = '' } = node.declaration;
  const minimum = Number(schema.minimum ?? 1);
  const maximum = Number(schema.maximum ?? minimum + 100_000);
  if (kind === 'boolean') return fc.boolean();
  if (kind === 'integer') return fc.integer({ min: minimum, max: maximum });
  if (kind === 'number') return fc.integer({ min: 1, max: 10_000 }).map((tenths) => tenths / 10);
  const [, from, to] = / from (\S+) to (\S+)$/.exec(expected) ?? [];
  if (kind === 'duration' && from !== undefined && to !== undefined) return fc.integer({ min: msOf(from), max: msOf(to) }).map((ms) => `${ms}ms`);
  if (kind === 'duration') return fc.tuple(fc.integer({ min: 1, max: 90 }), fc.constantFrom('s', 'm', 'h', 'd')).map(([n, unit]) => `${n}${unit}`);
  if (kind === 'size') return fc.integer({ min: minimum, max: Math.min(maximum, 2 ** 40) });
  if (kind === 'choice') return fc.constantFrom(...(choices ?? []));
  return undefined;
}

function msOf(text: string): number {
  const parsed = parseDuration(text);
  return parsed.ok ? parsed.value : Number.NaN;
}

describe('properties', () => {
  it('no unknown key is accepted, wherever it stands', async () => {
    const key = fc.oneof(fc.string({ minLength: 1, maxLength: 20 }), fc.constantFrom('__proto__', 'constructor', 'toString', 'hasOwnProperty', '<<'));
    const places = mappings(CONFIG_TREE, (content) => content);
    expect(places.length).toBeGreaterThan(40);
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...places), key, fc.jsonValue(), async ({ keys, fileWith }, name, value) => {
        fc.pre(!keys.includes(name));
        // A reference that is no reference is told first, whatever key it stands under.
        fc.pre(!JSON.stringify(value).includes('${'));
        expect(await messageOf(load(fileWith(Object.fromEntries([[name, value]]))))).toContain('unknown key');
      }),
      { numRuns: 300 },
    );
  });

  it('file, variable and flag say the same', async () => {
    const scalars = KEYS.flatMap((key) => {
      const value = sampleOf(key);
      return value === undefined ? [] : [{ key, value }];
    });
    expect(scalars.length).toBeGreaterThan(30);
    for (const { key, value } of scalars) {
      await fc.assert(
        fc.asyncProperty(value, async (one) => {
          const text = String(one);
          const results = [load(nested(key.path, one)), load({}, { [key.variable]: text }), load({}, {}, { [key.flag ?? '']: text })];
          const [file, variable, flag] = (await Promise.all(results)).map(({ config }) => valueAt(config, key.path));
          expect(file).toBeDefined();
          expect(variable).toEqual(file);
          expect(flag).toEqual(file);
        }),
        { numRuns: 5 },
      );
    }
  });

  it('durations and sizes are read back as they are printed', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 3650 * 86_400_000 }),
        (ms) => void expect(parseDuration(formatDuration(ms))).toEqual({ ok: true, value: ms }),
      ),
    );
    fc.assert(fc.property(fc.nat({ max: 2 ** 49 }), (bytes) => void expect(parseSize(formatSize(bytes))).toEqual({ ok: true, value: bytes })));
  });

  it('any bytes are answered, never by a crash', async () => {
    const text = fc.oneof(
      fc.string(),
      fc.string({ unit: 'binary' }),
      fc
        .array(fc.constantFrom('listen', ':', '\n', ' ', '-', '{', '}', '[', ']', '&a', '*a', '"', '|', '\t', '!!x', '#', '1'), { maxLength: 30 })
        .map((parts) => parts.join('')),
    );
    await fc.assert(
      fc.asyncProperty(text, fc.constantFrom('/t.yaml', '/t.json'), async (content, file) => {
        const answer = await loadConfig({ cwd: '/w', env: ENV, file, readFile: async () => Buffer.from(content) }).then(
          () => 'config/invalid',
          (error: { code?: unknown }) => error.code,
        );
        expect(answer).toBe('config/invalid');
      }),
      { numRuns: 300 },
    );
  });
});
