import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { ManualClock } from '../core/manual-clock.ts';
import { Secret, sameDigest } from '../core/secret.ts';
import { Credential } from './credential.ts';
import { StaticTokens } from './static-token.ts';

vi.mock('../core/secret.ts', async (original) => {
  const module = await original<typeof import('../core/secret.ts')>();
  return { ...module, sameDigest: vi.fn(module.sameDigest) };
});

/** Comparisons that stop at the first difference, next to the value of a secret or to a variable that holds one. */
function comparisonsOfSecrets(source: string): string[] {
  const holders = [...source.matchAll(/\b(?:const|let)\s+(\w+)[^=\n]{0,80}=[^=;\n]{0,200}\.reveal\(\)\s*[;\n]/g)].map((match) => match[1] ?? '');
  const value = ['\\.reveal\\(\\)', ...holders.map((name) => `\\b${name}`)].join('|');
  const rules = [
    new RegExp(`(?:${value})\\s*\\)*\\s*[!=]==?`, 'g'),
    new RegExp(`[!=]==?\\s*\\(*[\\w.?]*(?:\\.reveal\\(\\)|${holders.length === 0 ? '(?!)' : holders.map((name) => `\\b${name}\\b`).join('|')})`, 'g'),
    /\.(?:includes|startsWith|endsWith|indexOf|localeCompare|match|search)\([^()]{0,80}\.reveal\(\)/g,
    /\.reveal\(\)\s*\.(?:includes|startsWith|endsWith|indexOf|localeCompare|match|search)\(/g,
    /\b(?:switch|case)\s*\(?[\w.?]*\.reveal\(\)/g,
  ];
  return rules.flatMap((rule) => [...source.matchAll(rule)].map((match) => match[0]));
}

describe('the lint for comparisons of secrets (security class 28)', () => {
  it.each([
    'if (token.reveal() === given) enter();',
    'if (given == token.reveal()) enter();',
    'if (given !== this.entry?.token.reveal()) refuse();',
    'if ((token.reveal()) != given) refuse();',
    'const ok = token.reveal()\n  === given;',
    'const plain = token.reveal();\nif (plain === given) enter();',
    'const plain = token.reveal();\nif (given === plain) enter();',
    'if (all.includes(token.reveal())) enter();',
    'if (token.reveal().startsWith(given)) enter();',
    'switch (token.reveal()) {}',
  ])('finds %j', (fixture) => {
    expect(comparisonsOfSecrets(fixture)).not.toEqual([]);
  });

  it.each(['headers.authorization = format(token.reveal());', 'const a = sha256(token.reveal());\nif (size === 3) go();', 'token.matches(given)'])(
    'leaves %j alone',
    (fixture) => {
      expect(comparisonsOfSecrets(fixture)).toEqual([]);
    },
  );

  it('finds nothing in the sources', () => {
    const root = join(import.meta.dirname, '..');
    const files = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'));
    expect(files.length).toBeGreaterThan(10);
    const found = files.flatMap((file) => comparisonsOfSecrets(readFileSync(join(root, file), 'utf8')).map((text) => `${file}: ${text}`));
    expect(found).toEqual([]);
  });
});

describe('near-miss and far-miss tokens', () => {
  const compare = vi.mocked(sameDigest);
  const names = ['a', 'b', 'c', 'd'];
  const entries = names.map((name) => ({ name, token: new Secret(`token-${name}-0123456789`) }));
  const tokens = new StaticTokens(entries, new ManualClock());

  /** Which comparisons one token causes: how many, and over how many bytes each. */
  function path(token: string): string[] {
    compare.mockClear();
    tokens.authenticate(new Credential('bearer', new Secret(token)));
    return compare.mock.calls.map(([left, right]) => `${left.length}/${right.length}`);
  }

  it('take the same path as each other and as a hit in any place', () => {
    const expected = ['32/32', '32/32', '32/32', '32/32'];
    for (const token of ['token-a-012345678', 'token-a-0123456788', 'token-d-0123456780', 'x', 'z'.repeat(5000)])
      expect(path(token)).toEqual(expected);
    for (const name of names) expect(path(`token-${name}-0123456789`)).toEqual(expected);
    // Who was found is known by the digest; to everybody else nothing changes.
    for (const name of names) expect(path(`token-${name}-0123456789`)).toEqual([]);
    for (const token of ['token-a-012345678', 'token-d-0123456780', 'x']) expect(path(token)).toEqual(expected);
  });
});
