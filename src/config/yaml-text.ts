import { stringify } from 'yaml';
import type { Node } from './tree.ts';

/** A value as one line of YAML: texts plain where they may be, lists and mappings in their flow form. */
export function flow(value: unknown): string {
  return stringify(value, { collectionStyle: 'flow', lineWidth: 0, flowCollectionPadding: false, singleQuote: true, blockQuote: false }).trimEnd();
}

/** The default as it would stand in the file, on one line. */
export function defaultOf(node: Node): string | undefined {
  if (node.declaration.defaultText !== undefined) return node.declaration.defaultText;
  return node.defaultValue === undefined ? undefined : flow(node.defaultValue);
}
