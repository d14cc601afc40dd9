import { type Edits, editObject, elements, memberSpans, toJson } from '../core/json.ts';
import { cutHidden } from './hidden-text.ts';
import { MAP_VALUED } from './schema-limits.ts';

/** Members that describe. Hidden characters elsewhere may have a meaning to the upstream and are only flagged. */
const DESCRIBING: ReadonlySet<string> = new Set(['description', 'title']);
/** Members whose content is data. */
const DATA: ReadonlySet<string> = new Set(['_meta', 'const', 'default', 'enum', 'examples']);

const QUOTE = 0x22;
const OPEN_OBJECT = 0x7b;
const OPEN_ARRAY = 0x5b;

/**
 * Cuts hidden characters from every `description` and `title` of a definition, those of schemas and prompt arguments
 * included. Returns the same buffer if there was nothing to cut; every other byte stays.
 */
export function cutDescriptions(value: Buffer): Buffer {
  return cutIn(value, false);
}

/** `named`: the keys are names chosen by the upstream (as in `properties`), not keywords. */
function cutIn(value: Buffer, named: boolean): Buffer {
  if (value[0] === OPEN_OBJECT) return cutInObject(value, named);
  return value[0] === OPEN_ARRAY ? cutInArray(value) : value;
}

function cutInObject(object: Buffer, named: boolean): Buffer {
  const values = new Map<string, Buffer>();
  const changed = new Set<string>();
  for (const { key, valueStart, end } of memberSpans(object)) {
    const before = object.subarray(valueStart, end);
    const after = cutMember(key, before, named);
    values.set(key, after);
    if (after !== before) changed.add(key);
  }
  if (changed.size === 0) return object;
  // Of a repeated member the last value counts, also when only an earlier one was cut.
  return editObject(object, Object.fromEntries([...values].filter(([key]) => changed.has(key))) satisfies Edits);
}

function cutMember(key: string, value: Buffer, named: boolean): Buffer {
  if (value[0] !== QUOTE) return !named && DATA.has(key) ? value : cutIn(value, !named && MAP_VALUED.has(key));
  if (named || !DESCRIBING.has(key)) return value;
  const text = JSON.parse(value.toString('utf8')) as string;
  const cut = cutHidden(text);
  return cut === text ? value : toJson(cut);
}

function cutInArray(array: Buffer): Buffer {
  const parts: Buffer[] = [];
  let at = 0;
  for (const before of elements(array)) {
    const after = cutIn(before, false);
    if (after === before) continue;
    const start = before.byteOffset - array.byteOffset;
    parts.push(array.subarray(at, start), after);
    at = start + before.length;
  }
  return parts.length === 0 ? array : Buffer.concat([...parts, array.subarray(at)]);
}
