import type { z } from 'zod';
import { isJsonObject } from '../core/mcp.ts';
import { isLater, LATER_TYPES } from './later.ts';
import { typeProblem } from './leaf.ts';
import { nearest } from './nearest.ts';
import { type Node, nodeAt, type ObjectNode, type Path, pathText } from './tree.ts';

/** One thing that is wrong: where, and what. `onKey`: the key itself, not its value. */
export interface Problem {
  readonly path: Path;
  readonly message: string;
  readonly onKey?: boolean;
}

/** The issues of a parse as problems, each with what was expected and the likeliest correction. No value is quoted. */
export function problemsOf(issues: readonly z.core.$ZodIssue[], tree: Node, raw: unknown): Problem[] {
  return issues.flatMap((issue): Problem[] => {
    const path = issue.path.map((part) => (typeof part === 'symbol' ? String(part) : part));
    const value = valueAt(raw, path);
    switch (issue.code) {
      case 'unrecognized_keys':
        return issue.keys.map((key) => ({ path: [...path, key], message: unknownKey(tree, path, key, raw), onKey: true }));
      case 'invalid_union':
        return [{ path, message: wrongVariant(tree, path, value, raw) }];
      case 'custom':
        return [{ path, message: `${issue.message}${choiceHint(tree, path, value, raw)}` }];
      case 'invalid_type':
        return [{ path, message: `${value === undefined ? 'is missing' : typeProblem(value)} (expected ${nameOf(issue.expected)})` }];
      case 'too_small':
        return [{ path, message: 'is an empty list (expected at least one entry)' }];
      default:
        return [{ path, message: `is not valid (${issue.message})` }];
    }
  });
}

/** The value at a path of plain objects and lists. */
export function valueAt(raw: unknown, path: Path): unknown {
  let value = raw;
  for (const part of path) value = typeof value === 'object' && value !== null && Object.hasOwn(value, part) ? Reflect.get(value, part) : undefined;
  return value;
}

function unknownKey(tree: Node, path: Path, key: string, raw: unknown): string {
  if (isLater([...path, key])) return 'unknown key; not available in this version';
  const node = nodeAt(tree, path, raw);
  const variant = variantWith(tree, path, key);
  if (variant !== undefined) return `unknown key for this type; it belongs to ${variant}`;
  const like = node?.type === 'object' ? nearest(key, node.keys.keys()) : undefined;
  return like === undefined ? 'unknown key' : `unknown key; did you mean "${like}"?`;
}

/** The types of upstreams that do have this key, when the path is that of an upstream. */
function variantWith(tree: Node, path: Path, key: string): string | undefined {
  const parent = nodeAt(tree, path, undefined);
  if (parent?.type !== 'variants') return undefined;
  const types = [...parent.variants].filter(([, variant]: [string, ObjectNode]) => variant.keys.has(key)).map(([type]) => type);
  return types.length === 0 ? undefined : types.join(' and ');
}

function wrongVariant(tree: Node, path: Path, value: unknown, raw: unknown): string {
  const parent = nodeAt(tree, path.slice(0, -1), raw);
  const types = parent?.type === 'variants' ? [...parent.variants.keys()] : [];
  const expected = `(expected ${types.slice(0, -1).join(', ')} or ${types.at(-1)})`;
  if (value === undefined) return `is missing ${expected}`;
  if (typeof value !== 'string') return `${typeProblem(value)} ${expected}`;
  if (LATER_TYPES.includes(value)) return `is not available in this version ${expected}`;
  return `is none of the choices ${expected}${hint(value, types)}`;
}

function choiceHint(tree: Node, path: Path, value: unknown, raw: unknown): string {
  const { choices, later = [] } = nodeAt(tree, path, raw)?.declaration ?? {};
  if (choices === undefined) return '';
  const given = Array.isArray(value) ? value : typeof value === 'string' ? value.split(/[\s,]+/) : [];
  const wrong = given.find((one) => typeof one === 'string' && !choices.includes(one) && !later.includes(one));
  return typeof wrong === 'string' ? hint(wrong, choices) : '';
}

function hint(wrong: string, known: readonly string[]): string {
  const like = nearest(wrong, known);
  return like === undefined ? '' : `; did you mean "${like}"?`;
}

function nameOf(expected: string): string {
  if (expected === 'object' || expected === 'record') return 'a mapping';
  return expected === 'array' ? 'a list' : `a ${expected}`;
}

/** `path: message`, or the message alone at the top. */
export function problemText({ path, message }: Problem): string {
  return path.length === 0 ? message : `${pathText(path)}: ${message}`;
}

/** Whether a value is an object or a list. */
export function isTree(value: unknown): value is Record<string, unknown> | unknown[] {
  return Array.isArray(value) || isJsonObject(value);
}
