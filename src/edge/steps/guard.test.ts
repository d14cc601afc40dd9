import type { IncomingMessage } from 'node:http';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { asTurnpikeError } from '../../core/errors.ts';
import { Guard } from './guard.ts';

const LISTEN = {
  allowedHosts: ['localhost', '127.0.0.1', '[::1]', 'mcp.example.com', 'named.example.com:9443'],
  allowedOrigins: ['https://app.example.com'],
  publicUrl: 'https://mcp.example.com:8443',
  maxBodyBytes: 100,
};

/** What the steps read of a request. Headers with several values were sent several times. */
function request(headers: Record<string, string | string[]>, url = '/mcp', port = 8080): IncomingMessage {
  const distinct = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, [value].flat()]));
  const joined = Object.fromEntries(Object.entries(distinct).map(([name, values]) => [name, values.join(', ')]));
  return { url, headers: joined, headersDistinct: distinct, socket: { localPort: port } } as unknown as IncomingMessage;
}

function code(work: () => void): string {
  try {
    work();
    return 'passed';
  } catch (error) {
    return asTurnpikeError(error).code;
  }
}

/** What is kept of a verdict must not change it. */
function twice(check: (guard: Guard) => void): string {
  const guard = new Guard(LISTEN);
  const first = code(() => check(guard));
  expect(code(() => check(guard))).toBe(first);
  return first;
}

const names = (headers: Record<string, string | string[]>, url?: string) => twice((guard) => guard.names(request(headers, url)));

describe('the Host', () => {
  it.each([
    'localhost',
    'localhost:8080',
    'LOCALHOST:8080',
    '127.0.0.1:8080',
    '[::1]:8080',
    'mcp.example.com',
    'mcp.example.com:8443',
    'mcp.example.com:8080',
    'named.example.com:9443',
  ])('%s passes', (host) => {
    expect(names({ host })).toBe('passed');
  });

  it.each([
    '',
    'evil.example',
    'localhost:1',
    'localhost:',
    'localhost:99999',
    'localhost:808o',
    'mcp.example.com:443',
    'named.example.com',
    'named.example.com:8080',
    '127.0.0.1.evil.example',
    '::1',
    'a@localhost',
    'localhost:8080:8080',
    'localhost.',
  ])('%j does not', (host) => {
    expect(names({ host })).toBe('guard/host');
  });

  it('must be there, once', () => {
    expect(names({})).toBe('guard/host');
    expect(names({ host: ['localhost', 'localhost'] })).toBe('guard/host');
  });

  it('must not be said again by the target', () => {
    for (const url of ['http://localhost/mcp', 'localhost:8080', '*', '']) expect(names({ host: 'localhost' }, url)).toBe('guard/host');
  });

  it('of any other name never passes', () => {
    fc.assert(
      fc.property(fc.domain(), fc.option(fc.nat(65_535)), (domain, port) => {
        fc.pre(!LISTEN.allowedHosts.some((allowed) => allowed.startsWith(domain)));
        expect(names({ host: port === null ? domain : `${domain}:${port}` })).toBe('guard/host');
      }),
    );
  });
});

describe('the Origin', () => {
  const host = 'localhost:8080';

  it.each(['https://app.example.com', 'http://localhost:8080', 'https://localhost:8080'])('%s passes', (origin) => {
    expect(names({ host, origin })).toBe('passed');
  });

  it.each([
    'null',
    '',
    'https://evil.example',
    'http://localhost',
    'http://localhost:3000',
    'https://app.example.com:443',
    'https://APP.example.com',
    'app.example.com',
    'https://app.example.com/',
  ])('%j does not', (origin) => {
    expect(names({ host, origin })).toBe('guard/origin');
  });

  it('must not stand twice', () => {
    expect(names({ host, origin: ['https://app.example.com', 'https://app.example.com'] })).toBe('guard/origin');
  });
});

describe('the shape of a POST', () => {
  const shape = (headers: Record<string, string | string[]>) =>
    twice((guard) => guard.shape(request({ 'content-type': 'application/json', ...headers })));

  it.each<[string, Record<string, string | string[]>, string]>([
    ['JSON', {}, 'passed'],
    ['JSON in UTF-8', { 'content-type': 'Application/JSON; charset="UTF-8"' }, 'passed'],
    ['JSON in another encoding', { 'content-type': 'application/json; charset=utf-16' }, 'guard/type'],
    ['a form, which needs no preflight', { 'content-type': 'text/plain' }, 'guard/type'],
    ['two types', { 'content-type': ['application/json', 'text/plain'] }, 'guard/type'],
    ['a type that begins alike', { 'content-type': 'application/json-patch+json' }, 'guard/type'],
    ['no type', { 'content-type': '' }, 'guard/type'],
    ['a compressed body', { 'content-encoding': 'gzip' }, 'guard/type'],
    ['a body as large as it may be', { 'content-length': '100' }, 'passed'],
    ['one byte more', { 'content-length': '101' }, 'guard/size'],
    ['a client that reads neither', { accept: 'text/html' }, 'guard/accept'],
    ['a client that refuses both', { accept: 'application/json;q=0, text/event-stream;q=0.000' }, 'guard/accept'],
  ])('%s: %s', (_what, headers, expected) => {
    expect(shape(headers)).toBe(expected);
  });
});

it.each<[string | undefined, boolean, boolean]>([
  [undefined, true, true],
  ['', true, true],
  ['*/*', true, true],
  ['application/json', true, false],
  ['text/event-stream', false, true],
  ['APPLICATION/JSON , text/event-stream;q=0.5', true, true],
  ['application/*', true, false],
  ['text/*;q=0.1', false, true],
  ['text/html', false, false],
  ['application/json;q=0,text/event-stream', false, true],
])('Accept %j: JSON %s, events %s', (accept, json, events) => {
  const guard = new Guard(LISTEN);
  for (let time = 0; time < 2; time++) expect(guard.accepted(request(accept === undefined ? {} : { accept }))).toEqual({ json, events });
});

it.each([
  [undefined, true, false],
  ['*/*', true, false],
  ['application/json, */*;q=0.1', true, false],
  ['application/json, text/event-stream', true, true],
  ['text/event-stream;q=0, application/json', false, false],
])('Accept %j: an answer may stream: %s; where anything means JSON: %s', (accept, usual, wildcardIsJson) => {
  const asked = request(accept === undefined ? {} : { accept });
  expect([new Guard(LISTEN).mayStream(asked), new Guard(LISTEN, { wildcardIsJson: true }).mayStream(asked)]).toEqual([usual, wildcardIsJson]);
});

describe('a verdict that is kept', () => {
  it('is of a name and a port: what passed at one listener is looked at again at another', () => {
    const guard = new Guard(LISTEN);
    expect(code(() => guard.names(request({ host: 'localhost:8080' }, '/mcp', 8080)))).toBe('passed');
    expect(code(() => guard.names(request({ host: 'localhost:8080' }, '/mcp', 9090)))).toBe('guard/host');
  });

  it('of one value is not that of two', () => {
    const guard = new Guard(LISTEN);
    expect(code(() => guard.names(request({ host: 'localhost' })))).toBe('passed');
    expect(code(() => guard.names(request({ host: ['localhost', 'localhost'] })))).toBe('guard/host');
    expect(code(() => guard.shape(request({ 'content-type': 'application/json' })))).toBe('passed');
    expect(code(() => guard.shape(request({ 'content-type': ['application/json', 'application/json'] })))).toBe('guard/type');
  });
});
