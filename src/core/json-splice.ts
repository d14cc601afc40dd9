import { type MemberSpan, skipBlank } from './json-walk.ts';

/**
 * Objects rebuilt from their bytes with some members changed: the final buffer is allocated once, what does not change is copied as
 * it is (performance.md, "Never parse").
 */

/** New bytes for a member; `undefined` removes it. */
export type Edits = { readonly [key: string]: Buffer | undefined };

/** From `start` to `end` stands `label` with `value` behind it from now on. Cuts are sorted and do not overlap. */
export interface Cut {
  readonly start: number;
  readonly end: number;
  readonly label: string;
  readonly value: Buffer | undefined;
}

const NO_CUTS: readonly Cut[] = [];
/** So many edits are looked for one by one; more of them with a table, for who sends the members may have sent thousands. */
const FEW = 8;

/** What must be cut so that an object has these edits; `spans` are all its members. */
export function cutsOf(object: Buffer, edits: Edits, spans: readonly MemberSpan[]): readonly Cut[] {
  const keys = Object.keys(edits);
  if (keys.length === 0) return NO_CUTS;
  const last = keys.length > FEW ? new Map(spans.map((span) => [span.key, span])) : undefined;
  const cuts: Cut[] = [];
  let kept: MemberSpan | undefined;
  for (let index = 0; index < spans.length; index++) {
    const span = spans[index] as MemberSpan;
    if (last === undefined ? keys.includes(span.key) : Object.hasOwn(edits, span.key)) {
      const value = edits[span.key];
      if (value === undefined || (last === undefined ? standsIn(spans, span.key, index + 1) : last.get(span.key) !== span)) {
        remove(cuts, span, kept, spans[index + 1]);
        continue;
      }
      cuts.push({ start: span.valueStart, end: span.end, label: '', value });
    }
    kept = span;
  }
  const added: Cut[] = [];
  const at = kept?.end ?? skipBlank(object, 0) + 1;
  for (const key of keys) {
    const value = edits[key];
    if (value === undefined || (last === undefined ? standsIn(spans, key, 0) : last.has(key))) continue;
    const comma = kept === undefined && added.length === 0 ? '' : ',';
    added.push({ start: at, end: at, label: `${comma}${JSON.stringify(key)}:`, value });
  }
  if (added.length === 0) return cuts;
  const after = cuts.findIndex((cut) => cut.start >= at);
  cuts.splice(after === -1 ? cuts.length : after, 0, ...added);
  return cuts;
}

/** Cuts out a member and one comma: the one behind it, or at the end the one before it. */
function remove(cuts: Cut[], span: MemberSpan, kept: MemberSpan | undefined, next: MemberSpan | undefined): void {
  if (next !== undefined) {
    cuts.push({ start: span.start, end: next.start, label: '', value: undefined });
    return;
  }
  // Removed members right before it go with the same cut: the comma before them all is the last kept one's.
  const start = kept === undefined ? span.start : kept.end;
  while ((cuts.at(-1)?.start ?? -1) >= start) cuts.pop();
  cuts.push({ start, end: span.end, label: '', value: undefined });
}

function standsIn(spans: readonly MemberSpan[], key: string, from: number): boolean {
  for (let index = from; index < spans.length; index++) if ((spans[index] as MemberSpan).key === key) return true;
  return false;
}

/**
 * `head`, the object with its edits, and `tail` in one buffer: a whole message without a buffer for its part.
 * @param spans all members of the object, with offsets in it
 * @param apart in memory of its own: what may wait for long would hold the pool that others are cut from
 */
export function splicedInto(
  head: Buffer | string,
  object: Buffer,
  spans: readonly MemberSpan[],
  edits: Edits,
  tail: Buffer | string,
  apart = false,
): Buffer {
  return assembled(head, object, cutsOf(object, edits, spans), tail, apart);
}

/** An object with its edits, in pieces that share its bytes: for what is too large to be copied for a few bytes in it. */
export function piecesOf(object: Buffer, edits: Edits, spans: readonly MemberSpan[]): readonly Buffer[] {
  const pieces: Buffer[] = [];
  let from = 0;
  for (const { start, end, label, value } of cutsOf(object, edits, spans)) {
    if (start > from) pieces.push(object.subarray(from, start));
    if (label !== '') pieces.push(Buffer.from(label));
    if (value !== undefined) pieces.push(value);
    from = end;
  }
  if (from < object.length) pieces.push(object.subarray(from));
  return pieces;
}

/** The same with cuts that are known. */
export function assembled(head: Buffer | string, object: Buffer, cuts: readonly Cut[], tail: Buffer | string, apart: boolean): Buffer {
  let length = lengthOf(head) + object.length + lengthOf(tail);
  for (const { start, end, label, value } of cuts) length += lengthOf(label) + (value === undefined ? 0 : value.length) - (end - start);
  const out = apart ? Buffer.allocUnsafeSlow(length) : Buffer.allocUnsafe(length);
  let at = put(out, 0, head);
  let from = 0;
  for (const { start, end, label, value } of cuts) {
    if (start > from) at += object.copy(out, at, from, start);
    at = put(out, at, label);
    if (value !== undefined) at = put(out, at, value);
    from = end;
  }
  if (from < object.length) at += object.copy(out, at, from);
  put(out, at, tail);
  return out;
}

function lengthOf(part: Buffer | string): number {
  return typeof part === 'string' ? Buffer.byteLength(part) : part.length;
}

/** Returns the index behind what was put. */
function put(out: Buffer, at: number, part: Buffer | string): number {
  if (typeof part !== 'string') {
    out.set(part, at);
    return at + part.length;
  }
  return part === '' ? at : at + out.write(part, at);
}
