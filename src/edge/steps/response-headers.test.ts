import type { IncomingMessage, ServerResponse } from 'node:http';
import { expect, it } from 'vitest';
import { STREAM_HEADERS } from '../sse-writer.ts';
import { ResponseHeaders } from './response-headers.ts';

const ORIGIN = 'https://app.example.com';

function streamFrom(origin: string | undefined) {
  const headers = new ResponseHeaders({ hsts: true, allowedOrigins: [ORIGIN], writeTimeout: 500 });
  const set = new Map<string, string>();
  const response = { setHeader: (name: string, value: string) => void set.set(name, value), once: () => {} } as unknown as ServerResponse;
  const head = headers.ofEvents({ headers: origin === undefined ? {} : { origin } } as IncomingMessage, response);
  return { head, set: Object.fromEntries(set) };
}

it('a stream carries what every answer carries, each header once, whether it is set or given along', () => {
  const { set } = streamFrom('https://elsewhere.example.com');
  const { head, set: none } = streamFrom(undefined);
  const pairs = (flat: readonly string[]) => flat.flatMap((name, index) => (index % 2 === 0 ? [[name, flat[index + 1] as string] as const] : []));
  const given = pairs(head?.headers ?? []);
  expect(none).toEqual({});
  expect(new Set(given.map(([name]) => name)).size).toBe(given.length);
  expect(Object.fromEntries(given)).toEqual({ ...set, ...Object.fromEntries(pairs(STREAM_HEADERS)) });
  expect(Object.keys(set)).toContain('strict-transport-security');
  expect(head?.writeTimeout).toBe(500);
});

it('to a page of another origin it says who may read it', () => {
  const { head, set } = streamFrom(ORIGIN);
  expect(head).toBeUndefined();
  expect(set).toMatchObject({ 'access-control-allow-origin': ORIGIN, vary: 'Origin', 'x-content-type-options': 'nosniff' });
});
