import fc from 'fast-check';
import { expect, it } from 'vitest';
import { compilePolicy, decide } from '../../catalog/policy.ts';
import type { CatalogSettings } from '../../catalog/settings.ts';
import { type Grounds, groundsOf, verdictOf } from './grounds.ts';

const names = fc.constantFrom('read_file', 'delete_file', 'kubectl_delete', 'cleanup', 'echo');
const patterns = fc.array(fc.constantFrom('*', 'read_*', 'delete_*', 'echo', '?leanup', '[k-m]ubectl_*'), { maxLength: 2 });
const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
const tools = fc.record({ allow: optional(patterns), deny: optional(patterns), readOnly: optional(patterns), trustAnnotations: fc.boolean() });
const settings: fc.Arbitrary<Pick<CatalogSettings, 'policy' | 'upstreams'>> = fc.record({
  policy: fc.record({
    denylist: fc.record({
      extra: fc.array(names, { maxLength: 2 }),
      except: fc.array(
        fc.tuple(fc.constantFrom('a', 'b'), names).map(([upstream, tool]) => `${upstream}:${tool}`),
        { maxLength: 2 },
      ),
    }),
    annotations: fc.constantFrom('enforce', 'ignore'),
    nonDestructive: fc.boolean(),
    yolo: fc.boolean(),
  }),
  upstreams: fc.tuple(tools, tools).map(([a, b]) => [
    { name: 'a', type: 'gitlab', naming: 'prefixed' as const, tools: a },
    { name: 'b', naming: 'prefixed' as const, tools: b },
  ]),
});
const subjects = fc.record({
  upstream: fc.constantFrom('a', 'b', 'c'),
  originalName: names,
  annotations: fc.oneof(
    fc.record({ destructiveHint: fc.boolean(), readOnlyHint: fc.boolean(), idempotentHint: fc.boolean() }, { requiredKeys: [] }),
    fc.constantFrom(undefined, null, 'x', { destructiveHint: 'true' }),
  ),
  meta: fc.constantFrom(undefined, 'x', { 'turnpike/withheld': { rule: 'gitlab.readOnly', text: 'no' } }),
});

it('names the rule by which the policy decided, whatever the settings', () => {
  const seen = new Set<Grounds['verdict']>();
  fc.assert(
    fc.property(subjects, settings, (subject, given) => {
      const { verdict } = groundsOf(subject, given);
      seen.add(verdict);
      expect(verdict).toBe(verdictOf(decide(subject, compilePolicy(given))));
    }),
    { numRuns: 3000 },
  );
  expect([...seen].sort()).toEqual(['annotations', 'denylist', 'gitlab.readOnly', 'hidden', 'idempotent', 'non-destructive', 'read-only', 'write']);
});

it('what is said to lift a refusal lifts it', () => {
  fc.assert(
    fc.property(subjects, settings, ({ upstream, ...subject }, given) => {
      const here = { upstream, ...subject };
      const { verdict, lift } = groundsOf(here, given);
      expect(lift === undefined).toBe(
        !['denylist', 'annotations', 'non-destructive', 'gitlab.readOnly', 'hidden'].includes(verdict) || upstream === 'c',
      );
      if (verdict !== 'denylist' && verdict !== 'annotations') return;
      const except = [...given.policy.denylist.except, `${upstream}:${subject.originalName}`];
      const lifted = { ...given, policy: { ...given.policy, denylist: { ...given.policy.denylist, except } } };
      expect(lift).toContain(`'${upstream}:${subject.originalName}' to policy.denylist.except`);
      expect(groundsOf(here, lifted).verdict).not.toBe(verdict);
      expect(decide(here, compilePolicy({ ...given, policy: { ...given.policy, yolo: true } }))).not.toMatchObject({ rule: verdict });
    }),
    { numRuns: 1000 },
  );
});
