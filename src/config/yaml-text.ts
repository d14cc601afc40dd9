import { stringify } from 'yaml';

/** A value as one line of YAML: texts plain where they may be, lists and mappings in their flow form. */
export function flow(value: unknown): string {
  return stringify(value, { collectionStyle: 'flow', lineWidth: 0, flowCollectionPadding: false, singleQuote: true, blockQuote: false }).trimEnd();
}
