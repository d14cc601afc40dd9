import type { Place } from './document.ts';
import { isTree, type Problem, problemText } from './problems.ts';
import { type LeafNode, type Node, nodeAt, type Path, pathText } from './tree.ts';

/** Where a setting came from. */
export interface Origin {
  readonly source: 'default' | 'file' | 'environment' | 'flag';
  /** `turnpike.yaml:3:5`, `TURNPIKE_LISTEN_PORT`, `--listen-port`; absent for defaults. */
  readonly where?: string;
}

/** The file with what was laid over it: plain values on their way to the schema, each with its origin. */
export class Draft {
  readonly raw: Record<string, unknown>;
  /** Paths whose value is text of a variable, a flag or a reference, so that numbers are still to be read from it. */
  readonly texts = new Set<string>();
  /** Paths whose value came, wholly or in part, from a reference. */
  readonly referenced = new Set<string>();
  readonly #laidOver = new Map<string, Origin>();
  /** Path of a setting → path of the setting that it was taken from. */
  readonly #aliases = new Map<string, Path>();
  readonly #file: string | undefined;
  readonly #keyPlaces: ReadonlyMap<string, Place>;
  readonly #valuePlaces: ReadonlyMap<string, Place>;

  constructor(
    file: string | undefined,
    raw: Record<string, unknown>,
    places: { readonly keyPlaces: ReadonlyMap<string, Place>; readonly valuePlaces: ReadonlyMap<string, Place> },
  ) {
    this.#file = file;
    this.raw = raw;
    this.#keyPlaces = places.keyPlaces;
    this.#valuePlaces = places.valuePlaces;
  }

  /** Lays text over whatever stands at `path`; does nothing where the file has no mapping to hold it (told elsewhere). */
  lay(path: readonly string[], value: unknown, origin: Origin, replaces?: string): void {
    let object = this.raw;
    for (const part of path.slice(0, -1)) {
      if (!Object.hasOwn(object, part)) object[part] = {};
      const next = object[part];
      if (!isTree(next) || Array.isArray(next)) return;
      object = next;
    }
    // A secret and the file of it are one setting: the stronger source replaces both.
    if (replaces !== undefined) delete object[replaces];
    object[path.at(-1) ?? ''] = value;
    this.#laidOver.set(pathText(path), origin);
    if (typeof value === 'string') this.texts.add(pathText(path));
  }

  /** Says that the setting at `path` was taken from the one at `from`. */
  alias(path: Path, from: Path): void {
    this.#aliases.set(pathText(path), from);
  }

  isAlias(path: Path): boolean {
    return this.#aliases.has(pathText(path));
  }

  origin(path: Path): Origin {
    const from = this.#aliases.get(pathText(path)) ?? path;
    const text = pathText(from);
    const laid = this.#laidOver.get(text);
    if (laid !== undefined) return laid;
    const place = this.#valuePlaces.get(text);
    return place === undefined ? { source: 'default' } : { source: 'file', where: `${this.#file}:${place.line}:${place.column}` };
  }

  /** One line for a problem: file, line and column, or variable, or flag; then the setting, then what is wrong. */
  line(problem: Problem): string {
    const path = this.#aliases.get(pathText(problem.path)) ?? problem.path;
    const where = this.#where(path, problem.onKey === true);
    return `${where === undefined ? '' : `${where} `}${problemText({ ...problem, path })}`;
  }

  /** Where a problem is in the file, to list problems in its order; those of variables and flags come last. */
  rank({ path, onKey }: Problem): readonly [number, number] {
    const from = this.#aliases.get(pathText(path)) ?? path;
    if (this.#laidOver.has(pathText(from))) return [Number.MAX_SAFE_INTEGER, 0];
    const place = this.#place(from, onKey === true);
    return place === undefined ? [Number.MAX_SAFE_INTEGER, 1] : [place.line, place.column];
  }

  #where(path: Path, onKey: boolean): string | undefined {
    const laid = this.#laidOver.get(pathText(path))?.where;
    if (laid !== undefined) return laid;
    const place = this.#place(path, onKey);
    return place === undefined ? this.#file : `${this.#file}:${place.line}:${place.column}`;
  }

  /** The place of a setting, or of the innermost one around it that stands in the file. */
  #place(path: Path, onKey: boolean): Place | undefined {
    const places = onKey ? this.#keyPlaces : this.#valuePlaces;
    const own = places.get(pathText(path));
    if (own !== undefined) return own;
    for (let length = path.length; length > 0; length--) {
      const text = pathText(path.slice(0, length));
      const place = this.#keyPlaces.get(text) ?? this.#valuePlaces.get(text);
      if (place !== undefined) return place;
    }
    return this.#valuePlaces.get('');
  }
}

/** One setting that stands in a draft. */
export interface Found {
  readonly path: Path;
  readonly node: LeafNode;
  readonly holder: Record<string, unknown> | unknown[];
  readonly key: string | number;
  readonly value: unknown;
}

/** All settings that stand in plain values and that the schema knows. A copy: the values may be changed meanwhile. */
export function settingsIn(tree: Node, raw: unknown): Found[] {
  const found: Found[] = [];
  const visit = (value: unknown, path: Path): void => {
    if (!isTree(value)) return;
    for (const [name, child] of Object.entries(value)) {
      const key = Array.isArray(value) ? Number(name) : name;
      const here = [...path, key];
      const node = nodeAt(tree, here, raw);
      if (node?.type === 'leaf') found.push({ path: here, node, holder: value, key, value: child });
      else if (node !== undefined) visit(child, here);
    }
  };
  visit(raw, []);
  return found;
}

/** Puts a value where a setting stands. Never by assignment: a name like `__proto__` must stay a name. */
export function put(holder: Record<string, unknown> | unknown[], key: string | number, value: unknown): void {
  Object.defineProperty(holder, key, { value, enumerable: true, writable: true, configurable: true });
}
