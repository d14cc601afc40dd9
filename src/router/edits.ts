import { type Edits, editObject, elements, joinArray, type MemberSpan, member, memberSpans, toJson } from '../core/json.ts';
import { assembled } from '../core/json-splice.ts';
import { isJsonObject, type JsonObject, META, META_PREFIX, TURNPIKE_META, TURNPIKE_PREFIX, wordOf } from '../core/mcp.ts';
import { spanOf } from '../core/param-value.ts';

/**
 * Every change the relay may make to what an upstream said; all other bytes pass as they came. The documentation's table
 * (docs/reference/relay-edits.md) is made from this one, and `edits.test.ts` compares the code with it.
 */
export const RELAY_EDITS = [
  {
    where: 'result._meta',
    change: 'reserved members (`io.modelcontextprotocol/*`, `turnpike/*`) are removed; `serverInfo` is ours, `turnpike/upstream` names the upstream',
    when: 'modern client; session clients: removal only',
  },
  { where: 'result.resultType', change: '`complete` is added when it is absent; removed for session clients', when: 'always' },
  { where: 'result.ttlMs, result.cacheScope', change: 'added or capped on resources/read; removed for session clients', when: 'resources/read' },
  {
    where: 'result.requestState',
    change: 'sealed (`rs1.`), opened again for the upstream byte for byte',
    when: 'input_required, modern client and upstream',
  },
  {
    where: 'result.inputRequests.*.params.message',
    change: 'prefixed with `Server “NAME” asks: `',
    when: 'elicitations, unless naming is passthrough',
  },
  {
    where: 'result.inputRequests.*',
    change:
      'questions that must not be asked (`bridge.blockSecretForms`) are taken out and declined; `includeContext` becomes `none` for clients without it',
    when: 'input_required and tasks that wait for input, modern client',
  },
  {
    where: 'result (input_required)',
    change: 'becomes requests to the client on the stream of its call; their answers become `params.inputResponses`',
    when: 'session client, modern upstream',
  },
  {
    where: 'server request',
    change: "becomes an `input_required` result under a key; the retry's answer becomes the response, `elicitationId` goes",
    when: 'modern client, session upstream',
  },
  {
    where: 'error -32042',
    change: 'becomes an `input_required` result with one URL elicitation each; the retry makes the call afresh',
    when: 'modern client, session upstream',
  },
  { where: 'result.taskId, params.taskId', change: 'sealed (`tk1.`), opened again for the upstream', when: 'tasks, modern client' },
  {
    where: 'result.task',
    change:
      "becomes the result, of type `task`: `ttl` and `pollInterval` become `ttlMs` and `pollIntervalMs` in whole milliseconds; `tasks/get` has the task's result, error or questions in it",
    when: 'tasks, modern client, session upstream',
  },
  {
    where: 'result (task)',
    change: 'the task is driven to its end, and its result or error is the answer',
    when: 'tasks, session client',
  },
  {
    where: 'result.structuredContent',
    change: 'wrapped as `{"result": V}` when it is no object; removed before 2025-06-18',
    when: 'session client, modern upstream',
  },
  {
    where: 'result.content[], result.messages[].content',
    change: '`resource_link` becomes text with the URI, before 2025-06-18; `audio` a line that names its type and size, before 2025-03-26',
    when: 'session client',
  },
  { where: 'error.code', change: '-32602 of resources/read becomes -32002 for session clients, and back for modern ones', when: 'eras differ' },
  { where: 'notification params._meta', change: "reserved members are removed; `subscriptionId` is the client's", when: 'always' },
  { where: 'notification params.progressToken', change: "the token of the client's own request", when: 'notifications/progress' },
  { where: 'params.uri', change: 'the URI under which the client knows the resource', when: 'notifications/resources/updated' },
  { where: 'result.contents[].uri', change: 'the URI that the client asked for', when: 'resources/read of a `turnpike://` URI' },
  {
    where: 'result.skill, result.resources[]',
    change: 'URIs are `turnpike://UPSTREAM/` and the URI; reserved members of `_meta` are removed; skills/get has caching fields as resources/read',
    when: 'skills/get and resources/directory/read; the URIs only where the client asked for a `turnpike://` one',
  },
  { where: 'params.name, params.uri', change: "the upstream's own name or URI", when: 'requests' },
  { where: 'params._meta', change: "the envelope of the upstream's era; vendor members pass", when: 'requests' },
  { where: 'params.task', change: 'removed; ours where a tool of a session upstream is to run as a task', when: 'requests' },
  { where: 'params.inputResponses, params.requestState', change: 'removed', when: 'requests to session upstreams, and of session clients' },
  { where: 'params.ref.name, params.ref.uri', change: "the upstream's own name or URI", when: 'completion/complete' },
  {
    where: 'server request params.message',
    change: 'prefixed with `Server “NAME” asks: `',
    when: 'elicitation/create, unless naming is passthrough',
  },
  {
    where: 'server request params.mode, params.elicitationId',
    change: '`mode` goes for clients before 2025-11-25; a URL elicitation gets an id of ours',
    when: 'elicitation/create, session client, modern upstream',
  },
  { where: 'server request params._meta', change: 'reserved members are removed', when: 'always' },
] as const;

const EMPTY = Buffer.from('{}');
const OPEN_OBJECT = 0x7b;

/** Edits of a `_meta` object that remove what is reserved for a hop. */
function withoutReserved(meta: Buffer): Record<string, undefined> {
  const reserved = memberSpans(meta).filter(({ key }) => key.startsWith(META_PREFIX) || key.startsWith(TURNPIKE_PREFIX));
  return Object.fromEntries(reserved.map(({ key }) => [key, undefined]));
}

/** `object` with `_meta` edited: reserved members go, `own` is set. An emptied `_meta` that came with content goes, too. */
export function editMeta(object: Buffer, own: Edits, spans?: readonly MemberSpan[]): Edits {
  const meta = member(object, '_meta', spans);
  if (meta === undefined || meta[0] !== OPEN_OBJECT) return Object.keys(own).length === 0 ? {} : { _meta: editObject(EMPTY, own) };
  const edited = editObject(meta, { ...withoutReserved(meta), ...own });
  if (edited === meta) return {};
  return { _meta: memberSpans(edited).length === 0 ? undefined : edited };
}

/** The `_meta` members that every result of ours carries towards a modern client. */
export function ownResultMeta(serverInfo: JsonObject, upstream?: string): Edits {
  return { [META.serverInfo]: toJson(serverInfo), ...(upstream === undefined ? {} : { [TURNPIKE_META.upstream]: toJson(upstream) }) };
}

/** Params of a notification on their way to a client. */
export function notificationParams(params: Buffer, edits: Edits = {}, meta: Edits = {}, spans?: readonly MemberSpan[]): Buffer {
  const known = spans ?? memberSpans(params);
  const all = { ...editMeta(params, meta, known), ...edits };
  return Object.keys(all).length === 0 ? params : editObject(params, all, known);
}

/**
 * Params of a progress on their way to the client that wants it under `token`.
 * @param spans their members, `_meta` not among them: then nothing but the token is to be changed
 */
export function progressParams(params: Buffer, token: Buffer, spans?: readonly MemberSpan[]): Buffer {
  const span = spans && spanOf(spans, META.progressToken);
  if (span === undefined) return notificationParams(params, { [META.progressToken]: token });
  return assembled('', params, [{ start: span.valueStart, end: span.end, label: '', value: token }], '', false);
}

/** Names the asker in an elicitation; other requests are unchanged (security class 17). */
export function labelled(method: unknown, params: Buffer, upstream: string): Buffer {
  if (method !== 'elicitation/create') return params;
  const message = member(params, 'message');
  if (message === undefined || message[0] !== 0x22) return params;
  return editObject(params, { message: toJson(`Server “${upstream}” asks: ${JSON.parse(message.toString('utf8')) as string}`) });
}

/** Content blocks that a session revision does not know, as text: links before 2025-06-18, audio before 2025-03-26 (protocol.md section 3). */
export function plainContent(content: Buffer, version: string): Buffer {
  return joinArray(elements(content).map((block) => plainBlock(block, version)));
}

/** As `plainContent`, for the messages of a prompt. */
export function plainMessages(messages: Buffer, version: string): Buffer {
  return joinArray(
    elements(messages).map((message) => {
      const content = message[0] === OPEN_OBJECT ? member(message, 'content') : undefined;
      const plain = content?.[0] === OPEN_OBJECT ? plainBlock(content, version) : undefined;
      return plain === undefined || plain === content ? message : editObject(message, { content: plain });
    }),
  );
}

function plainBlock(block: Buffer, version: string): Buffer {
  const parsed: unknown = JSON.parse(block.toString('utf8'));
  if (!isJsonObject(parsed)) return block;
  if (parsed.type === 'resource_link' && version < '2025-06-18') return toJson({ type: 'text', text: wordOf(parsed.uri) });
  if (parsed.type !== 'audio' || version >= '2025-03-26') return block;
  const bytes = Buffer.byteLength(wordOf(parsed.data ?? ''), 'base64');
  return toJson({ type: 'text', text: `[audio: ${wordOf(parsed.mimeType ?? 'of unknown type')}, ${bytes} bytes]` });
}
