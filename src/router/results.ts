import { TurnpikeError } from '../core/errors.ts';
import type { Exchange } from '../core/exchange.ts';
import { type Edits, editObject, member, toJson } from '../core/json.ts';
import { type Answer, type Era, isJsonObject, type JsonObject, RPC, type RpcError } from '../core/mcp.ts';
import type { State } from './carried-state.ts';
import { editMeta, labelled, ownResultMeta, plainContent, plainMessages } from './edits.ts';
import type { Asking } from './rounds.ts';
import { declaresTasks } from './tasks/task-shapes.ts';

/** What the conversion of an answer needs to know besides its bytes. */
export interface AnswerContext {
  readonly exchange: Exchange;
  readonly upstream: string;
  readonly upstreamEra: Era;
  readonly serverInfo: JsonObject;
  /** What the answer asks of the client, judged. */
  readonly asking?: Asking;
  /** Whether elicitations name their asker. */
  readonly label: boolean;
  /** Whether the tool's results are wrapped for session clients (`catalog/dialects.ts`, `isWrapped`). */
  readonly wrapped: boolean;
  sealState(state: State): string;
  sealTask(taskId: string): string;
}

const MAX_TTL_MS = 3_600_000;
const FIRST_STRUCTURED = '2025-06-18';
const FIRST_AUDIO = '2025-03-26';

/** An upstream's answer as this client may see it: the edits of `RELAY_EDITS`, chosen by both eras. */
export function convertAnswer(answer: Answer, context: AnswerContext): Answer {
  if (answer.kind === 'error') return convertError(answer, context);
  const body = JSON.parse(answer.result.toString('utf8')) as JsonObject;
  // A session upstream knows no result types: whatever stands there is foreign to its revision.
  const type = context.upstreamEra === 'modern' ? (body.resultType ?? 'complete') : 'complete';
  if (type !== 'complete' && type !== 'input_required' && type !== 'task') {
    throw new TurnpikeError('upstream/protocol', `The upstream sent a result type Turnpike does not know: ${String(type)}.`, {
      upstream: context.upstream,
    });
  }
  const result = context.exchange.era === 'modern' ? toModern(answer.result, body, type, context) : toLegacy(answer.result, body, type, context);
  return { kind: 'result', result };
}

function toModern(result: Buffer, body: JsonObject, type: unknown, context: AnswerContext): Buffer {
  const { exchange, upstream, upstreamEra, serverInfo } = context;
  const edits: Record<string, Buffer | undefined> = { ...editMeta(result, ownResultMeta(serverInfo, upstream)) };
  if (upstreamEra === 'legacy' || body.resultType === undefined) edits.resultType = toJson('complete');
  else if (type === 'input_required') Object.assign(edits, inputRequired(result, body, context));
  else if (type === 'task') Object.assign(edits, task(body, context));
  if (exchange.method === 'resources/read' && type === 'complete') Object.assign(edits, caching(body, upstreamEra));
  return editObject(result, edits);
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

function caching(body: JsonObject, upstreamEra: Era): Edits {
  const own = upstreamEra === 'modern' && typeof body.ttlMs === 'number' && Number.isInteger(body.ttlMs) && body.ttlMs >= 0;
  if (!own) return { ttlMs: toJson(0), cacheScope: toJson('private') };
  return {
    ...(Number(body.ttlMs) > MAX_TTL_MS ? { ttlMs: toJson(MAX_TTL_MS) } : {}),
    ...(body.cacheScope === 'public' || body.cacheScope === 'private' ? {} : { cacheScope: toJson('private') }),
  };
}

function toLegacy(result: Buffer, body: JsonObject, type: unknown, context: AnswerContext): Buffer {
  const { exchange, upstream, upstreamEra, wrapped } = context;
  if (type === 'input_required') {
    throw new TurnpikeError('upstream/protocol', `upstream '${upstream}' asked in a way that cannot be read`, { upstream });
  }
  // One of a tool was driven to its end before (`driven-modern-task.ts`).
  if (type === 'task') throw new TurnpikeError('upstream/protocol', `upstream '${upstream}' made a task of ${exchange.method}`, { upstream });
  const edits: Record<string, Buffer | undefined> = { ...editMeta(result, {}) };
  if (upstreamEra === 'modern') Object.assign(edits, { resultType: undefined, ttlMs: undefined, cacheScope: undefined });
  const structured = body.structuredContent;
  if (exchange.version < FIRST_STRUCTURED) {
    if (structured !== undefined) edits.structuredContent = undefined;
    Object.assign(edits, plainBlocks(result, body, exchange.version));
  } else if (upstreamEra === 'modern' && structured !== undefined && (wrapped || !isJsonObject(structured))) {
    const value = member(result, 'structuredContent');
    if (value !== undefined) edits.structuredContent = Buffer.concat([Buffer.from('{"result":'), value, Buffer.from('}')]);
  }
  return Object.keys(edits).length === 0 ? result : editObject(result, edits);
}

/** What a revision does not know of contents, edited only where it stands. */
function plainBlocks(result: Buffer, body: JsonObject, version: string): Edits {
  const edits: Record<string, Buffer> = {};
  const content = Array.isArray(body.content) ? member(result, 'content') : undefined;
  if (content !== undefined && (body.content as unknown[]).some((block) => isUnknown(block, version))) edits.content = plainContent(content, version);
  const messages = Array.isArray(body.messages) ? member(result, 'messages') : undefined;
  if (messages !== undefined && (body.messages as unknown[]).some((message) => isJsonObject(message) && isUnknown(message.content, version)))
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

/** The tool, prompt or resource that a request is about, for texts. */
export function nameOf(exchange: Exchange): string {
  const { name, uri, taskId } = exchange.body;
  return String(name ?? uri ?? taskId ?? exchange.method);
}
