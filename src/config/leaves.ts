import { err, ok, type Result } from '../core/result.ts';
import { Secret } from '../core/secret.ts';
import { type Declaration, type LeafSchema, leaf, typeProblem } from './leaf.ts';
import { formatDuration, formatSize, parseDuration, parseSize } from './quantities.ts';

/** A check of a text: what is wrong with it, if anything. */
export type Check = (text: string) => string | undefined;

/** Longest text of a setting, in characters; keys and tokens are far shorter. */
const MAX_TEXT = 65_536;

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const CONTROL = /[\u0000-\u001f\u007f]/;

export function text(expected = 'a text', check?: Check, extra: Declaration = {}): LeafSchema<string> {
  return leaf({ kind: 'text', expected, schema: { type: 'string' }, ...extra }, (value) => readText(value, check));
}

/** The path of a file or folder. A relative one counts from the file that names it, or else from the working directory. */
export function path(extra: Declaration = {}): LeafSchema<string> {
  return text('a path', pathProblem, { kind: 'path', ...extra });
}

export function boolean(): LeafSchema<boolean> {
  const declaration = { kind: 'boolean', expected: 'true or false', schema: { type: 'boolean' } } as const;
  return leaf(declaration, (value) => (typeof value === 'boolean' ? ok(value) : err(typeProblem(value))));
}

export function integer(min: number, max: number = Number.MAX_SAFE_INTEGER): LeafSchema<number> {
  const limited = max < Number.MAX_SAFE_INTEGER;
  const expected = limited ? `an integer from ${min} to ${max}` : `an integer of at least ${min}`;
  const schema = { type: 'integer', minimum: min, ...(limited ? { maximum: max } : {}) };
  return leaf({ kind: 'integer', expected, schema }, (value) => {
    if (typeof value !== 'number') return err(typeProblem(value));
    if (!Number.isSafeInteger(value)) return err('is no integer');
    return inRange(value, min, max);
  });
}

/** A number; `above` excludes its limit, `min` includes it. */
export function number({ above, min, max }: { readonly above?: number; readonly min?: number; readonly max?: number }): LeafSchema<number> {
  const low = above === undefined ? `of at least ${min ?? 0}` : `above ${above}`;
  const expected = max === undefined ? `a number ${low}` : `a number from ${min ?? 0} to ${max}`;
  const bounds = { ...(above === undefined ? { minimum: min ?? 0 } : { exclusiveMinimum: above }), ...(max === undefined ? {} : { maximum: max }) };
  return leaf({ kind: 'number', expected, schema: { type: 'number', ...bounds } }, (value) => {
    if (typeof value !== 'number') return err(typeProblem(value));
    if (!Number.isFinite(value)) return err('is no finite number');
    if (above !== undefined && value <= above) return err('is too small');
    return inRange(value, min ?? Number.NEGATIVE_INFINITY, max ?? Number.POSITIVE_INFINITY);
  });
}

/** A duration, in milliseconds once read. */
export function duration({ min = 0, max }: { readonly min?: number; readonly max?: number } = {}): LeafSchema<number> {
  const range =
    max === undefined ? (min === 0 ? '' : ` of at least ${formatDuration(min)}`) : ` from ${formatDuration(min)} to ${formatDuration(max)}`;
  const expected = `a duration such as 250ms, 30s, 5m, 1h, 90d${range === '' ? '' : `,${range}`}`;
  const schema = { type: ['string', 'integer'], pattern: '^(0|[0-9]+([.][0-9]+)?(ms|s|m|h|d))$', minimum: 0, maximum: 0 };
  return leaf({ kind: 'duration', expected, schema }, (value) => {
    if (typeof value !== 'string' && typeof value !== 'number') return err(typeProblem(value));
    const parsed = parseDuration(value);
    return parsed.ok ? inRange(parsed.value, min, max ?? Number.POSITIVE_INFINITY) : parsed;
  });
}

/** A size, in bytes once read. */
export function size(min: number, max: number): LeafSchema<number> {
  const expected = `a size such as 1048576 or 4MiB, from ${formatSize(min)} to ${formatSize(max)}`;
  const schema = { type: ['string', 'integer'], pattern: '^[0-9]+([.][0-9]+)?(B|KiB|MiB|GiB)?$', minimum: min, maximum: max };
  return leaf({ kind: 'size', expected, schema }, (value) => {
    if (typeof value !== 'string' && typeof value !== 'number') return err(typeProblem(value));
    const parsed = parseSize(value);
    return parsed.ok ? inRange(parsed.value, min, max) : parsed;
  });
}

/** One of a few words. `later` are words that only a later release knows. */
export function choice<const T extends string>(choices: readonly T[], later: readonly string[] = []): LeafSchema<T> {
  const declaration = { kind: 'choice', expected: oneOf(choices), schema: { enum: choices }, choices, later } as const;
  return leaf(declaration, (value) => {
    const found = choices.find((one) => one === value);
    return found === undefined ? err(choiceProblem(value, later)) : ok(found);
  });
}

/** A list of words: a list, or one text with commas. */
export function words(expected: string, check?: Check, { min = 0, separator = /,/, ...extra }: WordsOptions = {}): LeafSchema<string[]> {
  return wordList(expected, (word) => readText(word, check), { min, separator, ...extra }, { type: 'string' });
}

/** A list of some of a few words. */
export function choices<const T extends string>(
  all: readonly T[],
  { later = [], min = 0, separator = /,/, ...extra }: WordsOptions = {},
): LeafSchema<T[]> {
  const read = (word: unknown) => {
    const found = all.find((one) => one === word);
    return found === undefined ? err(choiceProblem(word, later)) : ok(found);
  };
  return wordList(`a list of ${oneOf(all)}`, read, { min, separator, choices: all, later, ...extra }, { enum: all });
}

/** Arguments and other lists whose order and content are kept as they are: never split at commas. */
export function argumentList(): LeafSchema<string[]> {
  const schema = { type: 'array', items: { type: 'string' } };
  const declaration = { kind: 'words', expected: 'a list of texts', schema } as const;
  return leaf(declaration, (value) => {
    if (!Array.isArray(value)) return err(typeProblem(value));
    const wrong = value.findIndex((one) => typeof one !== 'string' || one.includes('\0'));
    if (wrong === -1) return ok(value.map(String));
    return err(`has at place ${wrong + 1} what ${typeProblem(value[wrong])}${typeof value[wrong] === 'string' ? ' with a NUL' : ''}`);
  });
}

/** A secret. It becomes a `Secret`, is printed as `***` and has no flag. */
export function secret(expected: string, check?: Check, extra: Declaration = {}): LeafSchema<Secret> {
  const declaration = { kind: 'secret', secret: true, expected, schema: { type: 'string' }, ...extra } as const;
  return leaf(declaration, (value) => {
    const read = value === '' && extra.mayBeEmpty === true ? ok('') : readText(value, check);
    return read.ok ? ok(new Secret(read.value)) : read;
  });
}

/** The twin of a secret: the path of the file that holds it, last newline cut. The loader reads it. */
export function secretFile(twinOf: string): LeafSchema<string> {
  return path({ twinOf, description: `Path of a file that holds \`${twinOf}\`; its last newline is cut.` });
}

/** A day (`2027-06-30`, its first instant in UTC) or an instant (RFC 3339). */
export function date(): LeafSchema<Date> {
  const schema = { type: 'string', pattern: '^[0-9]{4}-[0-9]{2}-[0-9]{2}' };
  return leaf({ kind: 'date', expected: 'a date such as 2027-06-30 or 2027-06-30T12:00:00Z', schema }, (value) => {
    if (typeof value !== 'string') return err(typeProblem(value));
    const day = /^(\d{4}-\d{2}-\d{2})(T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2}))?$/.exec(value)?.[1];
    const time = Date.parse(value);
    // Date.parse rolls 2027-02-30 over into March for some forms: such a day is no date.
    if (day === undefined || Number.isNaN(time) || !isDay(day)) return err('is no date');
    return ok(new Date(time));
  });
}

/** Reads a text, and says what is wrong with it. */
export function readText(value: unknown, check?: Check): Result<string, string> {
  if (typeof value !== 'string') return err(typeProblem(value));
  if (value === '') return err('is empty');
  if (value.length > MAX_TEXT) return err(`is longer than ${MAX_TEXT} characters`);
  const problem = check?.(value);
  return problem === undefined ? ok(value) : err(problem);
}

export function hasControlCharacters(value: string): boolean {
  return CONTROL.test(value);
}

/** Words that may be numbers, too, as YAML takes ids for: they are read as texts. */
export function wordsOrNumbers(expected: string): LeafSchema<string[]> {
  return wordList(expected, (word) => readText(textOf(word)), { min: 0, separator: /,/ }, { type: ['string', 'integer'] });
}

/** As `text`, or a number, which is read as a text. */
export function textOrNumber(expected: string): LeafSchema<string> {
  return leaf({ kind: 'text', expected, schema: { type: ['string', 'integer'] } }, (value) => readText(textOf(value)));
}

function textOf(value: unknown): unknown {
  return Number.isSafeInteger(value) ? String(value) : value;
}

interface WordsOptions extends Declaration {
  readonly min?: number;
  readonly separator?: RegExp;
}

type Required<T, K extends keyof T> = T & { readonly [P in K]-?: T[P] };

function wordList<T extends string>(
  expected: string,
  read: (word: unknown) => Result<T, string>,
  { min, separator, ...extra }: Required<WordsOptions, 'min' | 'separator'>,
  items: Readonly<Record<string, unknown>>,
): LeafSchema<T[]> {
  const schema = { anyOf: [{ type: 'array', items, ...(min === 0 ? {} : { minItems: min }) }, { type: 'string' }] };
  return leaf({ kind: 'words', expected, schema, ...extra }, (value) => {
    const parts = typeof value === 'string' ? split(value, separator) : value;
    if (!Array.isArray(parts)) return err(typeProblem(value));
    if (parts.length < min) return err('is an empty list');
    const list: T[] = [];
    for (const [index, part] of parts.entries()) {
      const word = read(part);
      if (!word.ok) return err(`has at place ${index + 1} what ${word.error}`);
      if (list.includes(word.value)) return err(`has at place ${index + 1} what it has already`);
      list.push(word.value);
    }
    return ok(list);
  });
}

function split(value: string, separator: RegExp): string[] {
  const parts = value.split(separator).map((part) => part.trim());
  return parts.length === 1 && parts[0] === '' ? [] : parts;
}

function inRange(value: number, min: number, max: number): Result<number, string> {
  if (value < min) return err('is too small');
  return value > max ? err('is too large') : ok(value);
}

function oneOf(choices: readonly string[]): string {
  return choices.length === 1 ? `${choices[0]}` : `${choices.slice(0, -1).join(', ')} or ${choices.at(-1)}`;
}

function choiceProblem(value: unknown, later: readonly string[]): string {
  if (typeof value !== 'string') return typeProblem(value);
  return later.includes(value) ? 'is not available in this version' : 'is none of the choices';
}

function pathProblem(value: string): string | undefined {
  return hasControlCharacters(value) ? 'has control characters' : undefined;
}

function isDay(day: string): boolean {
  const parsed = new Date(`${day}T00:00:00Z`);
  return !Number.isNaN(parsed.getTime()) && parsed.toISOString().startsWith(day);
}
