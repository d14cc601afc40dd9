import { createHmac } from 'node:crypto';
import { expect, it } from 'vitest';
import { Fingerprinter } from './fingerprinter.ts';

/** What a fingerprint is, without anything remembered. */
function plain(key: Buffer, parts: readonly string[]): string {
  const text = parts.map((part) => `${Buffer.byteLength(part)}:${part}`).join('');
  return createHmac('sha256', key).update(text).digest().subarray(0, 16).toString('base64url');
}

it('a fingerprint is the same at every time, for every split of the parts another one, and nobody knows it without the key', () => {
  const key = Buffer.alloc(32, 7);
  const names = new Fingerprinter(key);
  const inputs = [['a', 'b'], ['ab'], ['ab', ''], ['a', 'b', ''], ['ä"\\', '1:a'], ['["a","b"]'], ['a', '["b"]'], []];
  for (let time = 0; time < 2; time++) for (const parts of inputs) expect(names.of(...parts)).toBe(plain(key, parts));
  expect(new Set(inputs.map((parts) => names.of(...parts))).size).toBe(inputs.length);
  expect(new Fingerprinter(Buffer.alloc(32, 8)).of('a')).not.toBe(names.of('a'));
});

it('more of them than are remembered are right all the same', () => {
  const key = Buffer.alloc(32, 7);
  const names = new Fingerprinter(key);
  const all = Array.from({ length: 25_000 }, (_, index) => ['session', `id-${index}`]);
  for (const parts of all) names.of(...parts);
  for (const parts of [all[0], all[24_999], all[12_345]]) expect(names.of(...(parts ?? []))).toBe(plain(key, parts ?? []));
});

it('a principal has the fingerprint of its key, as one object', () => {
  const names = new Fingerprinter(Buffer.alloc(32, 7));
  const principal = { issuer: 'static', subject: 'ci' };
  expect(names.principal(principal)).toEqual({ fingerprint: names.of('principal', '["static","ci"]'), issuer: 'static', subject: 'ci' });
  expect(names.principal(principal)).toBe(names.principal(principal));
  expect(names.principal({ ...principal, subject: 'cd' }).fingerprint).not.toBe(names.principal(principal).fingerprint);
});
