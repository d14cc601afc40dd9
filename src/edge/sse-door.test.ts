import type { IncomingMessage } from 'node:http';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { Edge } from './edge.ts';
import { sessionOfMessage } from './sse-door.ts';

/** The id that a query names; undefined where it names none, or several. */
function idIn(url: string): string | undefined {
  let asked: string | undefined;
  const find = (id: string) => {
    asked = id;
    return { oldTransport: true };
  };
  try {
    sessionOfMessage({ sessions: { find } } as unknown as Edge, { url } as IncomingMessage);
  } catch {
    return undefined;
  }
  return asked;
}

it('the query of a message names its session as URLs do, however it is written', () => {
  const piece = fc.constantFrom('sessionId', 'sessionid', '=', '&', '?', '#', 'aB-_9', '%61', '+', ' ', '%0a', '/', 'x', '');
  const query = fc.array(piece, { maxLength: 8 }).map((pieces) => `/message?${pieces.join('')}`);
  fc.assert(
    fc.property(fc.oneof(query, fc.constantFrom('/message?sessionId=abc', '/message?sessionId=abc\n', '/message', '/message?sessionId=')), (url) => {
      const ids = new URL(url, 'http://localhost').searchParams.getAll('sessionId');
      expect(idIn(url)).toBe(ids.length === 1 ? ids[0] : undefined);
    }),
    { numRuns: 2000 },
  );
});
