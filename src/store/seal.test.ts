import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ManualClock } from '../core/manual-clock.ts';
import { encrypt } from './aead.ts';
import type { PurposeKey } from './keys.ts';
import { MAX_SEALED_LENGTH, Sealer } from './seal.ts';

const key = (id: string): PurposeKey => ({ id, key: randomBytes(32) });
const clock = new ManualClock();
const invalid = { ok: false, error: 'invalid' };
const k1 = key('k1');
const sealer = new Sealer([k1], 'rs1.', clock);
const payloads = fc.oneof(
  fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
  fc.constant(Buffer.alloc(0)),
);

describe('sealing (protocol.md section 9, security class 18)', () => {
  it('opens what it sealed, for the method it was sealed for', () => {
    fc.assert(
      fc.property(payloads, fc.string(), fc.string(), (payload, method, other) => {
        const text = sealer.seal(method, payload);
        expect(text).toMatch(/^rs1\.[A-Za-z0-9_-]+$/);
        expect(sealer.open(method, text)).toEqual({ ok: true, value: payload });
        if (Buffer.from(other).compare(Buffer.from(method)) !== 0) expect(sealer.open(other, text)).toEqual(invalid);
      }),
    );
  });

  it('carries objects', () => {
    const text = sealer.seal('tools/call', { kind: 'relay', round: 2, state: 'é' });
    expect(sealer.openJson('tools/call', text)).toEqual({ ok: true, value: { kind: 'relay', round: 2, state: 'é' } });
    for (const bytes of ['[]', '1', 'null', '{', '']) expect(sealer.openJson('m', sealer.seal('m', Buffer.from(bytes)))).toEqual(invalid);
  });

  it('never makes the same text twice, nor shows the payload', () => {
    const secret = Buffer.from('the upstream said this');
    expect(sealer.seal('m', secret)).not.toBe(sealer.seal('m', secret));
    expect(Buffer.from(sealer.seal('m', secret).slice(4), 'base64url').includes(secret)).toBe(false);
  });

  it('refuses every flipped bit, every truncation, every appendix', () => {
    const text = sealer.seal('m', Buffer.from('payload'));
    const bytes = Buffer.from(text.slice(4), 'base64url');
    for (let at = 0; at < bytes.length; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const bad = Buffer.from(bytes);
        bad.writeUInt8(bad.readUInt8(at) ^ (1 << bit), at);
        expect(sealer.open('m', `rs1.${bad.toString('base64url')}`)).toEqual(invalid);
      }
    }
    for (let length = 0; length < text.length; length++) expect(sealer.open('m', text.slice(0, length))).toEqual(invalid);
    for (const more of ['A', 'AA', 'AAAA', '=', '==', '\n', ' ', '.', '%00', '\u0000']) expect(sealer.open('m', text + more)).toEqual(invalid);
  });

  it('takes one spelling only', () => {
    // 1 + 2 + 12 + n + 16 bytes: with n = 0, 1, 2 the last character carries 0, 4 or 2 bits of padding.
    for (const size of [0, 1, 2]) {
      const text = sealer.seal('m', Buffer.alloc(size));
      const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
      for (const last of alphabet) {
        const other = text.slice(0, -1) + last;
        if (other !== text) expect(sealer.open('m', other)).toEqual(invalid);
      }
      const plain = Buffer.from(text.slice(4), 'base64url');
      if (plain.toString('base64') !== text.slice(4)) expect(sealer.open('m', `rs1.${plain.toString('base64')}`)).toEqual(invalid);
      for (const at of [4, 10]) expect(sealer.open('m', `${text.slice(0, at)}\n${text.slice(at)}`)).toEqual(invalid);
    }
  });

  it('refuses any other text', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.base64String()), (text) => {
        expect(sealer.open('m', text)).toEqual(invalid);
        expect(sealer.open('m', `rs1.${text}`)).toEqual(invalid);
      }),
    );
  });

  it('keeps kinds apart even under one key', () => {
    const tasks = new Sealer([k1], 'tk1.', clock);
    const text = sealer.seal('m', { a: 1 });
    expect(tasks.open('m', text)).toEqual(invalid);
    expect(tasks.open('m', `tk1.${text.slice(4)}`)).toEqual(invalid);
  });

  it('is bounded', () => {
    const fits = sealer.seal('m', Buffer.alloc(64 * 1024));
    expect(sealer.open('m', fits).ok).toBe(true);
    expect(() => sealer.seal('m', Buffer.alloc(MAX_SEALED_LENGTH))).toThrow(expect.objectContaining({ code: 'internal' }));
    const genuine = (size: number) => {
      const sealed = encrypt(k1.key, Buffer.alloc(size), Buffer.from('rs1.m'));
      return `rs1.${Buffer.concat([Buffer.of(2), Buffer.from('k1'), sealed]).toString('base64url')}`;
    };
    expect(sealer.open('m', genuine(64)).ok).toBe(true);
    expect(sealer.open('m', genuine(MAX_SEALED_LENGTH)), 'genuine, but too long').toEqual(invalid);
  });

  it('opens texts of old keys for a day after the change, of unknown keys never', () => {
    const time = new ManualClock();
    const text = new Sealer([k1], 'rs1.', time).seal('m', { a: 1 });
    const after = new Sealer([key('k2'), k1], 'rs1.', time);
    time.jump(1e12);
    time.advance(24 * 3_600_000 - 1);
    expect(after.open('m', text).ok).toBe(true);
    const young = after.seal('m', { a: 2 });
    time.advance(1);
    expect(after.open('m', text)).toEqual(invalid);
    expect(after.open('m', young).ok).toBe(true);
    expect(new Sealer([key('k2')], 'rs1.', time).open('m', text)).toEqual(invalid);
    expect(new Sealer([key('k1')], 'rs1.', time).open('m', text)).toEqual(invalid);
    expect(new Sealer([key('k2'), k1], 'tk1.', time, { oldKeysOpenFor: Number.POSITIVE_INFINITY }).open('m', text)).toEqual(invalid);
  });
});
