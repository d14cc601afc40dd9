import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sha256 } from '../core/secret.ts';
import { exposedName, hasScheme, parseReversibleUri, reservedOwner, reversibleUri, uriHead } from './names.ts';

const SETTINGS = { prefix: 'x', maxNameLength: 64 };
const GITHUB = { name: 'github', naming: 'prefixed' } as const;

describe('exposedName', () => {
  it.each([
    ['search', 'x_github_search'],
    ['github_search', 'x_github_search'],
    ['github', 'x_github_github'],
    ['githubsearch', 'x_github_githubsearch'],
    ['a b/c:d', 'x_github_a_b_c_d'],
    ['é😀', 'x_github___'],
    ['v1.2-x', 'x_github_v1.2-x'],
  ])('exposes %j as %s', (original, exposed) => {
    expect(exposedName(original, GITHUB, SETTINGS)).toBe(exposed);
  });

  it('uses toolPrefix instead of the name, and no prefix if it is empty', () => {
    expect(exposedName('n_list', { ...GITHUB, toolPrefix: 'n' }, SETTINGS)).toBe('x_n_list');
    expect(exposedName('list', { ...GITHUB, toolPrefix: 'n' }, { ...SETTINGS, prefix: '' })).toBe('n_list');
  });

  it('cuts long names and ends them in 8 digits of their hash', () => {
    const full = `x_github_${'a'.repeat(56)}`;
    expect(full).toHaveLength(65);
    expect(exposedName('a'.repeat(55), GITHUB, SETTINGS)).toHaveLength(64);
    expect(exposedName('a'.repeat(56), GITHUB, SETTINGS)).toBe(`${full.slice(0, 55)}_${sha256(full).toString('hex').slice(0, 8)}`);
  });

  it('leaves names alone under passthrough', () => {
    const original = `a b ${'c'.repeat(100)}`;
    expect(exposedName(original, { ...GITHUB, naming: 'passthrough' }, SETTINGS)).toBe(original);
    expect(uriHead('docs', { ...GITHUB, naming: 'passthrough' }, SETTINGS)).toBe('');
  });

  it('is always valid, short enough, deterministic, and starts with the prefix once', () => {
    const upstream = fc.stringMatching(/^[a-zA-Z][a-zA-Z0-9_-]{0,62}$/);
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 90 }), upstream, fc.integer({ min: 16, max: 100 }), (original, name, maxNameLength) => {
        const settings = { prefix: 'x', maxNameLength };
        const exposed = exposedName(original, { name, naming: 'prefixed' }, settings);
        expect(exposed).toMatch(/^[A-Za-z0-9_.-]+$/);
        expect(exposed.length).toBeLessThanOrEqual(maxNameLength);
        expect(exposed).toBe(exposedName(original, { name, naming: 'prefixed' }, settings));
        expect(exposed.startsWith(`x_${name}_`.slice(0, Math.max(0, maxNameLength - 9)))).toBe(true);
      }),
    );
  });
});

describe('reversible URIs', () => {
  it('percent-encodes the URI', () => {
    expect(reversibleUri('files', 'file:///a b?c#d')).toBe('turnpike://files/file%3A%2F%2F%2Fa%20b%3Fc%23d');
  });

  it('reads back any URI', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'grapheme', minLength: 1 }), fc.webUrl()), (uri) => {
        expect(parseReversibleUri(reversibleUri('a_b-1', uri))).toEqual({ upstream: 'a_b-1', uri });
      }),
    );
  });

  it('takes an unencoded URI with a scheme as it is: expansions of listed templates look so', () => {
    expect(parseReversibleUri('turnpike://a/file:///x%20y')).toEqual({ upstream: 'a', uri: 'file:///x%20y' });
  });

  it.each(['file:///x', 'turnpike://', 'turnpike://a', 'turnpike://a/', 'turnpike://a/%', 'turnpike://a/%ff'])('refuses %s', (uri) => {
    expect(parseReversibleUri(uri)).toBeUndefined();
  });

  it('knows schemes', () => {
    expect(['file:///x', 'urn:a', 'a+b.c-1:x'].every(hasScheme)).toBe(true);
    expect(['docs/x', '1a:x', ':x', '', '{scheme}://x'].some(hasScheme)).toBe(false);
  });
});

it('knows the owners of reserved names', () => {
  expect(['call_tool', 'core_events', 'workflow_roll', 'x_a_call_tool', 'core'].map(reservedOwner)).toEqual([
    'meta',
    'core',
    'workflow',
    undefined,
    undefined,
  ]);
});
