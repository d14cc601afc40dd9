import * as z from 'zod';
import type { Declaration } from './leaf.ts';

/** The schema as loading and describing read it: keys, kinds, defaults as they would stand in a file. */
export type Node = ObjectNode | ListNode | MapNode | VariantsNode | LeafNode;

interface Common {
  readonly declaration: Declaration;
  /** As it would stand in the file; `undefined`: none. */
  readonly defaultValue: unknown;
  /** Whether it must be given. */
  readonly required: boolean;
}

export interface ObjectNode extends Common {
  readonly type: 'object';
  readonly keys: ReadonlyMap<string, Node>;
}

export interface ListNode extends Common {
  readonly type: 'list';
  readonly items: Node;
}

export interface MapNode extends Common {
  readonly type: 'map';
  readonly values: Node;
}

/** An object whose `type` tells which keys it has. */
export interface VariantsNode extends Common {
  readonly type: 'variants';
  readonly variants: ReadonlyMap<string, ObjectNode>;
}

export interface LeafNode extends Common {
  readonly type: 'leaf';
}

export type PathPart = string | number;
export type Path = readonly PathPart[];

/** Reads a schema made of `leaf`, strict objects, arrays, records and unions by `type`. Throws on anything else. */
export function treeOf(schema: unknown): Node {
  let declaration: Declaration = {};
  let defaultValue: unknown;
  let required = true;
  let current = schema;
  for (;;) {
    if (!(current instanceof z.ZodType)) throw new TypeError('not a schema');
    declaration = { ...(current.meta() as Declaration | undefined), ...declaration };
    if (current instanceof z.ZodPrefault) {
      defaultValue = current.def.defaultValue;
      required = false;
      current = current.unwrap();
    } else if (current instanceof z.ZodExactOptional) {
      required = false;
      current = current.unwrap();
    } else if (current instanceof z.ZodPipe && declaration.kind === undefined) current = current.in;
    else break;
  }
  const common = { declaration, defaultValue, required };
  if (current instanceof z.ZodObject) {
    return { ...common, type: 'object', keys: new Map(Object.entries(current.shape).map(([key, value]) => [key, treeOf(value)])) };
  }
  if (current instanceof z.ZodArray) return { ...common, type: 'list', items: treeOf(current.element) };
  if (current instanceof z.ZodRecord) return { ...common, type: 'map', values: treeOf(current.valueType) };
  if (current instanceof z.ZodDiscriminatedUnion) return { ...common, type: 'variants', variants: new Map(current.options.map(variantOf)) };
  if (current instanceof z.ZodLiteral) {
    const choices = [...current.values].map(String);
    return { ...common, type: 'leaf', declaration: { kind: 'choice', expected: choices.join(' or '), choices, ...declaration } };
  }
  if (declaration.kind === undefined) throw new TypeError(`a setting without a kind: ${current.def.type}`);
  return { ...common, type: 'leaf' };
}

/** The node at a path of the file; for a list of variants the raw value tells which one. */
export function nodeAt(root: Node, path: Path, raw: unknown): Node | undefined {
  let node: Node | undefined = root;
  let value = raw;
  for (const part of path) {
    if (node?.type === 'variants') node = variantFor(node, value);
    node = step(node, part);
    value = typeof value === 'object' && value !== null ? Reflect.get(value, part) : undefined;
  }
  return node?.type === 'variants' ? (variantFor(node, value) ?? node) : node;
}

/** `upstreams[0].headers["X.Y"]`: how a path is written in messages. */
export function pathText(path: Path): string {
  let text = '';
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`;
    else if (!/^[A-Za-z_][A-Za-z0-9_-]*$/.test(part)) text += `[${JSON.stringify(part)}]`;
    else text += text === '' ? part : `.${part}`;
  }
  return text;
}

function step(node: Node | undefined, part: PathPart): Node | undefined {
  if (node?.type === 'object') return node.keys.get(String(part));
  if (node?.type === 'list') return node.items;
  return node?.type === 'map' ? node.values : undefined;
}

function variantFor(node: VariantsNode, value: unknown): ObjectNode | undefined {
  const type: unknown = typeof value === 'object' && value !== null ? Reflect.get(value, 'type') : undefined;
  return typeof type === 'string' ? node.variants.get(type) : undefined;
}

function variantOf(option: unknown): [string, ObjectNode] {
  const node = treeOf(option);
  const type = node.type === 'object' ? node.keys.get('type') : undefined;
  const name = type?.declaration.choices?.[0];
  if (node.type !== 'object' || name === undefined) throw new TypeError('a variant without a type');
  return [name, node];
}
