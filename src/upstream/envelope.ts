import { editObject, member, memberSpans, toJson } from '../core/json.ts';
import { type JsonObject, META, META_PREFIX, MODERN_VERSION, NAMED_BY, type RequestId, TURNPIKE_PREFIX } from '../core/mcp.ts';
import { encodeHeaderValue } from '../core/mcp-headers.ts';
import type { UpstreamCall } from '../core/ports.ts';

/**
 * A JSON-RPC request of ours: only id, method and the `_meta` envelope are minted, `params` keeps its bytes.
 * @param apart in memory of its own: what may wait for long would hold the pool that others are cut from, 64 KiB at a time
 */
export function requestMessage(id: RequestId, method: string, params: Buffer, apart = false): Buffer {
  const parts = [Buffer.from(`{"jsonrpc":"2.0","id":${JSON.stringify(id)},"method":${JSON.stringify(method)},"params":`), params, CLOSE];
  if (!apart) return Buffer.concat(parts);
  const message = Buffer.allocUnsafeSlow(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) at += part.copy(message, at);
  return message;
}

export function notificationMessage(method: string, params: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`{"jsonrpc":"2.0","method":${JSON.stringify(method)},"params":`), params, CLOSE]);
}

export function responseMessage(id: RequestId, kind: 'result' | 'error', body: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`{"jsonrpc":"2.0","id":${JSON.stringify(id)},"${kind}":`), body, CLOSE]);
}

const CLOSE = Buffer.from('}');
const NO_META = Buffer.from('{}');
const OPEN_OBJECT = 0x7b;

/**
 * `params` as they go to a modern upstream: the envelope of 2026-07-28 is ours, whatever reserved members the caller
 * sent are gone, vendor members stay (protocol.md section 2, "_meta").
 */
export function modernParams(call: UpstreamCall, clientInfo: JsonObject, token: number): Buffer {
  const meta = metaOf(call.params) ?? NO_META;
  const edits: Record<string, Buffer | undefined> = {
    ...withoutReserved(meta),
    [META.protocolVersion]: toJson(MODERN_VERSION),
    [META.clientInfo]: toJson(clientInfo),
    [META.clientCapabilities]: toJson(call.capabilities),
    [META.logLevel]: call.logLevel === undefined ? undefined : toJson(call.logLevel),
    [META.progressToken]: call.progress ? toJson(token) : undefined,
  };
  return editObject(call.params, { _meta: editObject(meta, edits) });
}

/** `params` as they go to a legacy upstream: no envelope, our progress token, vendor members stay. */
export function legacyParams(call: UpstreamCall, token: number): Buffer {
  const meta = metaOf(call.params);
  const reserved = meta === undefined ? {} : withoutReserved(meta);
  if (Object.keys(reserved).length === 0 && !call.progress) return call.params;
  const edited = editObject(meta ?? NO_META, { ...reserved, [META.progressToken]: call.progress ? toJson(token) : undefined });
  return editObject(call.params, { _meta: memberSpans(edited).length === 0 ? undefined : edited });
}

/** The headers that repeat the body to a modern upstream: the call's own, `Mcp-Name` minted from what the body says. */
export function mirroredHeaders({ method, params, headers = {} }: UpstreamCall): Readonly<Record<string, string>> {
  const key = NAMED_BY[method];
  const bytes = key === undefined ? undefined : member(params, key);
  const name: unknown = bytes === undefined ? undefined : JSON.parse(bytes.toString('utf8'));
  return typeof name === 'string' ? { ...headers, 'mcp-name': encodeHeaderValue(name) } : headers;
}

/** A `_meta` that is no object says nothing. */
function metaOf(params: Buffer): Buffer | undefined {
  const meta = member(params, '_meta');
  return meta?.[0] === OPEN_OBJECT ? meta : undefined;
}

function withoutReserved(meta: Buffer): Record<string, undefined> {
  const reserved = memberSpans(meta).filter(
    ({ key }) => key.startsWith(META_PREFIX) || key.startsWith(TURNPIKE_PREFIX) || key === META.progressToken,
  );
  return Object.fromEntries(reserved.map(({ key }) => [key, undefined]));
}
