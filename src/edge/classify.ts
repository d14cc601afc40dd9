import { type ErrorDetails, TurnpikeError } from '../core/errors.ts';
import { elements, type MemberSpan, member, parseJson, repeatedMember } from '../core/json.ts';
import { type Era, isJsonObject, isRequestId, type JsonObject, META, MODERN_VERSION, type RequestId } from '../core/mcp.ts';
import { scanRequest } from '../core/scan.ts';
import { Metas, saidIn } from './metas.ts';
import { ScannedMessage } from './scanned-message.ts';

/** A request as it came in. */
export interface RequestMessage {
  readonly kind: 'request';
  readonly id: RequestId;
  readonly method: string;
  readonly params: Buffer;
  /** `params`, read by the full parser. */
  readonly body: JsonObject;
  /** `params._meta`, where that is an object, without its progress token. */
  readonly meta: JsonObject | undefined;
  /** What stands there as that token, whatever it is. */
  readonly progressToken: unknown;
  /** Where the members of `params` lie, if that is known. */
  readonly spans?: readonly MemberSpan[];
}

/** One JSON-RPC message as it came in. */
export type Message =
  | RequestMessage
  | { readonly kind: 'notification'; readonly method: string; readonly params: Buffer; readonly body: JsonObject }
  | { readonly kind: 'response'; readonly id: RequestId; readonly result?: Buffer; readonly error?: Buffer };

const EMPTY = Buffer.from('{}');
/** Messages in one batch: each may be answered with a whole list, so a body of 4 MiB could ask for gigabytes. */
const MAX_BATCH = 100;

/** A refused message whose id could be read: the answer carries it. */
export class MessageError extends TurnpikeError {
  readonly id: RequestId | undefined;

  constructor(id: RequestId | undefined, code: ConstructorParameters<typeof TurnpikeError>[0], message: string, details?: ErrorDetails) {
    super(code, message, details);
    this.id = id;
  }
}

/**
 * Bytes → message, or messages for a batch. Throws `request/parse` and `request/invalid` (checks 8 and 9 of protocol.md
 * section 1). A member that stands twice in the envelope is refused: another reader might take the other one. Nearly every request is
 * read by the scanner alone; where it gives up, the full parser decides.
 */
export function parseMessages(bytes: Buffer, metas = new Metas()): { readonly messages: readonly Message[]; readonly batch: boolean } {
  const scanned = scanRequest(bytes);
  if (scanned !== undefined) return { messages: [new ScannedMessage(scanned, metas)], batch: false };
  const parsed = parseJson(bytes);
  if (!parsed.ok) throw new MessageError(undefined, 'request/parse', `Parse error: ${parsed.error}`);
  if (!Array.isArray(parsed.value)) return { messages: [toMessage(bytes, parsed.value)], batch: false };
  if (parsed.value.length === 0) throw new MessageError(undefined, 'request/invalid', 'Invalid Request: the batch is empty');
  if (parsed.value.length > MAX_BATCH)
    throw new MessageError(undefined, 'request/invalid', `Invalid Request: the batch has more than ${MAX_BATCH} messages`);
  const slices = elements(bytes);
  return { messages: parsed.value.map((item, index) => toMessage(slices[index] ?? EMPTY, item)), batch: true };
}

function toMessage(bytes: Buffer, value: unknown): Message {
  if (!isJsonObject(value)) throw new MessageError(undefined, 'request/invalid', 'Invalid Request: the body must be a JSON object');
  // An integer beyond 2^53 is another one after JSON.parse: no id is better than a wrong one.
  const inexact = typeof value.id === 'number' && Number.isFinite(value.id) && !Number.isSafeInteger(value.id);
  const id = isRequestId(value.id) && !inexact ? value.id : undefined;
  const invalid = (what: string) => new MessageError(id, 'request/invalid', `Invalid Request: ${what}`);
  const repeated = repeatedMember(bytes);
  if (repeated !== undefined) throw invalid(`the member "${repeated}" stands twice`);
  if (value.jsonrpc !== '2.0') throw invalid('jsonrpc must be "2.0"');
  if (inexact) throw invalid('id must be an integer of at most 2^53-1');
  if (value.id !== undefined && id === undefined) throw invalid('id must be a string or a number');
  if (value.method === undefined) return toResponse(bytes, value, id, invalid);
  if (typeof value.method !== 'string') throw invalid('method must be a string');
  if (value.params !== undefined && !isJsonObject(value.params)) throw invalid('params must be an object');
  const params = member(bytes, 'params') ?? EMPTY;
  const twice = repeatedMember(params);
  if (twice !== undefined) throw invalid(`the member "params.${twice}" stands twice`);
  const meta = isJsonObject(value.params?._meta) ? member(params, '_meta') : undefined;
  const metaTwice = meta && repeatedMember(meta);
  if (metaTwice !== undefined) throw invalid(`the member "params._meta.${metaTwice}" stands twice`);
  const body = value.params ?? {};
  if (id === undefined) return { kind: 'notification', method: value.method, params, body };
  const said = saidIn(body._meta);
  return { kind: 'request', id, method: value.method, params, body, meta: said?.meta, progressToken: said?.progressToken };
}

function toResponse(bytes: Buffer, value: JsonObject, id: RequestId | undefined, invalid: (what: string) => MessageError): Message {
  const hasResult = value.result !== undefined;
  const hasError = value.error !== undefined;
  if (hasResult === hasError) throw invalid('a message needs a method, a result or an error');
  if (id === undefined) throw invalid('a response needs an id');
  if (hasResult && !isJsonObject(value.result)) throw invalid('result must be an object');
  if (hasError && !(isJsonObject(value.error) && Number.isInteger(value.error.code) && typeof value.error.message === 'string')) {
    throw invalid('error must be an object with code and message');
  }
  const part = member(bytes, hasResult ? 'result' : 'error') ?? EMPTY;
  return hasResult ? { kind: 'response', id, result: part } : { kind: 'response', id, error: part };
}

/**
 * The era of one message (protocol.md section 1, "Era"): the body decides, a header can only contradict it. `version` is the
 * `MCP-Protocol-Version` header. Throws `request/envelope` for a modern header without a modern body, and `request/header` for
 * `initialize` under a modern header.
 */
export function eraOf(message: Message, version: string | undefined): Era {
  if (message.kind !== 'response') {
    const meta = message.kind === 'request' ? message.meta : message.body._meta;
    if (isJsonObject(meta) && meta[META.protocolVersion] !== undefined) return 'modern';
  }
  if (version !== MODERN_VERSION) return 'legacy';
  const id = message.kind === 'notification' ? undefined : message.id;
  if (message.kind === 'request' && message.method === 'initialize') {
    throw new MessageError(id, 'request/header', `initialize belongs to session revisions, but MCP-Protocol-Version says ${MODERN_VERSION}`);
  }
  if (message.kind === 'request') throw new MessageError(id, 'request/envelope', `params._meta["${META.protocolVersion}"] is missing`);
  return 'modern';
}
