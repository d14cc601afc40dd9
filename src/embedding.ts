import type { IncomingMessage, ServerResponse } from 'node:http';
import { TurnpikeError } from './core/errors.ts';
import { sendError } from './edge/answer.ts';
import { serveHttp } from './edge/app.ts';
import type { Edge } from './edge/edge.ts';
import type { Ops } from './edge/ops.ts';
import { isLoopback } from './limit/address.ts';

export interface HandleOptions {
  /** The path as the gateway knows it, where it is another one in your server: `/mcp`. The query stays. */
  readonly path?: string;
}

/** Serves one request of a foreign server; never rejects. */
export async function serveForeign(
  { edge, ops }: { readonly edge: Edge; readonly ops: Ops },
  request: IncomingMessage,
  response: ServerResponse,
  { path }: HandleOptions = {},
): Promise<void> {
  const refusal = refusalOf(edge, request);
  if (refusal !== undefined) {
    if (refusal.code === 'internal') edge.report(refusal);
    response.on('error', () => {});
    sendError(response, refusal, edge.challenge);
    return;
  }
  if (path !== undefined) request.url = path + queryOf(request);
  await serveHttp(edge, ops, request, response);
}

/** What our own listener makes impossible, a foreign one may do. */
function refusalOf({ authentication }: Edge, request: IncomingMessage): TurnpikeError | undefined {
  const { remoteAddress } = request.socket;
  // The rule of identity.md section 1 for listeners, where we do not choose the address. A pipe has none, and is of this machine.
  if (authentication.modes.includes('none') && remoteAddress !== undefined && !isLoopback(remoteAddress))
    return new TurnpikeError('auth/missing', 'Without authentication only this machine is served. Set auth.modes.');
  const reason = 'the body was read before Gateway.handle: hand requests over in front of body parsers';
  return request.readableDidRead ? new TurnpikeError('internal', undefined, { reason }) : undefined;
}

function queryOf({ url = '' }: IncomingMessage): string {
  const start = url.indexOf('?');
  return start === -1 ? '' : url.slice(start);
}
