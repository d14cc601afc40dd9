import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RequestHeaders } from './request-headers.ts';

type Headers = Record<string, string>;

const CONTENT = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };
const NAMES = ['authorization', 'x-a', 'accept', 'mcp-name', 'mcp-method', 'mcp-session-id', 'mcp-protocol-version', 'mcp-param-a'];

interface Case {
  readonly configured: Headers;
  readonly era: 'modern' | 'legacy' | undefined;
  readonly session: string | undefined;
  readonly method: string | undefined;
  readonly minted: Headers | undefined;
}

const named = (value: string) => fc.dictionary(fc.constantFrom(...NAMES), fc.constant(value), { maxKeys: 4, noNullPrototype: true });
const cases: fc.Arbitrary<Case> = fc.record({
  configured: named('configured'),
  era: fc.constantFrom('modern', 'legacy', undefined),
  session: fc.constantFrom('session', undefined),
  method: fc.constantFrom('tools/call', 'initialize', 'a\nb', undefined),
  minted: fc.option(named('minted'), { nil: undefined }),
});

function made({ configured, era, session }: Omit<Case, 'method' | 'minted'>): RequestHeaders {
  const headers = new RequestHeaders();
  headers.configure(configured);
  if (era !== undefined) headers.protocol = { era, version: '2025-11-25' };
  headers.sessionId = session;
  return headers;
}

/** What is to be sent, written down without regard to cost: who comes later wins. */
function expected({ configured, era, session, method, minted }: Case): Headers {
  const named = session === undefined ? {} : { 'mcp-session-id': session };
  if (era === 'legacy') return { ...configured, ...(method === 'initialize' ? {} : { 'mcp-protocol-version': '2025-11-25', ...named }), ...CONTENT };
  if (era === undefined) return { ...configured, ...minted, ...CONTENT, ...named };
  const encoded = method === 'a\nb' ? '=?base64?YQpi?=' : method;
  return {
    ...configured,
    ...minted,
    ...CONTENT,
    'mcp-protocol-version': '2026-07-28',
    ...(encoded === undefined ? {} : { 'mcp-method': encoded }),
  };
}

function pairs(list: readonly string[]): [string, string][] {
  return Array.from({ length: list.length / 2 }, (_, index) => [list[2 * index] as string, list[2 * index + 1] as string]);
}

describe('RequestHeaders', () => {
  it('says everything once, and what the protocol says wins', () => {
    fc.assert(
      fc.property(
        cases,
        fc.array(fc.record({ method: fc.constantFrom('tools/call', 'ping'), minted: named('before') }), { maxLength: 2 }),
        (one, before) => {
          const headers = made(one);
          // What was sent before leaves nothing behind.
          for (const { method, minted } of before) headers.ofMessage(method, minted);
          const sent = pairs(headers.ofMessage(one.method, one.minted));
          expect(sent.sort()).toEqual(Object.entries(expected(one)).sort());
        },
      ),
      { numRuns: 500 },
    );
  });

  it('forgets what it put together when the credential, the protocol or the session changes', () => {
    const headers = made({ configured: { authorization: 'old' }, era: undefined, session: undefined });
    const sent = () => Object.fromEntries(pairs(headers.ofMessage('tools/call', undefined)));
    expect(sent()).toEqual({ authorization: 'old', ...CONTENT });
    headers.configure({ authorization: 'new' });
    expect(sent()).toEqual({ authorization: 'new', ...CONTENT });
    headers.protocol = { era: 'legacy', version: '2025-06-18' };
    expect(sent()).toEqual({ authorization: 'new', 'mcp-protocol-version': '2025-06-18', ...CONTENT });
    headers.sessionId = 's';
    expect(sent()).toEqual({ authorization: 'new', 'mcp-protocol-version': '2025-06-18', 'mcp-session-id': 's', ...CONTENT });
    expect(headers.inSession).toBe(true);
    headers.sessionId = undefined;
    expect(sent()['mcp-session-id']).toBeUndefined();
    expect(headers.inSession).toBe(false);
  });

  it('names version and session for a stream and for the end', () => {
    const headers = made({ configured: { 'x-a': 'b' }, era: 'legacy', session: 's' });
    const own = { 'x-a': 'b', 'mcp-protocol-version': '2025-11-25', 'mcp-session-id': 's' };
    expect(Object.fromEntries(pairs(headers.ofStream('7')))).toEqual({ ...own, accept: 'text/event-stream', 'last-event-id': '7' });
    expect(Object.fromEntries(pairs(headers.ofStream(undefined)))).toEqual({ ...own, accept: 'text/event-stream' });
    expect(Object.fromEntries(pairs(headers.ofEnd()))).toEqual(own);
  });
});
