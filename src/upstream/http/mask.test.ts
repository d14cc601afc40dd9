import { describe, expect, it } from 'vitest';
import { cpuMsOf } from '../../core/sample-cpu-time.ts';
import { echoesOf, maskText } from './mask.ts';

describe('maskText', () => {
  it.each([
    ['Authorization: Bearer abc.def-123', 'Authorization: *** ***'],
    ['got "Bearer abc" from you', 'got "Bearer ***" from you'],
    ['{"access_token":"short","other":"kept"}', '{"access_token":"***","other":"kept"}'],
    ['password = hunter2, retry', 'password = ***, retry'],
    ['jwt eyJhbGciOiJub25l.eyJzdWIiOiJ4In0.sig here', 'jwt *** here'],
    ['key glpat-abcdefghijklmnopqrst', 'key ***'],
    ['key ghp_abcdefghijklmnop', 'key ***'],
    ['hash 0123456789abcdef0123456789abcdef', 'hash ***'],
    ['see https://me:pw@host.example/path?code=1#x now', 'see https://host.example/path now'],
    ['see https://h?user=a@b', 'see https://h'],
    ['a\u0000b\u001b[31mred\u202e\u200b\r\nline', 'a b [31mred line'],
    ['The upstream is not ready yet', 'The upstream is not ready yet'],
  ])('%j becomes %j', (text, masked) => {
    expect(maskText(text, [])).toBe(masked);
  });

  it('hides the values that we sent, with and without their scheme', () => {
    expect(maskText('you sent x1y2 and Token x1y2', echoesOf('Token x1y2'))).toBe('you sent *** and ***');
    expect(maskText('nothing', ['', 'thi'])).toBe('nothing');
  });

  it('cuts to 500 characters, after masking', () => {
    const text = `${'a '.repeat(248)}Bearer ${'s'.repeat(100)}`;
    expect(maskText(text, [])).not.toContain('ss');
    expect(maskText('b '.repeat(1000), [])).toHaveLength(501);
  });

  it('takes little time on hostile text', () => {
    const ms = cpuMsOf(() => {
      for (const part of ['a', 'eyJ', 'token', 'token ', '_key', 'https://', '-.-', 'Bearer ', 'api_key=', '?#@'])
        maskText(part.repeat(20_000), ['aaaa']);
    });
    expect(ms).toBeLessThan(500);
  });
});
