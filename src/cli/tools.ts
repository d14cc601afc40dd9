import { elements, member, toJson } from '../core/json.ts';
import { isJsonObject, type JsonObject, TURNPIKE_META } from '../core/mcp.ts';
import type { GatewayClient, Reply } from './client.ts';

/** A tool as the gateway lists it. */
export interface ListedTool {
  readonly name: string;
  readonly bytes: Buffer;
  readonly parsed: JsonObject;
}

export interface ToolList {
  readonly tools: readonly ListedTool[];
  /** Upstreams whose tools are missing, and why. */
  readonly missing: readonly { readonly upstream: string; readonly reason: string }[];
}

/** Pages that are read before a list is taken for endless. */
const MAX_PAGES = 1000;

/** Every page of `tools/list`, or the error that was answered. */
export async function listTools(client: GatewayClient, signal: AbortSignal): Promise<ToolList | Extract<Reply, { kind: 'error' }>> {
  const tools: ListedTool[] = [];
  const missing = new Map<string, { upstream: string; reason: string }>();
  let cursor: unknown;
  for (let page = 0; page < MAX_PAGES; page++) {
    const reply = await client.request({ method: 'tools/list', params: toJson(cursor === undefined ? {} : { cursor }), signal });
    if (reply.kind === 'error') return reply;
    for (const bytes of elements(member(reply.bytes, 'tools') ?? Buffer.from('[]'))) {
      const parsed: unknown = JSON.parse(bytes.toString('utf8'));
      if (isJsonObject(parsed) && typeof parsed.name === 'string') tools.push({ name: parsed.name, bytes, parsed });
    }
    for (const part of unavailable(reply.result)) missing.set(part.upstream, part);
    cursor = reply.result.nextCursor;
    if (cursor === undefined || cursor === null) return { tools, missing: [...missing.values()] };
  }
  throw new Error(`the list of tools has more than ${MAX_PAGES} pages`);
}

function unavailable(result: JsonObject): { upstream: string; reason: string }[] {
  const list = isJsonObject(result._meta) ? result._meta[TURNPIKE_META.unavailable] : undefined;
  if (!Array.isArray(list)) return [];
  return list.filter(isJsonObject).map(({ upstream, reason }) => ({ upstream: String(upstream), reason: String(reason) }));
}
