import type { ServerResponse } from 'node:http';
import { type ChallengeOptions, challengeFor } from '../auth/challenge.ts';
import type { Era, RequestId } from '../core/mcp.ts';
import { toWire } from '../core/to-wire.ts';
import { encodeError } from './encode.ts';

/** One JSON body. */
export function sendJson(response: ServerResponse, status: number, body: Buffer, headers: Readonly<Record<string, string>> = {}): void {
  if (response.headersSent || response.destroyed) return;
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': body.length, ...headers }).end(body);
}

/** An error that is answered with its own HTTP status: refusals before the dispatcher, and the few of it that HTTP must see. */
export function sendError(response: ServerResponse, thrown: unknown, challenge: ChallengeOptions, id?: RequestId, era: Era = 'modern'): void {
  const { status, error, headers } = toWire(thrown, era);
  const authenticate = challengeFor(thrown, challenge);
  const close: Record<string, string> = status === 413 || status === 408 ? { connection: 'close' } : {};
  sendJson(response, status, encodeError(id, error), {
    ...headers,
    ...close,
    ...(authenticate === undefined ? {} : { 'www-authenticate': authenticate }),
  });
}
