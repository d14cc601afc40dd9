import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TurnpikeError } from '../core/errors.ts';
import { cpuMsOf } from '../core/sample-cpu-time.ts';
import { Secret } from '../core/secret.ts';
import { isSecretName, maskValues, redactFields, redactText, redactValue } from './redact.ts';

describe('a text', () => {
  it.each([
    ['Authorization: Bearer abc.def', 'Authorization: ***'],
    ['cookie: a=b; c=d', 'cookie: ***'],
    ['sent Bearer SENTINEL here', 'sent Bearer *** here'],
    ['sent basic dXNlcjpwdw== here', 'sent basic *** here'],
    ['glpat-SENTINEL_1 was refused', '*** was refused'],
    ['key=ghp_SENTINEL12345', 'key=***'],
    ['use sk-ant-SENTINEL0123456789 now', 'use *** now'],
    ['xoxb-SENTINEL-123 AKIASENTINEL12345678', '*** ***'],
    ['jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.SENTINEL!', 'jwt ***!'],
    ['{"token":"SENTINEL one","ok":true}', '{"token":"***","ok":true}'],
    ['{\\"password\\": \\"SENTINEL\\"}', '{\\"password\\": \\"***\\"}'],
    ["{'client_secret': 'SENTINEL'}", "{'client_secret': '***'}"],
    ['api_key=SENTINEL&x=1', 'api_key=***&x=1'],
    ['X-Api-Key: SENTINEL', 'X-Api-Key: ***'],
    ['GET https://user:SENTINEL@host:8080/a/b?token=SENTINEL#SENTINEL failed', 'GET https://host:8080/a/b failed'],
    ['redis://:SENT/INEL@host/0', 'redis://host/0'],
    ['http://user:SENTINEL', 'http://***'],
    ['https://[::1]:8080/x?SENTINEL', 'https://[::1]:8080/x'],
    ['https://registry.example/@scope/pkg', 'https://registry.example/@scope/pkg'],
    ['-----BEGIN RSA PRIVATE KEY-----\nSENTINEL\n-----END RSA PRIVATE KEY-----', '***'],
    ['resource not found: turnpike://nobody/https%3A%2F%2Fuser%3ASENTINEL%40host%2Fx', 'resource not found: turnpike://nobody/https://host/x'],
    ['turnpike://b/https://user:SENTINEL@host/x?token=SENTINEL', 'turnpike://b/https://host/x'],
    ['turnpike://b/https%3A%2F%2Fuser%3ASENTINEL%40host%2F%zz', 'turnpike://b/https://host/%zz'],
    ['turnpike://b/turnpike%3A%2F%2Fc%2Fhttps%253A%252F%252Fu%253ASENTINEL%2540h', 'turnpike://b/turnpike://c/https://h'],
    ['turnpike://b/memo%3A%2F%2Fx', 'turnpike://b/memo://x'],
  ])('%j becomes %j', (text, expected) => {
    expect(redactText(text)).toBe(expected);
  });

  it.each(['a task-list with risk-free sk-learn', 'connect ECONNREFUSED 127.0.0.1:8080', 'tool files_read took 3.5 s', '2026-07-28T12:00:00.000Z'])(
    '%j stays',
    (text) => {
      expect(redactText(text)).toBe(text);
    },
  );

  it('cannot end a line, hide or reorder one', () => {
    expect(redactText('a\r\nlevel=error\tb\u001b[2K\u0000\u2028\u202e\u0085')).toBe('a\\r\\nlevel=error\\tb\\u001b[2K\\u0000\\u2028\\u202e\\u0085');
  });

  it('that is one word is judged as it is in a sentence', () => {
    const part = fc.oneof(
      fc.constantFrom('glpat-', 'sk-', 'ghp_', 'eyJ', 'AKIA', '.', '-', '_', 'token', 'bearer', 'ya29.', 'hf_'),
      fc.stringMatching(/^[A-Za-z0-9_.-]{0,12}$/),
      fc.stringMatching(/^[0-9a-fA-F-]{0,24}$/),
    );
    const words = fc.array(part, { maxLength: 6 }).map((parts) => parts.join(''));
    fc.assert(
      fc.property(words, (word) => {
        expect(`${redactText(word)}!`).toBe(redactText(`${word}!`));
      }),
      { numRuns: 1000 },
    );
  });

  it('is cut to 500 characters', () => {
    expect(redactText('x '.repeat(1000))).toHaveLength(500);
    expect(redactText('x '.repeat(1000)).endsWith('…')).toBe(true);
    expect(redactText('x '.repeat(250))).toHaveLength(500);
    expect(redactText('abc', 2)).toBe('a…');
  });

  it('of any kind comes out bounded, on one line, and without what follows a known mark', () => {
    const word = fc.constantFrom(
      'Bearer ',
      'token=',
      '"password":"',
      'https://u:',
      '@',
      '?',
      '\n',
      '\\',
      '"',
      'cookie: ',
      ' ',
      'eyJ',
      '.',
      '-----BEGIN PRIVATE KEY-----',
      'x',
    );
    fc.assert(
      fc.property(fc.array(fc.oneof(word, fc.string({ unit: 'binary', maxLength: 8 })), { maxLength: 60 }), (parts) => {
        const text = redactText(parts.join(''), 100);
        expect(text.length).toBeLessThanOrEqual(100);
        // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what must be gone.
        expect(text).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/);
      }),
    );
    const value = fc.stringMatching(/^[A-Za-z0-9]{12,30}$/);
    const frame = fc.constantFrom('Bearer ', 'token=', 'password: ', '"secret":"', 'Cookie: a=', 'glpat-', 'https://h/?q=');
    const noise = fc.stringMatching(/^[a-z ,;()]{0,20}$/);
    fc.assert(
      fc.property(noise, frame, value, noise, (before, mark, secret, after) => {
        expect(redactText(`${before} ${mark}${secret} ${after}`)).not.toContain(secret);
      }),
    );
  });

  it('is looked at in linear time, however hostile', () => {
    const hostile = [
      'token',
      'token"',
      'token="',
      'eyJ',
      'eyJ.',
      'a://',
      'a:',
      'Bearer ',
      'cookie:',
      '-----BEGIN ',
      '\\"',
      'sk-',
      'a',
      '@',
      'password \\',
    ];
    for (const piece of hostile) {
      const text = piece.repeat(40_000 / piece.length);
      expect(
        cpuMsOf(() => redactText(text, 20_000)),
        piece,
      ).toBeLessThan(150);
    }
  });
});

describe('fields', () => {
  it.each([
    'Authorization',
    'proxy-authorization',
    'set-cookie',
    'accessToken',
    'refresh_token',
    'PRIVATE-TOKEN',
    'dbPassword',
    'client_secret',
    'x-api-key',
    'apiKey',
    'Mcp-Session-Id',
  ])('%s is a secret by name', (name) => {
    expect(isSecretName(name)).toBe(true);
  });

  it.each(['tool', 'tokenEndpoint', 'credentialMode', 'session', 'author', 'key'])('%s is none', (name) => {
    expect(isSecretName(name)).toBe(false);
  });

  it('are masked at any depth, by type, name and look', () => {
    const fields = {
      token: 'SENTINEL',
      password: 12345,
      secret: { inner: 'SENTINEL' },
      typed: new Secret('SENTINEL'),
      list: [{ headers: { Authorization: ['Bearer SENTINEL'] } }, 'Bearer SENTINEL', new Secret('SENTINEL')],
      map: new Map<string, unknown>([['cookie', 'SENTINEL']]),
      url: '/mcp?SENTINEL',
      link: new URL('https://u:SENTINEL@host/x?SENTINEL'),
      body: Buffer.from('SENTINEL'),
      hasToken: true,
      '?token=SENTINEL': 1,
    };
    const text = JSON.stringify(redactFields(fields));
    expect(text).not.toContain('SENTINEL');
    expect(JSON.parse(text)).toMatchObject({
      token: '***',
      password: '***',
      secret: '***',
      typed: '***',
      url: '/mcp',
      link: 'https://host/x',
      body: '[8 bytes]',
      hasToken: true,
    });
  });

  it('of errors keep what operators need, causes included, and no secret', () => {
    const cause = Object.assign(new Error('connect https://u:SENTINEL@host'), { code: 'ECONNREFUSED', config: { token: 'SENTINEL' } });
    const error = new TurnpikeError('upstream/down', undefined, { cause, reason: 'Bearer SENTINEL', upstream: 'files' });
    const text = JSON.stringify(redactValue(error));
    expect(text).not.toContain('SENTINEL');
    expect(JSON.parse(text)).toMatchObject({ name: 'TurnpikeError', code: 'upstream/down', upstream: 'files', cause: { code: 'ECONNREFUSED' } });
  });

  it('never make the log throw or grow without bound', () => {
    const loop: Record<string, unknown> = {};
    loop.self = loop;
    expect(redactValue(loop)).toMatchObject({ self: '[circular]' });
    const hostile = {
      get boom(): never {
        throw new Error('no');
      },
    };
    expect(redactValue({ hostile })).toMatchObject({ hostile: '[unreadable]' });
    const deep = JSON.parse(`${'['.repeat(1000)}${']'.repeat(1000)}`);
    expect(JSON.stringify(redactValue(deep)).length).toBeLessThan(100);
    expect(JSON.stringify(redactValue(Array.from({ length: 100_000 }, () => 'x'))).length).toBeLessThan(1000);
    fc.assert(
      fc.property(
        fc.anything({ withBigInt: true, withDate: true, withMap: true, withSet: true, withTypedArray: true, withNullPrototype: true }),
        (value) => {
          JSON.stringify(redactValue(value));
        },
      ),
      { numRuns: 100 },
    );
  });

  it('named __proto__ change no prototype', () => {
    const redacted = redactFields(JSON.parse('{"__proto__":{"polluted":1}}'));
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
    expect(Object.keys(redacted)).toEqual(['__proto__']);
  });
});

describe('values of ours', () => {
  const secrets = [new Secret('plain-value'), new Secret('Basic dXNlcjpwdw=='), new Secret('first line\nsecond line'), new Secret('word')];

  it.each([
    ['rejected plain-value!', 'rejected ***!'],
    ['got Basic dXNlcjpwdw== and dXNlcjpwdw==', 'got *** and ***'],
    ['… second line …', '… *** …'],
    ['a word is no secret', 'a word is no secret'],
  ])('%j are masked', (text, expected) => {
    expect(maskValues(text, secrets)).toBe(expected);
  });

  it('are looked for in a bounded part of the text', () => {
    expect(maskValues('x'.repeat(1_000_000), secrets)).toHaveLength(8_192);
  });
});
