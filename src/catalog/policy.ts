import { TurnpikeError } from '../core/errors.ts';
import { isJsonObject, TURNPIKE_META } from '../core/mcp.ts';
import type { Capability } from '../core/ports.ts';
import { DENYLIST } from './denylist.ts';
import { compileGlob, type Glob } from './globs.ts';
import type { CatalogSettings, PolicySettings, UpstreamSettings } from './settings.ts';

/** The tool that a decision is about, named as its upstream names it. */
export interface Subject {
  readonly upstream: string;
  readonly originalName: string;
  /** The tool's `annotations` member, unchecked: it is foreign. */
  readonly annotations: unknown;
  /** The tool's `_meta` member, unchecked. */
  readonly meta?: unknown;
}

/** A tool of an upstream, as the policy looks at it. */
export function subjectOf(upstream: string, { id, parsed }: Capability): Subject {
  return { upstream, originalName: id, annotations: parsed.annotations, meta: parsed._meta };
}

/** Of the policy, or of a built-in upstream: the setting that withholds a tool. */
export type Rule = 'denylist' | 'annotations' | 'non-destructive' | `gitlab.${string}`;

/**
 * What may be assumed of a call: `read-only` needs the read scope only and may be repeated, `idempotent` may be repeated, a
 * `write` neither. Annotations count where the upstream's are trusted.
 */
export type Safety = 'read-only' | 'idempotent' | 'write';

/**
 * `hidden`: absent, as if the upstream had never offered it. `denied`: it leaves the list, and a call of it answers
 * `text` and is audited under `rule`.
 */
export type Decision =
  | { readonly kind: 'allowed'; readonly safety: Safety }
  | { readonly kind: 'hidden' }
  | { readonly kind: 'denied'; readonly rule: Rule; readonly text: string };

/** For everything that is no tool: lists, reads, prompts. */
export const ALLOWED: Decision = { kind: 'allowed', safety: 'read-only' };
const IDEMPOTENT: Decision = { kind: 'allowed', safety: 'idempotent' };
const WRITE: Decision = { kind: 'allowed', safety: 'write' };
const HIDDEN: Decision = { kind: 'hidden' };

interface UpstreamRules {
  readonly allow: readonly Glob[] | undefined;
  readonly deny: readonly Glob[];
  readonly readOnly: readonly Glob[];
  readonly trustAnnotations: boolean;
  /** Whether it may withhold tools. */
  readonly builtIn: boolean;
}

/** The policy section in the form in which it is asked. */
export interface Policy {
  readonly settings: PolicySettings;
  readonly denied: ReadonlySet<string>;
  readonly lifted: ReadonlySet<string>;
  readonly upstreams: ReadonlyMap<string, UpstreamRules>;
}

/** Throws `config/invalid` for a pattern that cannot be compiled: an unreadable rule must not start (security class 9). */
export function compilePolicy(settings: Pick<CatalogSettings, 'policy' | 'upstreams'>): Policy {
  const { policy, upstreams } = settings;
  return {
    settings: policy,
    denied: new Set([...DENYLIST, ...policy.denylist.extra]),
    lifted: new Set(policy.denylist.except),
    upstreams: new Map(upstreams.map((upstream) => [upstream.name, rulesOf(upstream)])),
  };
}

function rulesOf({ name, type, tools }: UpstreamSettings): UpstreamRules {
  const globs = (key: 'allow' | 'deny' | 'readOnly') =>
    tools[key]?.map((pattern) => {
      const glob = compileGlob(pattern);
      if (!glob.ok) throw new TurnpikeError('config/invalid', `upstreams.${name}.tools.${key}: ${glob.error}`);
      return glob.value;
    });
  return {
    allow: globs('allow'),
    deny: globs('deny') ?? [],
    readOnly: globs('readOnly') ?? [],
    trustAnnotations: tools.trustAnnotations,
    builtIn: type === 'gitlab',
  };
}

/**
 * The one decision about a tool (aggregator.md section 3), asked when the view is built; listing and calling read its
 * answer. Order: the upstream's `allow` and `deny`, the denylist, `destructiveHint`, the non-destructive mode, and what a built-in
 * upstream withholds by its own settings.
 * `yolo` skips the second and third only. A pair of `denylist.except` lifts both of these, because the annotation
 * counts as being listed.
 */
export function decide(subject: Subject, policy: Policy): Decision {
  const { upstream, originalName } = subject;
  const rules = policy.upstreams.get(upstream);
  if (rules === undefined || isOutside(originalName, rules)) return HIDDEN;
  const { settings } = policy;
  if (!settings.yolo && !policy.lifted.has(`${upstream}:${originalName}`)) {
    if (policy.denied.has(originalName)) return destructive(originalName, 'denylist');
    if (settings.annotations === 'enforce' && hint(subject, 'destructiveHint')) return destructive(originalName, 'annotations');
  }
  const reads = isReadOnly(subject, rules);
  if (!reads && settings.nonDestructive)
    return { kind: 'denied', rule: 'non-destructive', text: `tool '${originalName}' is not allowed in non-destructive mode` };
  const withheld = rules.builtIn ? withholding(subject.meta) : undefined;
  if (withheld !== undefined) return { kind: 'denied', ...withheld };
  if (reads) return ALLOWED;
  return rules.trustAnnotations && hint(subject, 'idempotentHint') ? IDEMPOTENT : WRITE;
}

function isOutside(name: string, { allow, deny }: UpstreamRules): boolean {
  return (allow !== undefined && !allow.some((glob) => glob.matches(name))) || deny.some((glob) => glob.matches(name));
}

function isReadOnly(subject: Subject, rules: UpstreamRules): boolean {
  return rules.readOnly.some((glob) => glob.matches(subject.originalName)) || (rules.trustAnnotations && hint(subject, 'readOnlyHint'));
}

/** What a built-in upstream says in `_meta` about a tool that nobody may call at present. Of any other upstream it means nothing. */
export function withholding(meta: unknown): { readonly rule: Rule; readonly text: string } | undefined {
  const mark = isJsonObject(meta) ? meta[TURNPIKE_META.withheld] : undefined;
  return isJsonObject(mark) ? { rule: mark.rule as Rule, text: String(mark.text) } : undefined;
}

function hint({ annotations }: Subject, name: 'destructiveHint' | 'readOnlyHint' | 'idempotentHint'): boolean {
  return isJsonObject(annotations) && annotations[name] === true;
}

function destructive(name: string, rule: Rule): Decision {
  return { kind: 'denied', rule, text: `tool '${name}' is blocked as it is destructive. Use --yolo flag to allow destructive operations` };
}
