import { type Edits, editObject, type MemberSpan, member, memberSpans, toJson } from '../core/json.ts';
import { splicedInto } from '../core/json-splice.ts';
import {
  type Era,
  type JsonObject,
  type LogLevel,
  META,
  META_PREFIX,
  MODERN_VERSION,
  NAMED_BY,
  type RequestId,
  TURNPIKE_PREFIX,
} from '../core/mcp.ts';
import { encodeHeaderValue } from '../core/mcp-headers.ts';
import type { UpstreamCall } from '../core/ports.ts';

export function notificationMessage(method: string, params: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`{"jsonrpc":"2.0","method":${JSON.stringify(method)},"params":`), params, CLOSE]);
}

export function responseMessage(id: RequestId, kind: 'result' | 'error', body: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`{"jsonrpc":"2.0","id":${JSON.stringify(id)},"${kind}":`), body, CLOSE]);
}

const CLOSE = Buffer.from('}');
const NO_META = Buffer.from('{}');
const NO_EDITS: Edits = {};
const OPEN_OBJECT = 0x7b;

/** Envelopes that are kept, and how long what they are made from may be: a client sends the same with every call. */
const MAX_KEPT = 64;
const MAX_LENGTH = 2048;

/** An envelope without a token, and what it was made for besides the caller's own. */
interface Kept {
  readonly capabilities: JsonObject;
  readonly logLevel: LogLevel | undefined;
  readonly meta: Buffer;
  /** The same without its last brace, a character for each byte. */
  readonly open: string;
}

/** Our requests to one upstream: only id, method and `_meta` are minted, everything else keeps its bytes (protocol.md section 2). */
export class RequestWriter {
  readonly #clientInfo: JsonObject;
  readonly #kept = new Map<string, Kept>();
  /** The same by what the caller's `_meta` says, for those who say the same again and again. */
  readonly #byMeta = new WeakMap<JsonObject, Kept>();

  constructor(clientInfo: JsonObject) {
    this.#clientInfo = clientInfo;
  }

  /**
   * A JSON-RPC request; its id is its progress token, too.
   * @param apart in memory of its own: what may wait for long would hold the pool that others are cut from, 64 KiB at a time
   */
  write(era: Era, id: number, call: UpstreamCall, apart = false): Buffer {
    const { method, params, spans = memberSpans(params), edits = NO_EDITS } = call;
    const own = metaOf(params, spans);
    const meta = era === 'modern' ? this.#modern(call, own, id) : legacyMeta(call, own, id);
    const all = meta === own ? edits : { ...edits, _meta: meta };
    return splicedInto(`{"jsonrpc":"2.0","id":${id},"method":${JSON.stringify(method)},"params":`, params, spans, all, '}', apart);
  }

  /** The envelope of 2026-07-28 is ours, whatever reserved members the caller sent are gone, vendor members stay. */
  #modern(call: UpstreamCall, own: Buffer | undefined, id: number): Buffer {
    const kept = this.#keptFor(call, own);
    if (!call.progress) return kept.meta;
    return Buffer.from(`${kept.open},"${META.progressToken}":${id}}`, 'latin1');
  }

  #keptFor(call: UpstreamCall, own: Buffer | undefined): Kept {
    const known = call.meta && this.#byMeta.get(call.meta);
    if (known !== undefined && isFor(known, call)) return known;
    const key = own === undefined ? '' : own.toString('latin1');
    let kept = this.#kept.get(key);
    if (kept === undefined || !isFor(kept, call)) {
      const { capabilities, logLevel } = call;
      const meta = modernMeta(call, own ?? NO_META, this.#clientInfo);
      kept = { capabilities, logLevel, meta, open: meta.toString('latin1', 0, meta.length - 1) };
      if (this.#kept.size >= MAX_KEPT) this.#kept.clear();
      if (key.length <= MAX_LENGTH) this.#kept.set(key, kept);
    }
    if (call.meta !== undefined) this.#byMeta.set(call.meta, kept);
    return kept;
  }
}

function isFor({ capabilities, logLevel }: Kept, call: UpstreamCall): boolean {
  return capabilities === call.capabilities && logLevel === call.logLevel;
}

/** Never empty: it ends with a member and a brace. */
function modernMeta({ capabilities, logLevel }: UpstreamCall, own: Buffer, clientInfo: JsonObject): Buffer {
  const meta = editObject(own, {
    ...withoutReserved(own),
    [META.protocolVersion]: undefined,
    [META.clientInfo]: toJson(clientInfo),
    [META.clientCapabilities]: toJson(capabilities),
    [META.logLevel]: logLevel === undefined ? undefined : toJson(logLevel),
  });
  // Last, so that nothing follows it and the text ends where a further member can be added.
  const open = meta.toString('utf8').trimEnd().slice(0, -1).trimEnd();
  return Buffer.from(`${open},${JSON.stringify(META.protocolVersion)}:${JSON.stringify(MODERN_VERSION)}}`);
}

/** No envelope, our progress token, vendor members stay; `own` itself where nothing is to be changed. */
function legacyMeta({ progress }: UpstreamCall, own: Buffer | undefined, id: number): Buffer | undefined {
  // What nearly all calls send.
  if (own === undefined) return progress ? Buffer.from(`{"${META.progressToken}":${id}}`, 'latin1') : undefined;
  const reserved = withoutReserved(own);
  if (!progress && Object.keys(reserved).length === 0) return own;
  const edited = editObject(own, { ...reserved, [META.progressToken]: progress ? toJson(id) : undefined });
  return memberSpans(edited).length === 0 ? undefined : edited;
}

/** The headers that repeat the body to a modern upstream: the call's own, `Mcp-Name` minted from what the body says. */
export function mirroredHeaders({ method, params, spans, edits, headers }: UpstreamCall): Readonly<Record<string, string>> | undefined {
  const key = NAMED_BY[method];
  const bytes = key === undefined ? undefined : (edits?.[key] ?? member(params, key, spans));
  const name: unknown = bytes === undefined ? undefined : JSON.parse(bytes.toString('utf8'));
  return typeof name === 'string' ? { ...headers, 'mcp-name': encodeHeaderValue(name) } : headers;
}

/** A `_meta` that is no object says nothing. */
function metaOf(params: Buffer, spans: readonly MemberSpan[]): Buffer | undefined {
  const meta = member(params, '_meta', spans);
  return meta?.[0] === OPEN_OBJECT ? meta : undefined;
}

function withoutReserved(meta: Buffer): Record<string, undefined> {
  const reserved = memberSpans(meta).filter(
    ({ key }) => key.startsWith(META_PREFIX) || key.startsWith(TURNPIKE_PREFIX) || key === META.progressToken,
  );
  return Object.fromEntries(reserved.map(({ key }) => [key, undefined]));
}
