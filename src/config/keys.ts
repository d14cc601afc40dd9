import { configSchema } from './schema.ts';
import { type LeafNode, type Node, treeOf } from './tree.ts';

/** The schema of `schema.ts` as a tree. */
export const CONFIG_TREE: Node = treeOf(configSchema);

/** One setting that is not inside a list or a map: it has a variable, and a flag if it is no secret. */
export interface Key {
  readonly path: readonly string[];
  readonly node: LeafNode;
  /** `TURNPIKE_LISTEN_MAX_BODY_BYTES`. */
  readonly variable: string;
  /** `--listen-max-body-bytes`. */
  readonly flag?: string;
}

/** All settings with a variable, in the order of the schema. */
export const KEYS: readonly Key[] = collect(CONFIG_TREE, []);

function collect(node: Node, path: readonly string[]): Key[] {
  if (node.type === 'object') return [...node.keys].flatMap(([key, child]) => collect(child, [...path, key]));
  if (node.type !== 'leaf') return [];
  const words = path.flatMap(wordsOf);
  const flag = node.declaration.secret === true ? {} : { flag: `--${words.join('-')}` };
  return [{ path, node, variable: `TURNPIKE_${words.join('_').toUpperCase()}`, ...flag }];
}

/** `maxBodyBytes` → `max`, `body`, `bytes` (configuration.md, "Other sources"). */
function wordsOf(key: string): string[] {
  return key
    .replaceAll(/([A-Z])/g, ' $1')
    .toLowerCase()
    .split(' ');
}
