import { DENYLIST } from '../../catalog/denylist.ts';
import { compileGlob } from '../../catalog/globs.ts';
import { type Decision, type Rule, type Subject, withholding } from '../../catalog/policy.ts';
import type { CatalogSettings } from '../../catalog/settings.ts';
import { isJsonObject } from '../../core/mcp.ts';

/** Why a decision is what it is: the rule that decided, in words, and the setting where it stands. */
export interface Grounds {
  /** As in `Decision`: its kind, with the rule of a refusal or the safety of a tool that may be called. */
  readonly verdict: 'hidden' | Rule | 'read-only' | 'idempotent' | 'write';
  readonly why: string;
  /** Path of the setting that decided; absent where no setting did. */
  readonly setting?: string;
  /** What would let it pass; absent for what passes. */
  readonly lift?: string;
}

/**
 * The rule behind a decision (aggregator.md section 3), looked for in the order in which `decide` asks. It never decides: who calls it
 * compares the verdict with the decision.
 */
export function groundsOf(subject: Subject, { policy, upstreams }: Pick<CatalogSettings, 'policy' | 'upstreams'>): Grounds {
  const { upstream, originalName: name } = subject;
  const index = upstreams.findIndex((one) => one.name === upstream);
  const { type, tools } = upstreams[index] ?? {};
  if (tools === undefined) return { verdict: 'hidden', why: 'its upstream is not configured' };
  const setting = (key: string) => `upstreams[${index}].tools.${key}`;
  const { allow, deny = [], readOnly = [], trustAnnotations } = tools;
  if (allow !== undefined && matching(allow, name) === undefined) {
    return { verdict: 'hidden', why: `no pattern of tools.allow matches '${name}'`, setting: setting('allow'), lift: `add '${name}' to tools.allow` };
  }
  const denying = matching(deny, name);
  if (denying !== undefined) {
    return { verdict: 'hidden', why: `'${denying}' of tools.deny matches '${name}'`, setting: setting('deny'), lift: 'take that pattern out' };
  }
  const pair = `${upstream}:${name}`;
  const isLifted = policy.denylist.except.includes(pair);
  const lift = `add '${pair}' to policy.denylist.except, or start with --yolo`;
  if (!policy.yolo && !isLifted) {
    if (policy.denylist.extra.includes(name)) {
      return {
        verdict: 'denylist',
        why: `'${name}' is in policy.denylist.extra`,
        setting: 'policy.denylist.extra',
        lift: `take it out there, or ${lift}`,
      };
    }
    if (isBuiltIn(name)) return { verdict: 'denylist', why: `'${name}' is in the built-in denylist`, lift };
    if (policy.annotations === 'enforce' && hinted(subject, 'destructiveHint')) {
      return { verdict: 'annotations', why: 'its upstream marks it as destructive (destructiveHint)', setting: 'policy.annotations', lift };
    }
  }
  const pattern = matching(readOnly, name);
  const isTrusted = trustAnnotations && hinted(subject, 'readOnlyHint');
  if (policy.nonDestructive && pattern === undefined && !isTrusted) {
    const why = 'the non-destructive mode is on, and nothing trusted says that it only reads';
    return {
      verdict: 'non-destructive',
      why,
      setting: 'policy.nonDestructive',
      lift: `add '${name}' to tools.readOnly of upstream ${upstream} if it only reads`,
    };
  }
  const withheld = type === 'gitlab' ? withholding(subject.meta) : undefined;
  if (withheld !== undefined) {
    const { rule, text } = withheld;
    return { verdict: rule, why: text, setting: `upstreams[${index}].${rule}`, lift: `change ${rule} of upstream ${upstream}` };
  }
  if (pattern !== undefined) return { verdict: 'read-only', why: `'${pattern}' of tools.readOnly matches '${name}'`, setting: setting('readOnly') };
  if (isTrusted) {
    return { verdict: 'read-only', why: 'its upstream says that it only reads (readOnlyHint), and is trusted', setting: setting('trustAnnotations') };
  }
  return { verdict: trustAnnotations && hinted(subject, 'idempotentHint') ? 'idempotent' : 'write', ...passing(subject, policy, isLifted) };
}

/** What the verdict would be called in the words of a decision. */
export function verdictOf(decision: Decision): Grounds['verdict'] {
  if (decision.kind === 'denied') return decision.rule;
  return decision.kind === 'allowed' ? decision.safety : 'hidden';
}

/** Why nothing refuses a tool that may change something: somebody lifted a rule, or none speaks of it. */
function passing(subject: Subject, policy: CatalogSettings['policy'], isLifted: boolean): Pick<Grounds, 'why' | 'setting'> {
  const { originalName: name } = subject;
  const isListed = isBuiltIn(name) || policy.denylist.extra.includes(name);
  if (!isListed && !(policy.annotations === 'enforce' && hinted(subject, 'destructiveHint'))) return { why: 'no rule refuses it' };
  const what = isListed ? 'the denylist' : 'its destructiveHint';
  if (policy.yolo) return { why: `${what} would refuse it, but policy.yolo is on`, setting: 'policy.yolo' };
  return { why: `${what} would refuse it, but ${isLifted ? 'it is lifted' : 'it passes'}`, setting: 'policy.denylist.except' };
}

function isBuiltIn(name: string): boolean {
  return DENYLIST.includes(name);
}

function matching(patterns: readonly string[], name: string): string | undefined {
  return patterns.find((pattern) => {
    const glob = compileGlob(pattern);
    return glob.ok && glob.value.matches(name);
  });
}

function hinted({ annotations }: Subject, hint: 'destructiveHint' | 'readOnlyHint' | 'idempotentHint'): boolean {
  return isJsonObject(annotations) && annotations[hint] === true;
}
