import { once } from 'node:events';
import { createServer, request as httpRequest, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CredentialCarrier, extractCredential, extractOnlyCredential, extractToken } from './credential.ts';
import { isAuthenticationFailure, MalformedCredentialError } from './errors.ts';

const P = 'glpat-PPPPPPPPPPPPPPPPPPPP';
const J = 'glcbt-64_JJJJJJJJJJJJJJJJJ';
const B = 'gloas-BBBBBBBBBBBBBBBBBBBB';
type Lines = readonly (readonly [name: string, value: string])[];

/** The same lines as each of the three things that they may come in. */
function carriers(lines: Lines): readonly CredentialCarrier[] {
  const headers = new Headers(lines.map(([name, value]) => [name, value]));
  return [headers, new Request('http://x.test', { headers }), { rawHeaders: lines.flat() }];
}

function outcome(extract: () => { readonly kind: string; readonly token: { reveal(): string } } | undefined): string {
  try {
    const found = extract();
    return found === undefined ? 'none' : `${found.kind} ${found.token.reveal()}`;
  } catch (error) {
    return error instanceof MalformedCredentialError ? 'malformed' : String(error);
  }
}

describe('the credential of a request', () => {
  it.each<[string, Lines, string]>([
    ['nothing', [], 'none'],
    ['other headers', [['Accept', '*/*']], 'none'],
    ['PRIVATE-TOKEN', [['PRIVATE-TOKEN', P]], `private-token ${P}`],
    ['any case and blanks', [['pRiVaTe-ToKeN', ` \t${P} `]], `private-token ${P}`],
    ['JOB-TOKEN', [['Job-Token', J]], `job-token ${J}`],
    ['Bearer', [['Authorization', `Bearer ${B}`]], `bearer ${B}`],
    ['bearer in any case, with blanks', [['authorization', `bEARER \t ${B}\t`]], `bearer ${B}`],
    [
      'all three (15)',
      [
        ['Authorization', `Bearer ${B}`],
        ['JOB-TOKEN', J],
        ['PRIVATE-TOKEN', P],
      ],
      `private-token ${P}`,
    ],
    [
      'job and bearer (15)',
      [
        ['Authorization', `Bearer ${B}`],
        ['JOB-TOKEN', J],
      ],
      `job-token ${J}`,
    ],
    [
      'an empty one and another',
      [
        ['PRIVATE-TOKEN', ' '],
        ['Authorization', `Bearer ${B}`],
      ],
      `bearer ${B}`,
    ],
    [
      'another scheme beside it',
      [
        ['PRIVATE-TOKEN', P],
        ['Authorization', 'Basic dTpw'],
      ],
      `private-token ${P}`,
    ],
    ['short (16)', [['Private-Token', 'short']], 'malformed'],
    ...['~', '/', '+', '=', ' ', '%', 'é'].map((other): [string, [string, string][], string] => [
      `one with ${JSON.stringify(other)}`,
      [['Private-Token', `glpat-0123456789${other}0123456789`]],
      'malformed',
    ]),
    ['19 characters', [['Private-Token', 'a'.repeat(19)]], 'malformed'],
    ['20 characters', [['Private-Token', 'a'.repeat(20)]], `private-token ${'a'.repeat(20)}`],
    ['8,192 characters', [['Private-Token', 'a'.repeat(8_192)]], `private-token ${'a'.repeat(8_192)}`],
    ['8,193 characters', [['Private-Token', 'a'.repeat(8_193)]], 'malformed'],
    ['a character too many', [['Private-Token', `${P}/`]], 'malformed'],
    ['two words', [['Private-Token', `${P} ${P}`]], 'malformed'],
    [
      'the first malformed, the next not',
      [
        ['PRIVATE-TOKEN', 'short'],
        ['Authorization', `Bearer ${B}`],
      ],
      'malformed',
    ],
    [
      'twice (16)',
      [
        ['PRIVATE-TOKEN', P],
        ['private-token', P],
      ],
      'malformed',
    ],
    [
      'Authorization twice',
      [
        ['Authorization', `Bearer ${B}`],
        ['Authorization', `Bearer ${B}`],
      ],
      'malformed',
    ],
    ['another scheme alone', [['Authorization', 'Basic dTpw']], 'malformed'],
    ['a scheme that only begins so', [['Authorization', `Bearerx ${B}`]], 'malformed'],
    ['no token behind the scheme', [['Authorization', 'Bearer']], 'malformed'],
  ])('%s', (_, lines, expected) => {
    for (const carrier of carriers(lines)) expect(outcome(() => extractCredential(carrier))).toBe(expected);
  });

  it('a second Authorization is not overlooked where node keeps the first', () => {
    const rawHeaders = ['Authorization', `Bearer ${B}`, 'PRIVATE-TOKEN', P, 'authorization', 'Basic dTpw'];
    expect(outcome(() => extractCredential({ rawHeaders }))).toBe('malformed');
  });

  it('counts as an authentication failure, and says nothing of what was sent', () => {
    const error = new MalformedCredentialError();
    expect(isAuthenticationFailure(error)).toBe(true);
    expect([error.code, error.message, error.details.data]).toEqual([
      'auth/invalid',
      'Malformed GitLab token',
      { detail: 'A token has at least 20 characters of A-Z a-z 0-9 - _ .' },
    ]);
  });

  it('is never anything but 20 to 8,192 characters of the alphabet', () => {
    const value = fc.oneof(fc.string(), fc.string({ unit: fc.constantFrom(...'aZ09-_. \t,;'), minLength: 15, maxLength: 30 }));
    fc.assert(
      fc.property(value, fc.constantFrom('private-token', 'job-token', 'authorization'), (text, name) => {
        const found = outcome(() => extractCredential({ rawHeaders: [name, name === 'authorization' ? `Bearer ${text}` : text] }));
        expect(found).toMatch(/^(?:none|malformed|(?:private-token|job-token|bearer) [-a-zA-Z0-9_.]{20,8192})$/);
      }),
      { numRuns: 300 },
    );
  });
});

describe('where two credentials conflict: in the gateway', () => {
  it.each<[string, Lines, string]>([
    ['none', [], 'none'],
    ['one', [['JOB-TOKEN', J]], `job-token ${J}`],
    [
      'two (15)',
      [
        ['PRIVATE-TOKEN', P],
        ['Authorization', `Bearer ${B}`],
      ],
      'TurnpikeError: Conflicting credentials',
    ],
    [
      'one token as job and bearer',
      [
        ['JOB-TOKEN', J],
        ['Authorization', `Bearer ${J}`],
      ],
      'TurnpikeError: Conflicting credentials',
    ],
    [
      'one token in both headers of a user',
      [
        ['PRIVATE-TOKEN', P],
        ['Authorization', `Bearer ${P}`],
      ],
      `private-token ${P}`,
    ],
    [
      'one that would not count is malformed',
      [
        ['PRIVATE-TOKEN', P],
        ['JOB-TOKEN', 'short'],
      ],
      'malformed',
    ],
    [
      'another scheme beside it',
      [
        ['PRIVATE-TOKEN', P],
        ['Authorization', 'Basic dTpw'],
      ],
      'malformed',
    ],
  ])('%s', (_, lines, expected) => {
    for (const carrier of carriers(lines)) expect(outcome(() => extractOnlyCredential(carrier))).toBe(expected);
  });
});

describe('extractToken', () => {
  it.each<[Lines, string]>([
    [[], ''],
    [
      [
        ['PRIVATE-TOKEN', P],
        ['Authorization', `Bearer ${B}`],
      ],
      P,
    ],
    [[['Authorization', `bearer ${B}`]], B],
    [
      [
        ['PRIVATE-TOKEN', 'short'],
        ['Authorization', `Bearer ${B}`],
      ],
      B,
    ],
    [
      [
        ['PRIVATE-TOKEN', 'short'],
        ['Authorization', `Basic ${B}`],
      ],
      '',
    ],
    [[['JOB-TOKEN', J]], ''],
    [
      [
        ['PRIVATE-TOKEN', P],
        ['PRIVATE-TOKEN', P],
      ],
      '',
    ],
  ])('%j', (lines, expected) => {
    for (const carrier of carriers(lines)) expect(extractToken(carrier)).toBe(expected);
  });
});

describe('on requests as they arrive', () => {
  const seen: string[] = [];
  const server = createServer((request: IncomingMessage, response) => {
    seen.push(outcome(() => extractCredential(request)));
    response.end();
  });
  beforeAll(async () => {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  });
  afterAll(() => void server.close());

  it.each<[Record<string, string | string[]>, string]>([
    [{ 'private-token': P }, `private-token ${P}`],
    [{ 'private-token': [P, P] }, 'malformed'],
    [{ authorization: `Bearer ${B}`, 'job-token': '' }, `bearer ${B}`],
  ])('%j', async (headers, expected) => {
    seen.length = 0;
    const asked = httpRequest({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', headers, agent: false }).end();
    const [response] = (await once(asked, 'response')) as [IncomingMessage];
    response.resume();
    await once(response, 'end');
    expect(seen).toEqual([expected]);
  });
});
