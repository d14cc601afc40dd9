import type { Check, Results } from './referee.ts';
import type { Requirements } from './requirements.ts';

/** What a cell gave. */
export interface Score {
  readonly required: { readonly passed: number; readonly total: number };
  /** Scenarios that do not count for the referee, but for us. */
  readonly extra: { readonly passed: readonly string[]; readonly failed: readonly string[] };
  /** Required scenarios that failed. */
  readonly failed: readonly string[];
  /** Scenarios that passed because nothing was looked at: each of their checks was skipped or only informs. */
  readonly hollow: readonly string[];
  /** `scenario: check`, sorted. */
  readonly warnings: readonly string[];
}

/** The pinned numbers of one cell (`expected.json`). */
export interface Pinned {
  readonly required: number;
  readonly extra: readonly string[];
  readonly hollow: readonly string[];
  readonly warnings: readonly string[];
}

/** A scenario passes if it left checks and none of them failed; one without a result did not pass. */
export function passes(checks: readonly Check[] | undefined): boolean {
  return checks !== undefined && checks.length > 0 && checks.every(({ status }) => status !== 'FAILURE');
}

/** Nothing of a scenario was looked at. */
function isHollow(checks: readonly Check[] | undefined): boolean {
  return checks !== undefined && checks.length > 0 && checks.every(({ status }) => status === 'SKIPPED' || status === 'INFO');
}

export function score(results: Results, { required, extra }: Requirements): Score {
  const passed = (name: string): boolean => passes(results.get(name));
  const wanted = new Map([...results].filter(([name]) => required.includes(name) || extra.includes(name)));
  const warnings = [...wanted].flatMap(([name, checks]) => checks.filter(({ status }) => status === 'WARNING').map(({ id }) => `${name}: ${id}`));
  return {
    required: { passed: required.filter(passed).length, total: required.length },
    extra: { passed: extra.filter(passed), failed: extra.filter((name) => !passed(name)) },
    failed: required.filter((name) => !passed(name)),
    hollow: [...required, ...extra].filter((name) => isHollow(results.get(name))),
    warnings: [...new Set(warnings)].sort(),
  };
}

/** What the referee says of a check that a server without a tool of the fixtures gives it no chance to make. */
const UNMADE = /^Not testable: server does not list the diagnostic tool |^Mutated the \w+ list but no /;

/** The results of a server that has none of the fixtures' tools, and the checks, `scenario: check`, that could not be made for it. */
export function withoutFixtureTools(results: Results): { readonly made: Results; readonly unmade: readonly string[] } {
  const unmade: string[] = [];
  const made = [...results].map(([name, checks]): [string, readonly Check[]] => {
    const kept = checks.map((check): Check => {
      if (!UNMADE.test(check.errorMessage ?? '')) return check;
      unmade.push(`${name}: ${check.id}`);
      return { ...check, status: 'SKIPPED' };
    });
    return [name, kept];
  });
  return { made: new Map(made), unmade };
}

/** What is worse than pinned, in words; empty if nothing is. */
export function shortfalls(found: Score, pinned: Pinned): string[] {
  const lost = pinned.extra.filter((name) => !found.extra.passed.includes(name));
  const emptied = found.hollow.filter((name) => !pinned.hollow.includes(name));
  const fresh = found.warnings.filter((warning) => !pinned.warnings.includes(warning));
  return [
    ...(found.required.passed < pinned.required ? [`required ${found.required.passed}, pinned ${pinned.required}: ${found.failed.join(', ')}`] : []),
    ...lost.map((name) => `extra scenario fell: ${name}`),
    ...emptied.map((name) => `nothing is looked at any more: ${name}`),
    ...fresh.map((warning) => `new warning: ${warning}`),
  ];
}

/** Why scenarios did not pass: their failed checks with the referee's words, cut short. */
export function reasons(results: Results, scenarios: readonly string[]): string[] {
  return scenarios.flatMap((name) => {
    const checks = results.get(name);
    if (!checks || checks.length === 0) return [`${name}: left no result`];
    const failed = checks.filter(({ status }) => status === 'FAILURE');
    return failed.map(({ id, errorMessage }) => `${name}: ${id}: ${(errorMessage ?? '').slice(0, 300)}`);
  });
}
