import { type Edits, editObject, member, memberSpans, objectOf, toJson } from '../core/json.ts';
import { CARRIED_EXTENSIONS, type Era, isJsonObject, META_PREFIX, TURNPIKE_PREFIX } from '../core/mcp.ts';
import type { CapabilityKind } from '../core/ports.ts';

/**
 * What a client can read of a list: `modern` revisions, `legacy` ones, and `plain`: legacy ones from before
 * `outputSchema` (2025-03-26 and older).
 */
export type Dialect = 'modern' | 'legacy' | 'plain';

/** First revision with `structuredContent` and `outputSchema`. */
const FIRST_STRUCTURED = '2025-06-18';

/** `version`: the client's revision, for legacy clients. Revisions are dates and compare as texts. */
export function dialectOf(era: Era, version: string): Dialect {
  if (era === 'modern') return 'modern';
  return version < FIRST_STRUCTURED ? 'plain' : 'legacy';
}

/**
 * Whether legacy clients get results of this schema as `{"result": V}`, because their revision allows objects only
 * (protocol.md section 3, "Down-conversion"). Lists and calls must agree on it: a wrapped schema describes wrapped results.
 */
export function isWrapped(outputSchema: unknown): boolean {
  return isJsonObject(outputSchema) && outputSchema.type !== 'object';
}

/**
 * A definition as clients of a dialect may see it. `from` is the era of the upstream that gave it: a legacy
 * upstream's schemas pass to legacy clients as they are. Bytes that need no edit are returned as they came.
 */
export function inDialect(kind: CapabilityKind, bytes: Buffer, from: Era, dialect: Dialect): Buffer {
  const edits: Record<string, Buffer | undefined> = {};
  const meta = member(bytes, '_meta');
  const cleanMeta = meta && withoutReserved(meta, dialect);
  if (cleanMeta !== meta) edits._meta = cleanMeta;
  if (kind === 'tools' && dialect !== 'modern') Object.assign(edits, legacyToolEdits(bytes, from, dialect));
  return Object.keys(edits).length === 0 ? bytes : editObject(bytes, edits);
}

function legacyToolEdits(bytes: Buffer, from: Era, dialect: Dialect): Edits {
  const edits: Record<string, Buffer | undefined> = {};
  const execution = member(bytes, 'execution');
  if (execution !== undefined && isObject(execution) && member(execution, 'taskSupport') !== undefined) {
    // Legacy clients never see tasks (protocol.md section 8).
    edits.execution = orNothing(editObject(execution, { taskSupport: undefined }));
  }
  const output = member(bytes, 'outputSchema');
  if (output === undefined) return edits;
  if (dialect === 'plain') edits.outputSchema = undefined;
  else if (from === 'modern' && isWrapped(JSON.parse(output.toString('utf8')))) edits.outputSchema = wrap(output);
  return edits;
}

/** Reserved keys belong to the hop, ours to nobody else; only the names of carried extensions mean something in a definition. */
function withoutReserved(meta: Buffer, dialect: Dialect): Buffer | undefined {
  if (!isObject(meta)) return meta;
  const isReserved = (key: string) => key.startsWith(META_PREFIX) && !(dialect === 'modern' && CARRIED_EXTENSIONS.includes(key));
  const reserved = memberSpans(meta)
    .map(({ key }) => key)
    .filter((key) => isReserved(key) || key.startsWith(TURNPIKE_PREFIX));
  if (reserved.length === 0) return meta;
  return orNothing(editObject(meta, Object.fromEntries(reserved.map((key) => [key, undefined]))));
}

/** Definitions move to the root along with the schema, or its `#/$defs/…` would point nowhere; an `$id` keeps them in place. */
function wrap(schema: Buffer): Buffer {
  const hoisted = member(schema, '$id') === undefined ? ['$schema', '$defs', 'definitions'] : ['$schema'];
  return objectOf({
    type: toJson('object'),
    properties: objectOf({ result: editObject(schema, Object.fromEntries(hoisted.map((key) => [key, undefined]))) }),
    required: toJson(['result']),
    ...Object.fromEntries(hoisted.map((key) => [key, member(schema, key)])),
  });
}

function orNothing(object: Buffer): Buffer | undefined {
  return memberSpans(object).length === 0 ? undefined : object;
}

function isObject(value: Buffer): boolean {
  return value[0] === 0x7b;
}
