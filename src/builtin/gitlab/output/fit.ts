import { isJsonObject, type JsonObject } from '../../../core/mcp.ts';
import type { ToolOutcome } from '../../server/server.ts';
import { markdownOf } from './markdown.ts';
import type { Cut, Draft, Payload } from './payload.ts';

/** The result of a draft in at most `maxBytes` bytes, cut at whole parts, then inside its largest texts and lists. */
export function fitted(draft: Draft, maxBytes: number): ToolOutcome {
  const isFitting = (payload: Payload) => sizeOf(outcomeOf(payload)) <= maxBytes;
  const whole = draft.build(draft.count);
  if (isFitting(whole)) return outcomeOf(whole);
  const cutTo = (kept: number): Payload => {
    const payload = draft.build(kept);
    if (kept === draft.count) return payload;
    const cut: Cut = { field: draft.field, kept, of: draft.count, unit: draft.unit };
    return { ...payload, truncated: { cut: [cut, ...(payload.truncated?.cut ?? [])], go_on: draft.goOn(kept) } };
  };
  const kept = draft.count === 0 ? 0 : largest(1, draft.count, (count) => isFitting(cutTo(count)));
  const best = cutTo(kept ?? Math.min(1, draft.count));
  if (kept !== undefined && kept > 0) return outcomeOf(best);
  const shrunk = (payload: Payload) => shrink(payload, draft.goOnInside(Math.min(1, draft.count)), isFitting);
  const small = shrunk(best);
  // What is said of the rest goes before what is next.
  return outcomeOf(isFitting(small) ? small : shrunk({ ...best, next_steps: [] }));
}

/** A payload as what a tool answers. */
export function outcomeOf(payload: Payload): ToolOutcome {
  return { content: [{ type: 'text', text: markdownOf(payload) }], structuredContent: { ...payload } };
}

function sizeOf(outcome: ToolOutcome): number {
  return Buffer.byteLength(JSON.stringify(outcome));
}

/**
 * The largest number of the range for which `holds`, if it holds for the smallest. Tried in growing steps first, so that what is
 * tried is never much larger than what fits.
 */
function largest(from: number, to: number, holds: (count: number) => boolean): number | undefined {
  if (!holds(from)) return undefined;
  let low = from;
  let high = to;
  for (let step = 1; low < high; step *= 2) {
    const next = Math.min(high, low + step);
    if (!holds(next)) {
      high = next - 1;
      break;
    }
    low = next;
  }
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (holds(middle)) low = middle;
    else high = middle - 1;
  }
  return low;
}

type Path = readonly (string | number)[];

interface Cuttable {
  readonly path: Path;
  readonly value: string | readonly unknown[] | JsonObject;
}

/** Cuts the largest list or text again and again until the payload fits; the rounds are bounded by what there is to cut. */
function shrink(payload: Payload, goOn: string, isFitting: (payload: Payload) => boolean): Payload {
  let current = payload;
  const cuts: Cut[] = [...(payload.truncated?.cut ?? [])];
  for (let round = 0; round < 64 && !isFitting(current); round++) {
    const target = largestPart(current);
    if (target === undefined) break;
    const field = target.path.join('.');
    const cutTo = (kept: number, of: number, unit: Cut['unit'], value: unknown): Payload => ({
      ...(replaced(current, target.path, value) as Payload),
      truncated: { cut: [...cuts.filter((cut) => cut.field !== field), { field, kept, of, unit }], go_on: goOn },
    });
    current = cutPart(target.value, cutTo, isFitting);
    const made = current.truncated?.cut ?? [];
    cuts.splice(0, cuts.length, ...made);
  }
  return current;
}

/** Half of a character at the end of a text. */
const HALF = /[\ud800-\udbff]$/;

type CutTo = (kept: number, of: number, unit: Cut['unit'], value: unknown) => Payload;

function cutPart(value: Cuttable['value'], cutTo: CutTo, isFitting: (payload: Payload) => boolean): Payload {
  if (isJsonObject(value)) {
    const fields = Object.entries(value);
    const make = (kept: number) => cutTo(kept, fields.length, 'fields', Object.fromEntries(fields.slice(0, kept)));
    return make(largest(0, fields.length - 1, (kept) => isFitting(make(kept))) ?? 0);
  }
  if (typeof value !== 'string') {
    const make = (kept: number) => cutTo(kept, value.length, 'items', value.slice(0, kept));
    return make(largest(1, value.length - 1, (kept) => isFitting(make(kept))) ?? 1);
  }
  const lines = value.split('\n');
  const ofLines = (kept: number) => cutTo(kept, lines.length, 'lines', lines.slice(0, kept).join('\n'));
  const kept = lines.length < 2 ? undefined : largest(1, lines.length - 1, (count) => isFitting(ofLines(count)));
  if (kept !== undefined) return ofLines(kept);
  const ofCharacters = (count: number) => cutTo(count, value.length, 'characters', value.slice(0, count).replace(HALF, ''));
  return ofCharacters(largest(0, value.length - 1, (count) => isFitting(ofCharacters(count))) ?? 0);
}

/** Cutting less than this would say more about the cut than it saves. */
const WORTH_CUTTING = 400;

/**
 * The list with several entries, or the text, that takes the most bytes; a list of one entry is looked into. Where all parts are
 * small, it is the item, which loses its last fields.
 */
function largestPart(payload: Payload): Cuttable | undefined {
  const [root, item]: [Path, unknown] = payload.item === undefined ? [['items', 0], payload.items?.[0]] : [['item'], payload.item];
  let [path, value] = [root, item];
  for (;;) {
    const isList = Array.isArray(value) && value.length > 1;
    if (typeof value === 'string' || isList) {
      if (bytesOf(value) >= WORTH_CUTTING) return { path, value: value as Cuttable['value'] };
      break;
    }
    if (typeof value !== 'object' || value === null) break;
    const [top] = Object.entries(value).sort((a, b) => bytesOf(b[1]) - bytesOf(a[1]));
    if (top === undefined) break;
    path = [...path, top[0]];
    value = top[1];
  }
  return isJsonObject(item) && Object.keys(item).length > 0 ? { path: root, value: item } : undefined;
}

function bytesOf(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value) ?? '');
}

function replaced(node: unknown, path: Path, value: unknown): unknown {
  const [first, ...rest] = path;
  if (first === undefined) return value;
  if (Array.isArray(node)) return node.map((entry, index) => (String(index) === String(first) ? replaced(entry, rest, value) : entry));
  const object: JsonObject = isJsonObject(node) ? node : {};
  return { ...object, [first]: replaced(object[first], rest, value) };
}
