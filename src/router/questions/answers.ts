import { toJson } from '../../core/json.ts';
import { type Answer, isJsonObject, type JsonObject } from '../../core/mcp.ts';
import { type Field, formOf } from './form-schema.ts';
import { isFormat } from './formats.ts';

/**
 * Whether what a client answered fits what it was asked; a question whose answer does not is asked again (protocol.md
 * section 9). `params` are those of the question, `answer` is its result. The shapes are those of 2025-11-25 and
 * 2026-07-28: `ElicitResult`, `CreateMessageResult`, `ListRootsResult`.
 */
export function checkAnswer(method: string, params: JsonObject, answer: unknown): boolean {
  if (!isJsonObject(answer)) return false;
  if (method === 'elicitation/create') return fitsElicitation(params, answer);
  if (method === 'sampling/createMessage') return fitsSampling(answer);
  return method === 'roots/list' && fitsRoots(answer);
}

/** What a pending question is answered with when nobody will answer it any more (protocol.md section 10, ML step 9). */
export function cancelAnswer(method: string): Answer {
  if (method === 'elicitation/create') return { kind: 'result', result: toJson({ action: 'cancel' }) };
  if (method === 'roots/list') return { kind: 'result', result: toJson({ roots: [] }) };
  return { kind: 'error', error: toJson({ code: CANCELLED, message: 'Nobody will answer: the call that asked has ended.' }), code: CANCELLED };
}

/** The code by which a client says that its user refused (2025-11-25, "Sampling", "Error Handling"). */
const CANCELLED = -1;

function fitsElicitation({ mode, requestedSchema }: JsonObject, { action, content }: JsonObject): boolean {
  if (action === 'decline' || action === 'cancel') return true;
  if (action !== 'accept') return false;
  if (mode === 'url') return true;
  const form = formOf(requestedSchema);
  // Some clients write an absent member as null.
  const given = content ?? {};
  if (!form.ok || !isJsonObject(given)) return false;
  const { fields, required } = form.value;
  if (required.some((name) => !Object.hasOwn(given, name))) return false;
  return Object.entries(given).every(([name, value]) => {
    const field = fields.get(name);
    return field !== undefined && fits(field, value);
  });
}

function fits({ kind, options, nullable, schema }: Field, value: unknown): boolean {
  if (nullable && value === null) return true;
  switch (kind) {
    case 'boolean':
      return typeof value === 'boolean';
    case 'integer':
    case 'number':
      if (typeof value !== 'number' || !Number.isFinite(value) || (kind === 'integer' && !Number.isInteger(value))) return false;
      return isWithin(value, schema.minimum, schema.maximum);
    case 'choice':
      return typeof value === 'string' && options.includes(value);
    case 'choices': {
      if (!Array.isArray(value)) return false;
      const isChosen = value.every((one) => typeof one === 'string' && options.includes(one));
      return isChosen && isWithin(value.length, schema.minItems, schema.maxItems);
    }
    case 'string':
      return typeof value === 'string' && isWithin(lengthOf(value), schema.minLength, schema.maxLength) && isFormat(value, schema.format);
  }
}

/** Bounds that are no numbers are none. */
function isWithin(value: number, min: unknown, max: unknown): boolean {
  return !(typeof min === 'number' && value < min) && !(typeof max === 'number' && value > max);
}

/** Characters as JSON Schema counts them: code points. */
function lengthOf(text: string): number {
  let length = 0;
  for (const _ of text) length++;
  return length;
}

function fitsSampling({ role, content, model, stopReason }: JsonObject): boolean {
  if ((role !== 'user' && role !== 'assistant') || typeof model !== 'string') return false;
  if (stopReason !== undefined && typeof stopReason !== 'string') return false;
  const blocks: readonly unknown[] = Array.isArray(content) ? content : [content];
  return blocks.every((block) => {
    if (!isJsonObject(block) || typeof block.type !== 'string') return false;
    return (BLOCKS.get(block.type) ?? []).every((member) => typeof block[member] === 'string');
  });
}

/** Texts without which a block of content is none. */
const BLOCKS: ReadonlyMap<string, readonly string[]> = new Map([
  ['text', ['text']],
  ['image', ['data', 'mimeType']],
  ['audio', ['data', 'mimeType']],
  ['tool_use', ['id', 'name']],
  ['tool_result', ['toolUseId']],
]);

function fitsRoots({ roots }: JsonObject): boolean {
  if (!Array.isArray(roots)) return false;
  return roots.every((root: unknown) => {
    if (!isJsonObject(root) || typeof root.uri !== 'string' || !root.uri.startsWith('file://')) return false;
    return root.name === undefined || typeof root.name === 'string';
  });
}
