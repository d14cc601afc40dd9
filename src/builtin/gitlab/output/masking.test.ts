import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Secret } from '../../../core/secret.ts';
import { MASKED, Masker } from './masking.ts';

const masker = (enabled = true, secrets: string[] = []) =>
  new Masker(
    secrets.map((one) => new Secret(one)),
    enabled,
  );
const KEY = '-----BEGIN RSA PRIVATE KEY-----\nMIIEabc\nMIIEdef\n-----END RSA PRIVATE KEY-----';
const JWT = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U';

describe('Masker', () => {
  it.each([
    ['a personal access token', 'use glpat-abcDEF1234567890abcd now', `use ${MASKED} now`],
    ['a routable token', 'glpat-abcDEF1234567890abcd.01.0j1abc', MASKED],
    ['a deploy token', 'x=gldt-1234567890abcdefghij', `x=${MASKED}`],
    ['a token of a kind unknown to us', 'glxyzab-1234567890abcdefghij', MASKED],
    ['a token of a kind unknown to us, letters only', 'glxyzab-aaaaaaaaaaaaaaaaaaaaaaaaa', MASKED],
    ['a private key', `before ${KEY} after`, `before ${MASKED} after`],
    ['a private key that does not end', 'a -----BEGIN OPENSSH PRIVATE KEY-----\nabc', `a ${MASKED}`],
    ['a key in one line of JSON', `{"k":"${KEY.replaceAll('\n', '\\n')}"}`, `{"k":"${MASKED}"}`],
    ['a PGP key', '-----BEGIN PGP PRIVATE KEY BLOCK-----\nx\n-----END PGP PRIVATE KEY BLOCK-----', MASKED],
    ['a JWT', `Bearer ${JWT}.`, `Bearer ${MASKED}`],
    ['a JWT behind what only begins like one', `eyJx eyJ-x.${JWT}`, `eyJx eyJ-x.${MASKED}`],
    ['a JWT of any length', `eyJ${'a'.repeat(10_000)}.${'b'.repeat(20_000)}.c`, MASKED],
    ['a URL password', 'postgres://ann:hunter2@db/x', `postgres://ann:${MASKED}@db/x`],
    ['a URL password with an @', 'https://ann:p@ss@host/x', `https://ann:${MASKED}@host/x`],
    ['a token behind a line of JSON', '{"a":"b\\nglpat-abcDEF1234567890abcd"}', `{"a":"b\\n${MASKED}"}`],
    ['a token behind a character of a URL', '?token%3Dglpat-abcDEF1234567890abcd&x', `?token%3D${MASKED}&x`],
    ['a token behind a letter', 'xglpat-abcDEF1234567890abcd', `x${MASKED}`],
    ['a token of an unknown kind behind an escape', '\\u003dglxyzab-1234567890abcdefghij', `\\u003d${MASKED}`],
    ['a JWT behind an escape', `\\n${JWT}`, `\\n${MASKED}`],
    ['a token in a URL, once', 'https://oauth2:glpat-abcDEF1234567890abcd@host/x', `https://oauth2:${MASKED}@host/x`],
  ])('masks %s', (_what, text, masked) => {
    const one = masker();
    expect(one.text(text)).toBe(masked);
    expect(one.count).toBe(1);
  });

  it.each([
    'glpat- is the prefix',
    'global-navigation-header-wrapper',
    'glass-fiber-reinforced-polymer-sheet',
    'gluster-fs',
    'eyJust a word',
    '-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----',
    'https://host:8080/a@b',
    'mailto:ann@example.com',
    'see http://[::1]:80/',
  ])('leaves %j alone', (text) => {
    const one = masker();
    expect(one.text(text)).toBe(text);
    expect(one.count).toBe(0);
  });

  it("masks the caller's own token wherever it stands, and counts", () => {
    const own = 'my-own_token.0123456789';
    const one = masker(true, [own]);
    expect(one.value({ a: `x${own}y`, [own]: [own, { b: own }] })).toEqual({ a: `x${MASKED}y`, [MASKED]: [MASKED, { b: MASKED }] });
    expect(one.count).toBe(4);
  });

  it('sees through hidden characters', () => {
    expect(masker().text('glpat-abcDEF12\u202e34567890abcd')).toBe(MASKED);
    expect(masker(true, ['my-own_token.0123456789']).text('my-own_tok\u001b[0men.0123456789')).toBe(MASKED);
  });

  it('drops fields that nobody may see, at every depth and with masking off', () => {
    const value = {
      runners_token: 'a',
      id: 1,
      in: [{ import_url: 'b', feedToken: 'c', x: { incoming_email_token: 'd', static_object_token: 'e', runnersToken: 'f', y: 2 } }],
    };
    for (const enabled of [true, false]) expect(masker(enabled).value(value)).toEqual({ id: 1, in: [{ x: { y: 2 } }] });
  });

  it('masks nothing when it is off, but still cleans', () => {
    expect(masker(false).text('glpat-abcDEF1234567890abcd\u202e')).toBe('glpat-abcDEF1234567890abcd');
  });

  it('keeps __proto__ of JSON a plain member', () => {
    const value = masker().value(JSON.parse('{"__proto__": {"polluted": true}}')) as object;
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  });

  it('lets no token through, whatever stands around it', () => {
    const token = fc
      .tuple(fc.constantFrom('glpat-', 'gldt-', 'glrt-', 'glptt-', 'glcbt-', 'gloas-'), fc.stringMatching(/^[A-Za-z0-9_-]{20,40}$/))
      .map((parts) => parts.join(''));
    const around = fc.stringMatching(/^[ \n"'=:,;(){}[\]<>@/]{0,10}$/);
    fc.assert(
      fc.property(around, token, around, (before, secret, after) => {
        const shown = masker().text(before + secret + after);
        expect(shown).not.toContain(secret);
        expect(masker().text(shown)).toBe(shown);
      }),
      { numRuns: 300 },
    );
  });

  it('takes time in proportion to the text', () => {
    const start = performance.now();
    const evil = [
      'glpat-',
      'eyJaaaaaaaa.',
      '-eyJ',
      '-eyJ.',
      '-----BEGIN RSA PRIVATE KEY-----',
      'a://b:c',
      '-----BEGIN ',
      'a'.repeat(50),
      'gl',
      'http://a:',
    ];
    for (const piece of evil) masker().text(piece.repeat(Math.ceil(1_000_000 / piece.length)));
    expect(performance.now() - start).toBeLessThan(5_000);
  });
});

describe('lines', () => {
  it('masks a key over several lines, also where its beginning was skipped', () => {
    const lines = `a\n${KEY}\nb`.split('\n');
    const all = masker().lines();
    expect(lines.map((line) => all.read(line).text)).toEqual(['a', MASKED, MASKED, MASKED, MASKED, 'b']);
    const late = masker().lines();
    for (const line of lines.slice(0, 3)) late.skip(line);
    expect(lines.slice(3).map((line) => late.read(line).text)).toEqual([MASKED, MASKED, 'b']);
  });

  it('goes on behind a key on one line', () => {
    const reader = masker().lines();
    expect(reader.read(`x ${KEY.replaceAll('\n', ' ')} y`).text).toBe(`x ${MASKED} y`);
    expect(reader.read('plain').text).toBe('plain');
  });
});
