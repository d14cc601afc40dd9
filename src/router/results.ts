import { TurnpikeError } from '../core/errors.ts';
import type { Exchange } from '../core/exchange.ts';
import { type Edits, editObject, type MemberSpan, member, memberSpans, toJson } from '../core/json.ts';
import { piecesOf } from '../core/json-splice.ts';
import { type Answer, type Era, isJsonObject, type JsonObject, RPC, type RpcError, wordOf } from '../core/mcp.ts';
import { PiecedResult } from '../core/pieced-result.ts';
import type { State } from './carried-state.ts';
import { editMeta, labelled, plainContent, plainMessages } from './edits.ts';
import type { ResultMetas } from './result-metas.ts';
import type { Asking } from './rounds.ts';
import { declaresTasks } from './tasks/task-shapes.ts';

/** What the conversion of an answer needs to know besides its bytes. */
export interface AnswerContext {
  readonly exchange: Exchange;
  readonly upstream: string;
  readonly upstreamEra: Era;
  readonly metas: ResultMetas;
  /** What the answer asks of the client, judged. */
  readonly asking?: Asking;
  /** Whether elicitations name their asker. */
  readonly label: boolean;
  /** Whether the tool's results are wrapped for session clients (`catalog/dialects.ts`, `isWrapped`). */
  readonly wrapped: boolean;
  sealState(state: State): string;
  sealTask(taskId: string): string;
}

/** Larger results are sent in the pieces that they are cut into. */
const MAX_COPIED_BYTES = 8 * 1024;
const MAX_TTL_MS = 3_600_000;
const COMPLETE = Buffer.from('"complete"');
const OPEN_OBJECT = 0x7b;
const FIRST_STRUCTURED = '2025-06-18';
const FIRST_AUDIO = '2025-03-26';

/** An upstream's answer as this client may see it: the edits of `RELAY_EDITS`, chosen by both eras. */
export function convertAnswer(answer: Answer, context: AnswerContext): Answer {
  if (answer.kind === 'error') return convertError(answer, context);
  const { result, spans = memberSpans(result) } = answer;
  const members: Members = { result, spans };
  // A session upstream knows no result types: whatever stands there is foreign to its revision.
  const type = context.upstreamEra === 'modern' ? (valueOfMember(members, 'resultType') ?? 'complete') : 'complete';
  if (type !== 'complete' && type !== 'input_required' && type !== 'task') {
    throw new TurnpikeError('upstream/protocol', `The upstream sent a result type Turnpike does not know: ${wordOf(type)}.`, {
      upstream: context.upstream,
    });
  }
  const edits = context.exchange.era === 'modern' ? toModern(members, type, context) : toLegacy(members, type, context);
  const failed = member(result, 'isError', spans)?.toString('latin1') === 'true';
  if (result.length > MAX_COPIED_BYTES) return new PiecedResult(piecesOf(result, edits, spans), failed);
  return { kind: 'result', result: editObject(result, edits, spans), failed };
}

/** A result whose members are known; what nobody needs is not parsed. */
interface Members {
  readonly result: Buffer;
  readonly spans: readonly MemberSpan[];
}

function valueOfMember({ result, spans }: Members, key: string): unknown {
  const bytes = member(result, key, spans);
  return bytes && JSON.parse(bytes.toString('utf8'));
}

function toModern(members: Members, type: unknown, context: AnswerContext): Edits {
  const { result, spans } = members;
  const { exchange, upstream, upstreamEra, metas } = context;
  const meta = member(result, '_meta', spans);
  const edits: Record<string, Buffer | undefined> = { _meta: metas.of(upstream, meta?.[0] === OPEN_OBJECT ? meta : undefined) };
  if (upstreamEra === 'legacy' || member(result, 'resultType', spans) === undefined) edits.resultType = COMPLETE;
  else if (type !== 'complete') Object.assign(edits, withoutResult(members, type, context));
  if (exchange.method === 'resources/read' && type === 'complete') Object.assign(edits, caching(members, upstreamEra));
  return edits;
}

function withoutResult({ result }: Members, type: unknown, context: AnswerContext): Edits {
  const body = JSON.parse(result.toString('utf8')) as JsonObject;
  return type === 'task' ? task(body, context) : inputRequired(result, body, context);
}

function inputRequired(result: Buffer, body: JsonObject, { upstream, label, asking, sealState }: AnswerContext): Edits {
  if (asking === undefined) throw new TurnpikeError('upstream/protocol', `upstream '${upstream}' asked in a way that cannot be read`, { upstream });
  const { questions, forced, state } = asking;
  const edits: Record<string, Buffer> = {};
  const answered = Object.keys(forced);
  if (state !== undefined || answered.length > 0) {
    const own = Object.fromEntries(answered.map((key) => [key, JSON.parse((forced[key] as Buffer).toString('utf8'))]));
    edits.requestState = toJson(
      sealState({ kind: 'relay', ...(state === undefined ? {} : { state }), ...(answered.length === 0 ? {} : { forced: own }) }),
    );
  }
  const requests = isJsonObject(body.inputRequests) ? member(result, 'inputRequests') : undefined;
  if (requests === undefined) return edits;
  const shown: Record<string, Buffer | undefined> = Object.fromEntries(answered.map((key) => [key, undefined]));
  for (const { key, method, params } of questions) {
    const request = member(requests, key);
    const before = request && member(request, 'params');
    const after = label ? labelled(method, params, upstream) : params;
    if (request !== undefined && before !== undefined && !before.equals(after)) shown[key] = editObject(request, { params: after });
  }
  if (Object.keys(shown).length > 0) edits.inputRequests = editObject(requests, shown);
  return edits;
}

function task(body: JsonObject, { exchange, upstream, sealTask }: AnswerContext): Edits {
  if (!declaresTasks(exchange) || typeof body.taskId !== 'string') {
    throw new TurnpikeError('upstream/protocol', `upstream '${upstream}' made a task for a client that declared none`, { upstream });
  }
  return { taskId: toJson(sealTask(body.taskId)) };
}

function caching(members: Members, upstreamEra: Era): Edits {
  const ttl = upstreamEra === 'modern' ? valueOfMember(members, 'ttlMs') : undefined;
  if (typeof ttl !== 'number' || !Number.isInteger(ttl) || ttl < 0) return { ttlMs: toJson(0), cacheScope: toJson('private') };
  const scope = valueOfMember(members, 'cacheScope');
  return {
    ...(ttl > MAX_TTL_MS ? { ttlMs: toJson(MAX_TTL_MS) } : {}),
    ...(scope === 'public' || scope === 'private' ? {} : { cacheScope: toJson('private') }),
  };
}

function toLegacy(members: Members, type: unknown, context: AnswerContext): Edits {
  const { result, spans } = members;
  const { exchange, upstream, upstreamEra, wrapped } = context;
  if (type === 'input_required') {
    throw new TurnpikeError('upstream/protocol', `upstream '${upstream}' asked in a way that cannot be read`, { upstream });
  }
  // One of a tool was driven to its end before (`driven-modern-task.ts`).
  if (type === 'task') throw new TurnpikeError('upstream/protocol', `upstream '${upstream}' made a task of ${exchange.method}`, { upstream });
  const edits: Record<string, Buffer | undefined> = { ...editMeta(result, {}, spans) };
  if (upstreamEra === 'modern') Object.assign(edits, { resultType: undefined, ttlMs: undefined, cacheScope: undefined });
  const structured = member(result, 'structuredContent', spans);
  if (exchange.version < FIRST_STRUCTURED) {
    if (structured !== undefined) edits.structuredContent = undefined;
    Object.assign(edits, plainBlocks(members, exchange.version));
  } else if (upstreamEra === 'modern' && structured !== undefined && (wrapped || structured[0] !== OPEN_OBJECT)) {
    edits.structuredContent = Buffer.concat([Buffer.from('{"result":'), structured, Buffer.from('}')]);
  }
  return edits;
}

/** What a revision does not know of contents, edited only where it stands. */
function plainBlocks(members: Members, version: string): Edits {
  const edits: Record<string, Buffer> = {};
  const content = member(members.result, 'content', members.spans);
  const blocks = valueOfMember(members, 'content');
  if (content !== undefined && Array.isArray(blocks) && blocks.some((block) => isUnknown(block, version)))
    edits.content = plainContent(content, version);
  const messages = member(members.result, 'messages', members.spans);
  const said = valueOfMember(members, 'messages');
  if (messages !== undefined && Array.isArray(said) && said.some((message) => isJsonObject(message) && isUnknown(message.content, version)))
    edits.messages = plainMessages(messages, version);
  return edits;
}

function isUnknown(block: unknown, version: string): boolean {
  return isJsonObject(block) && (block.type === 'resource_link' || (block.type === 'audio' && version < FIRST_AUDIO));
}

/** Errors pass as they are, but for codes that describe our own hop or mean something else in the client's era. */
function convertError(answer: Extract<Answer, { kind: 'error' }>, { exchange, upstream, upstreamEra }: AnswerContext): Answer {
  const { code } = answer;
  if (upstreamEra === 'modern') {
    if (code === RPC.missingCapability) throw missingCapability(answer.error, exchange, upstream);
    if (code === RPC.headerMismatch) {
      throw new TurnpikeError('upstream/header', `upstream '${upstream}' refused the headers of Turnpike (${code})`, { upstream });
    }
    if (code === RPC.unsupportedVersion) {
      throw new TurnpikeError('upstream/protocol', `upstream '${upstream}' refused the request of Turnpike (${code})`, { upstream });
    }
    if (exchange.era === 'legacy' && exchange.method === 'resources/read' && code === RPC.invalidParams)
      return recoded(answer.error, RPC.resourceNotFound);
    return answer;
  }
  if (exchange.era === 'modern' && code === RPC.resourceNotFound) return recoded(answer.error, RPC.invalidParams);
  return answer;
}

function recoded(error: Buffer, code: number): Answer {
  return { kind: 'error', error: editObject(error, { code: toJson(code) }), code };
}

/** -32021 of an upstream is the client's if the client lacks the capability, else ours (protocol.md section 2). */
function missingCapability(error: Buffer, exchange: Exchange, upstream: string): TurnpikeError {
  const { data } = JSON.parse(error.toString('utf8')) as RpcError;
  const required = isJsonObject(data) && isJsonObject(data.requiredCapabilities) ? data.requiredCapabilities : {};
  const names = Object.keys(required).flatMap((name) => {
    const inner = required[name];
    return name === 'extensions' && isJsonObject(inner)
      ? Object.keys(inner).map((extension) => ({ name: extension, held: hasExtension(exchange, extension) }))
      : [{ name, held: exchange.capabilities[name] !== undefined }];
  });
  const lacking = names.filter(({ held }) => !held);
  if (lacking.length > 0 && exchange.era === 'modern') {
    return new TurnpikeError(
      'request/capability',
      `the client lacks a capability that the call needs: ${lacking.map(({ name }) => name).join(', ')}`,
      { data: { requiredCapabilities: required } },
    );
  }
  if (names.length > 0 && exchange.era === 'legacy') {
    const why = lacking.length > 0 ? 'which your client does not offer' : 'which cannot be asked on a connection that takes JSON only';
    const needed = (lacking.length > 0 ? lacking : names).map(({ name }) => name).join(', ');
    return new TurnpikeError('bridge/interaction', `This tool needs ${needed}, ${why}.`, { upstream });
  }
  return new TurnpikeError(
    'upstream/capability',
    `upstream needs a capability Turnpike cannot carry: ${names.map(({ name }) => name).join(', ') || 'unnamed'}`,
    { upstream },
  );
}

function hasExtension(exchange: Exchange, extension: string): boolean {
  const { extensions } = exchange.capabilities;
  return isJsonObject(extensions) && extensions[extension] !== undefined;
}

/** The tool, prompt or resource that a request is about, for texts. Not every method has looked at every member: only a text is a name. */
export function nameOf(exchange: Exchange): string {
  const { name, uri, taskId } = exchange.body;
  for (const text of [name, uri, taskId]) if (typeof text === 'string') return text;
  return exchange.method;
}
