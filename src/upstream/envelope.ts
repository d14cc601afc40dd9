import { editObject, member, memberSpans, toJson } from '../core/json.ts';
import { type JsonObject, META, META_PREFIX, MODERN_VERSION, type RequestId } from '../core/mcp.ts';
import type { UpstreamCall } from '../core/ports.ts';

/** A JSON-RPC request of ours: only id, method and the `_meta` envelope are minted, `params` keeps its bytes. */
export function requestMessage(id: RequestId, method: string, params: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`{"jsonrpc":"2.0","id":${JSON.stringify(id)},"method":${JSON.stringify(method)},"params":`), params, CLOSE]);
}

export function notificationMessage(method: string, params: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`{"jsonrpc":"2.0","method":${JSON.stringify(method)},"params":`), params, CLOSE]);
}

export function responseMessage(id: RequestId, kind: 'result' | 'error', body: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`{"jsonrpc":"2.0","id":${JSON.stringify(id)},"${kind}":`), body, CLOSE]);
}

const CLOSE = Buffer.from('}');
const NO_META = Buffer.from('{}');

/**
 * `params` as they go to a modern upstream: the envelope of 2026-07-28 is ours, whatever reserved members the caller
 * sent are gone, vendor members stay (protocol.md section 2, "_meta").
 */
export function modernParams(call: UpstreamCall, clientInfo: JsonObject, token: number): Buffer {
  const edits: Record<string, Buffer | undefined> = {
    ...withoutReserved(call.params),
    [META.protocolVersion]: toJson(MODERN_VERSION),
    [META.clientInfo]: toJson(clientInfo),
    [META.clientCapabilities]: toJson(call.capabilities),
    [META.logLevel]: call.logLevel === undefined ? undefined : toJson(call.logLevel),
    [META.progressToken]: call.progress ? toJson(token) : undefined,
  };
  return editObject(call.params, { _meta: editObject(member(call.params, '_meta') ?? NO_META, edits) });
}

/** `params` as they go to a legacy upstream: no envelope, our progress token, vendor members stay. */
export function legacyParams(call: UpstreamCall, token: number): Buffer {
  const meta = member(call.params, '_meta');
  const edited = editObject(meta ?? NO_META, { ...withoutReserved(call.params), [META.progressToken]: call.progress ? toJson(token) : undefined });
  const isEmpty = memberSpans(edited).length === 0;
  if (isEmpty && meta === undefined) return call.params;
  return editObject(call.params, { _meta: isEmpty ? undefined : edited });
}

function withoutReserved(params: Buffer): Record<string, undefined> {
  const meta = member(params, '_meta');
  if (meta === undefined) return {};
  const reserved = memberSpans(meta).filter(({ key }) => key.startsWith(META_PREFIX) || key === META.progressToken);
  return Object.fromEntries(reserved.map(({ key }) => [key, undefined]));
}
