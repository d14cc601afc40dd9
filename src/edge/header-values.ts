import type { IncomingMessage } from 'node:http';

/**
 * The values of a header in the order of their lines, or undefined when it was not sent. As `headersDistinct`, which makes a list for
 * every header of the request: it is only asked when one was repeated.
 */
export function valuesOf(request: IncomingMessage, name: string): readonly string[] | undefined {
  const value = request.headers[name];
  if (value === undefined) return undefined;
  return isPlain(request) && typeof value === 'string' ? [value] : request.headersDistinct[name];
}

/** The value of a header that was sent once. Undefined when it was not, or more often. */
export function onlyValueOf(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[name];
  if (typeof value === 'string' && isPlain(request)) return value;
  const values = valuesOf(request, name);
  return values?.length === 1 ? values[0] : undefined;
}

/** Where the answer of `isPlain` stands: it is asked for many headers of a request, and headers do not change. */
const PLAIN = Symbol('no header was sent twice');

/** Whether no header was sent twice. */
export function isPlain(request: IncomingMessage & { [PLAIN]?: boolean }): boolean {
  const known = request[PLAIN];
  if (known !== undefined) return known;
  const { headers, rawHeaders } = request;
  let names = 0;
  for (const _ in headers) names++;
  const plain = 2 * names === rawHeaders?.length;
  request[PLAIN] = plain;
  return plain;
}
