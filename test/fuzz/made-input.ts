import type { Random } from './random.ts';

/** Inputs by the million: messages from a grammar that slips now and then, and changed bytes. `message-text.ts` shrinks, this is fast. */

const STRINGS = ['', 'a', 'name', 'tools/call', 'é', '😀', '\u2028', '{', '}', '[', ']', ':', ',', 'x'.repeat(63), 'y'.repeat(64), 'z'.repeat(300)];
const LETTERS = ['a', 'bc', 'def', 'é', '{', ','];
const ESCAPES = ['\\n', '\\"', '\\\\', '\\/', '\\u0041', '\\ud83d\\ude00', '\\ud800', '\\\\\\"', '\\b', '\\f', '\\r', '\\t', '\\uABcd'];
const WRONG = ['\u0000', '\n', '\t', '\\x', '\\u12g4', '\\', '\\u123', '"'];
const NUMBERS = [
  '0',
  '-0',
  '1',
  '12',
  '-7',
  '9007199254740991',
  '9007199254740992',
  '-9007199254740991',
  '-9007199254740993',
  '0.5',
  '-1.25e-3',
  '1E+3',
  '1e999',
];
const NO_NUMBERS = ['01', '-', '+1', '.5', '1.', '1e', '1e+', '0x1', '--1', '-01', 'NaN', '123456789012345678901234'];
const LITERALS = ['true', 'false', 'null'];
const NO_LITERALS = ['tru', 'True', 'nul', 'falsey', 'nulL', '', 'undefined'];
const BLANKS = [' ', '\n', '\r\n', '\t', '  '];
const PARAMS = ['name', 'uri', 'taskId', 'arguments', '_meta', 'cursor', 'progressToken', 'progress', '__proto__', 'a', 'b'];
const RESULT = ['content', 'structuredContent', 'isError', '_meta', 'resultType', 'nextCursor', 'a', 'b'];
const PREFIX = 'io.modelcontextprotocol/';
const META = ['protocolVersion', 'clientInfo', 'clientCapabilities', 'logLevel', 'x']
  .map((word) => PREFIX + word)
  .concat('progressToken', 'turnpike/x', 'a');
const METHODS = ['tools/call', 'tools/list', 'resources/read', 'prompts/get', 'initialize', 'ping', 'notifications/progress', 'x'];

/** A mistake of a grammar is one of so many of its steps. */
const SLIP = 400;

function blank(random: Random): string {
  return random.once(6) ? random.pick(BLANKS) : '';
}

/** Of a few parts, or of so many that escapes lie across every bound of those who look at pieces. */
function stringText(random: Random): string {
  const isLong = random.once(40);
  let text = '"';
  for (let left = isLong ? 10 + random.below(200) : random.below(4); left > 0; left--) {
    text += random.once(isLong ? 2 : 4) ? random.pick(ESCAPES) : random.pick(isLong ? LETTERS : STRINGS);
  }
  if (random.once(SLIP)) text += random.pick(WRONG);
  return `${text}"`;
}

function valueText(random: Random, depth: number): string {
  if (random.once(400)) return nestedText(random);
  switch (random.below(depth > 4 ? 5 : 8)) {
    case 0:
      return random.pick(random.once(SLIP) ? NO_LITERALS : LITERALS);
    case 1:
      return random.pick(random.once(SLIP) ? NO_NUMBERS : NUMBERS);
    case 5:
    case 6: {
      const items = Array.from({ length: random.below(4) }, () => blank(random) + valueText(random, depth + 1) + blank(random));
      return `[${items.join(random.once(SLIP) ? ',,' : ',')}${random.once(SLIP) ? ',' : ''}]`;
    }
    case 7:
      return objectText(
        random,
        Array.from({ length: random.below(4) }, () => [stringText(random), valueText(random, depth + 1)]),
      );
    default:
      return stringText(random);
  }
}

/** Deep enough for the bounds of both scanners, and to exceed them. */
function nestedText(random: Random): string {
  const depth = random.pick([20, 28, 29, 30, 31, 32, 33, 495, 496, 497, 498, 499, 500, 501, 510]);
  return random.once(2) ? '['.repeat(depth) + ']'.repeat(depth) : `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`;
}

function objectText(random: Random, members: readonly (readonly [key: string, value: string])[]): string {
  const texts = members.map(
    ([key, value]) => blank(random) + key + blank(random) + (random.once(SLIP * 4) ? '' : ':') + blank(random) + value + blank(random),
  );
  return `{${texts.join(random.once(SLIP) ? random.pick(['', ',,', ';']) : ',')}${random.once(SLIP) ? ',' : ''}}`;
}

function keyText(random: Random, key: string): string {
  if (random.once(SLIP)) return `"\\u${key.charCodeAt(0).toString(16).padStart(4, '0')}${key.slice(1)}"`;
  return JSON.stringify(random.once(SLIP) ? random.pick([`${key}x`, key.slice(0, -1), 'é']) : key);
}

/** An object with some of these members in any order; they repeat now and then. */
function partText(random: Random, keys: readonly string[]): string {
  if (random.once(60)) return valueText(random, 2);
  const first = random.below(keys.length);
  const chosen = Array.from({ length: random.below(Math.min(5, keys.length)) }, (_, index) => keys[(first + index * 3) % keys.length] as string);
  if (random.once(SLIP) && chosen.length > 0) chosen.push(random.pick(chosen));
  return objectText(
    random,
    chosen.map((key) => [keyText(random, key), key === '_meta' ? partText(random, META) : valueText(random, 2)]),
  );
}

function idText(random: Random): string {
  if (random.once(40)) return valueText(random, 4);
  if (random.once(10)) return stringText(random);
  return random.once(3) ? JSON.stringify(random.pick(METHODS)) : random.pick(NUMBERS);
}

/** A message in JSON, or something close to one. */
export function messageText(random: Random): string {
  const members: [string, string][] = [['"jsonrpc"', random.once(SLIP) ? random.pick(['"2.00"', '2.0', '"1.0"', '"\\u0032.0"']) : '"2.0"']];
  const kind = random.below(5);
  if (kind !== 3) members.push([keyText(random, 'id'), kind === 2 && !random.once(4) ? random.pick(NUMBERS) : idText(random)]);
  if (kind === 2) members.push([keyText(random, 'result'), partText(random, RESULT)]);
  else {
    members.push([keyText(random, 'method'), random.once(40) ? stringText(random) : JSON.stringify(random.pick(METHODS))]);
    if (!random.once(8)) members.push([keyText(random, 'params'), partText(random, PARAMS)]);
  }
  if (random.once(6)) members.push([stringText(random), valueText(random, 2)]);
  if (random.once(30)) members.push([random.pick(['"error"', '"result"', '"method"', '"id"', '"params"', '"__proto__"']), valueText(random, 3)]);
  for (let index = members.length - 1; index > 0; index--) {
    const other = random.below(index + 1);
    [members[index], members[other]] = [members[other] as [string, string], members[index] as [string, string]];
  }
  const text = blank(random) + objectText(random, members) + blank(random);
  if (random.once(SLIP)) return `[${text}]`;
  return random.once(SLIP) ? text + random.pick(['1', '}', ',', text]) : text;
}

const TOKENS = [
  '{',
  '}',
  '[',
  ']',
  '"',
  ':',
  ',',
  '\\',
  '\\"',
  '\\u0041',
  '0',
  '-',
  '.',
  'e',
  '1e1',
  '\n',
  ' ',
  '\0',
  '"a":1,',
  '{}',
  '[]',
  'null',
  '"_meta":{}',
  '"id":1,',
].map((text) => Buffer.from(text));

/** One to four changes to `bytes`: bits, tokens, pieces of it or of `other`, taken out, put in or repeated. */
export function changedBytes(random: Random, bytes: Buffer, other: Buffer): Buffer {
  let changed = bytes;
  for (let left = random.pick([1, 1, 1, 2, 3, 4]); left > 0; left--) changed = changedOnce(random, changed, other);
  return changed.length > MAX_LENGTH ? changed.subarray(0, MAX_LENGTH) : changed;
}

/** Longest input in bytes: what is longer only costs time. */
const MAX_LENGTH = 4096;

function changedOnce(random: Random, bytes: Buffer, other: Buffer): Buffer {
  const at = random.below(bytes.length + 1);
  const before = bytes.subarray(0, at);
  const behind = bytes.subarray(at);
  const some = 1 + random.below(random.once(4) ? 40 : 4);
  switch (random.below(8)) {
    case 0: {
      const copy = Buffer.from(bytes);
      if (at < copy.length) copy[at] = (copy[at] as number) ^ (1 << random.below(8));
      return copy;
    }
    case 1:
      return Buffer.concat([before, random.pick(TOKENS), behind]);
    case 2:
      return Buffer.concat([before, random.pick(TOKENS), behind.subarray(1)]);
    case 3:
      return Buffer.concat([before, behind.subarray(some)]);
    case 4:
      return Buffer.concat([before, behind.subarray(0, some), behind]);
    case 5: {
      const from = random.below(other.length + 1);
      return Buffer.concat([before, other.subarray(from, from + some * 4), behind]);
    }
    case 6:
      return Buffer.concat([before, Buffer.of(random.below(256)), behind.subarray(random.below(2))]);
    default: {
      const from = random.below(bytes.length + 1);
      return Buffer.concat([before, bytes.subarray(from, from + some * 2), behind.subarray(some)]);
    }
  }
}

/** The next input: a new message, or a change to one that is known. */
export function nextInput(random: Random, corpus: readonly Buffer[]): Buffer {
  if (corpus.length === 0 || random.once(2)) {
    const bytes = Buffer.from(messageText(random));
    return random.once(3) ? changedBytes(random, bytes, bytes) : bytes;
  }
  return changedBytes(random, random.pick(corpus), random.pick(corpus));
}
