import type { JsonObject } from '../core/mcp.ts';
import { MODERN_VERSION } from '../core/mcp.ts';
import type { SampleServer } from './sample-transport.ts';

export type Handlers = { readonly [method: string]: (params: JsonObject, message: JsonObject) => JsonObject | undefined };

const TOOLS: JsonObject = { tools: [{ name: 'echo', inputSchema: { type: 'object' } }] };

/** An upstream of one era; `handlers` answer first, with `result` or `error`, or keep silent with undefined. */
export function sampleServer(era: 'modern' | 'legacy', handlers: Handlers = {}): SampleServer {
  const own: Handlers = era === 'modern' ? MODERN : LEGACY;
  return (message, stream) => {
    const { id, method, params } = message;
    if (id === undefined || typeof method !== 'string') return;
    const handler = handlers[method] ?? own[method] ?? COMMON[method];
    const body = handler === undefined ? { error: { code: -32601, message: 'Method not found' } } : handler((params ?? {}) as JsonObject, message);
    if (body !== undefined) stream.say({ jsonrpc: '2.0', id, ...body });
  };
}

const COMMON: Handlers = {
  'tools/list': () => ({ result: TOOLS }),
  'tools/call': (params) => ({ result: { content: [], structuredContent: params } }),
};
const MODERN: Handlers = {
  'server/discover': () => ({ result: { supportedVersions: [MODERN_VERSION], capabilities: { tools: {} } } }),
};
const LEGACY: Handlers = {
  initialize: ({ protocolVersion }) => ({ result: { protocolVersion, capabilities: { tools: {} }, serverInfo: { name: 'sample', version: '1' } } }),
  ping: () => ({ result: {} }),
};
