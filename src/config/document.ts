import { type Alias, type Document, isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, type Node as YamlNode } from 'yaml';
import { err, ok, type Result } from '../core/result.ts';
import { type Path, pathText } from './tree.ts';

/** Largest configuration file, in bytes. */
export const MAX_FILE_BYTES = 4 * 1024 * 1024;
/** Aliases that are followed before the file is taken for a bomb: the bound of the yaml package itself. */
const MAX_ALIASES = 100;
const MAX_NODES = 200_000;
const MAX_DEPTH = 64;
const MAX_PROBLEMS = 20;

/** A place in a file; both count from 1. */
export interface Place {
  readonly line: number;
  readonly column: number;
}

/** Something wrong with the file itself. */
export interface FileProblem {
  readonly place?: Place;
  readonly path?: Path;
  readonly message: string;
}

/** A file as plain values, and where each came from. */
export interface SourceFile {
  readonly value: unknown;
  /** Places of keys and of values, by `pathText`. */
  readonly keyPlaces: ReadonlyMap<string, Place>;
  readonly valuePlaces: ReadonlyMap<string, Place>;
}

/** Reads YAML 1.2, or JSON by its name. Pure; every problem that the parser finds is told. */
export function readDocument(name: string, bytes: Uint8Array): Result<SourceFile, readonly FileProblem[]> {
  if (bytes.length > MAX_FILE_BYTES) return err([{ message: `the file is larger than ${MAX_FILE_BYTES / 1024 ** 2} MiB` }]);
  let text: string;
  try {
    // A UTF-8 byte order mark, as some editors write it, is dropped here.
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return err([{ place: { line: 1, column: 1 }, message: 'the file is not valid UTF-8' }]);
  }
  if (text.includes('\0')) return err([{ place: placeIn(text, text.indexOf('\0')), message: 'the file holds a NUL character' }]);
  if (name.toLowerCase().endsWith('.json')) {
    const problem = jsonProblem(text);
    if (problem !== undefined) return err([problem]);
    // Valid JSON holds tabs between its tokens only; as indentation YAML would refuse them.
    text = text.replaceAll('\t', ' ');
  }
  return readYaml(text);
}

function readYaml(text: string): Result<SourceFile, readonly FileProblem[]> {
  const lines = new LineCounter();
  const document = parse(text, lines);
  if (document === undefined) return err([{ message: 'the file is nested too deeply' }]);
  const problems = [...document.errors, ...document.warnings].map((problem) => ({
    place: placeAt(lines, problem.pos[0]),
    // Some messages of the parser go on with an extract of the file, which may hold a secret.
    message:
      problem.code === 'MULTIPLE_DOCS'
        ? 'the file holds several documents (expected one)'
        : lowerFirst(problem.message.split('\n', 1)[0] ?? '').replace(/: .*/, ''),
  }));
  // One slip may be told by the parser at every level around it.
  if (problems.some(({ message }) => message.includes('call stack'))) return err([{ message: 'the file is nested too deeply' }]);
  const distinct = [...new Map(problems.map((problem) => [JSON.stringify(problem), problem])).values()];
  if (distinct.length > 0) return err(distinct.slice(0, MAX_PROBLEMS));
  if (document.contents === null) return err([{ place: { line: 1, column: 1 }, message: 'the file is empty (expected a mapping of sections)' }]);
  const walk = new Walk(document, lines);
  const value = walk.read(document.contents, [], 0);
  if (walk.problems.length === 0 && !isMap(document.contents)) {
    walk.problems.push({
      place: placeAt(lines, document.contents.range?.[0] ?? 0),
      message: 'the file holds no mapping (expected a mapping of sections)',
    });
  }
  return walk.problems.length > 0 ? err(walk.problems) : ok({ value, keyPlaces: walk.keyPlaces, valuePlaces: walk.valuePlaces });
}

/** Turns nodes into plain values and remembers their places. */
class Walk {
  readonly problems: FileProblem[] = [];
  readonly keyPlaces = new Map<string, Place>();
  readonly valuePlaces = new Map<string, Place>();
  readonly #document: Document;
  readonly #lines: LineCounter;
  #aliases = 0;
  #nodes = 0;
  #stopped = false;

  constructor(document: Document, lines: LineCounter) {
    this.#document = document;
    this.#lines = lines;
  }

  read(node: unknown, path: Path, depth: number): unknown {
    if (this.#stopped) return undefined;
    if (++this.#nodes > MAX_NODES) return this.#stop(node, 'the file holds too many values');
    if (depth > MAX_DEPTH) return this.#stop(node, 'the file is nested too deeply');
    if (isAlias(node)) return this.#alias(node, path, depth);
    if (isScalar(node)) {
      this.#place(path, node);
      return typeof node.value === 'bigint' ? Number(node.value) : node.value;
    }
    if (isSeq(node)) {
      this.#place(path, node);
      return node.items.map((item, index) => this.read(item, [...path, index], depth + 1));
    }
    if (!isMap(node)) return null;
    this.#place(path, node);
    const object: Record<string, unknown> = {};
    for (const { key, value } of node.items) {
      const name = isScalar(key) ? (key.value === null ? undefined : String(key.value)) : undefined;
      const place = placeAt(this.#lines, (key as YamlNode | null)?.range?.[0] ?? 0);
      if (name === undefined) {
        this.problems.push({ place, path, message: 'has a key that is no text' });
        continue;
      }
      this.keyPlaces.set(pathText([...path, name]), place);
      const read = this.read(value, [...path, name], depth + 1);
      // Never by assignment: `__proto__` must stay an ordinary (unknown) key.
      Object.defineProperty(object, name, { value: read, enumerable: true, writable: true, configurable: true });
    }
    return object;
  }

  #alias(node: Alias, path: Path, depth: number): unknown {
    if (++this.#aliases > MAX_ALIASES) return this.#stop(node, `the file follows more than ${MAX_ALIASES} aliases`);
    const anchored = node.resolve(this.#document);
    if (anchored === undefined) return this.#stop(node, 'an alias names no anchor before it');
    return this.read(anchored, path, depth + 1);
  }

  #place(path: Path, node: YamlNode): void {
    this.valuePlaces.set(pathText(path), placeAt(this.#lines, node.range?.[0] ?? 0));
  }

  #stop(node: unknown, message: string): undefined {
    this.#stopped = true;
    this.problems.push({ place: placeAt(this.#lines, (node as YamlNode).range?.[0] ?? 0), message });
    return undefined;
  }
}

function parse(text: string, lineCounter: LineCounter): Document.Parsed | undefined {
  try {
    return parseDocument(text, { lineCounter, prettyErrors: false, uniqueKeys: true, version: '1.2', merge: false });
  } catch (error) {
    // The parser recurses: thousands of brackets exhaust the stack before any bound of ours is asked.
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

function jsonProblem(text: string): FileProblem | undefined {
  if (text.trim() === '') return { place: { line: 1, column: 1 }, message: 'the file is empty (expected an object of sections)' };
  try {
    JSON.parse(text);
    return undefined;
  } catch (error) {
    if (error instanceof RangeError) return { message: 'the file is nested too deeply' };
    return { place: placeIn(text, validPrefix(text)), message: 'the file is not valid JSON from here on' };
  }
}

/** Length of the longest beginning that valid JSON may have. The parser tells it for some mistakes only, and quotes the file. */
function validPrefix(text: string): number {
  let valid = 0;
  let invalid = text.length + 1;
  while (invalid - valid > 1) {
    const middle = Math.floor((valid + invalid) / 2);
    if (mayGoOn(text.slice(0, middle))) valid = middle;
    else invalid = middle;
  }
  return valid;
}

function mayGoOn(prefix: string): boolean {
  try {
    JSON.parse(prefix);
    return true;
  } catch (error) {
    const message = String(error);
    return /end of JSON input|Unterminated/.test(message) || Number(/at position (\d+)/.exec(message)?.[1] ?? -1) >= prefix.length;
  }
}

function placeAt(lines: LineCounter, offset: number): Place {
  const { line, col } = lines.linePos(offset);
  return { line: Math.max(1, line), column: Math.max(1, col) };
}

function placeIn(text: string, offset: number): Place {
  const before = text.slice(0, offset).split('\n');
  return { line: before.length, column: (before.at(-1)?.length ?? 0) + 1 };
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
