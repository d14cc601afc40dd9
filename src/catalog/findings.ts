import type { CapabilityKind } from '../core/ports.ts';

/** Why something is not listed, or is listed and looks wrong. */
export type FindingRule =
  | 'collision'
  | 'family-fallback'
  | 'hidden-characters'
  | 'instructions'
  | 'malformed'
  | 'name'
  | 'network-reference'
  | 'parameter-header'
  | 'schema'
  | 'template';

/** What the operator is told about one capability of one upstream. */
export interface Finding {
  readonly upstream: string;
  readonly kind: CapabilityKind;
  /** Name or URI as the upstream gave it, hidden characters made visible. */
  readonly name: string;
  readonly rule: FindingRule;
  /** Whether it left list and call (tools, prompts) or the list (resources, templates). */
  readonly dropped: boolean;
  readonly text: string;
}

/** One text per finding, for telling new ones from known ones. */
export function findingKey({ upstream, kind, name, rule, dropped, text }: Finding): string {
  return JSON.stringify([upstream, kind, name, rule, dropped, text]);
}
