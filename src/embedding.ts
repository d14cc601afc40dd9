import type { IncomingMessage, ServerResponse } from 'node:http';
import { TurnpikeError } from './core/errors.ts';
import { sendError } from './edge/answer.ts';
import { serveHttp } from './edge/app.ts';
import type { Edge } from './edge/edge.ts';
import type { Ops } from './edge/ops.ts';

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
  if (request.readableDidRead) {
    const reason = 'the body was read before Gateway.handle: hand requests over in front of body parsers';
    const error = new TurnpikeError('internal', undefined, { reason });
    edge.report(error);
    response.on('error', () => {});
    sendError(response, error, edge.challenge);
    return;
  }
  if (path !== undefined) request.url = path + queryOf(request);
  await serveHttp(edge, ops, request, response);
}

function queryOf({ url = '' }: IncomingMessage): string {
  const start = url.indexOf('?');
  return start === -1 ? '' : url.slice(start);
}
