import { toJson } from '../core/json.ts';
import { RPC } from '../core/mcp.ts';
import type { Connection, Relay, UpstreamCall } from '../core/ports.ts';
import type { Root } from './settings.ts';

/** Sees nothing and refuses everything: for our own requests (lists, probes). */
export const NO_RELAY: Relay = {
  notification: () => {},
  request: async () => ({ kind: 'error', error: toJson({ code: RPC.invalidRequest, message: 'no call is in flight' }), code: RPC.invalidRequest }),
};

/** A request of our own: nobody hears its notifications. */
export function ownCall(method: string, params: Buffer, signal: AbortSignal): UpstreamCall {
  return { method, params, capabilities: {}, progress: false, relay: NO_RELAY, signal };
}

/** Nobody can be asked: roots are those of the configuration, everything else is refused (protocol.md section 10, "Attribution"). */
export function answerOutsideCall(roots: readonly Root[]): NonNullable<Connection['onRequest']> {
  return async (method) => {
    if (method === 'roots/list') return { kind: 'result', result: toJson({ roots }) };
    const code = RPC.invalidRequest;
    return { kind: 'error', error: toJson({ code, message: `${method} belongs to no call in flight` }), code };
  };
}
