import { compilePolicy, type Decision, decide, subjectOf } from '../../catalog/policy.ts';
import type { LoadedConfig } from '../../config/load.ts';
import { nearest } from '../../config/nearest.ts';
import type { Config, UpstreamConfig } from '../../config/schema.ts';
import { hasScope, type Scope } from '../../core/caller.ts';
import type { Capability } from '../../core/ports.ts';
import { redactText } from '../../telemetry/redact.ts';
import { EXIT, type ExitCode } from '../exit-code.ts';
import type { NamedCaller } from './callers.ts';
import { familyText, headsOf, nameIn } from './family-names.ts';
import { type Grounds, groundsOf, verdictOf } from './grounds.ts';
import type { Survey } from './survey.ts';
import { addressText, credentialText, sharingText } from './wiring-plan.ts';

/** What is said about a name, and what it means for a script. */
export interface Explanation {
  /** A heading, and lines of a label and a text; empty where the name means nothing. */
  readonly blocks: readonly { readonly title: string; readonly rows: readonly (readonly [label: string, text: string])[] }[];
  /** What stands on standard error. */
  readonly problems: readonly string[];
  readonly code: ExitCode;
}

/** One tool of one upstream. */
interface Target {
  readonly upstream: UpstreamConfig;
  readonly capability: Capability;
  /** Its name for somebody who may see every upstream. */
  readonly exposed: string;
}

/** Most blocks for one name. */
const MAX_TARGETS = 20;

/**
 * What becomes of a call of `name`: its exposed name, its original one, or `UPSTREAM:ORIGINAL`. Without `as` it is said for everybody
 * whom the configuration names.
 */
export function explanationOf(
  name: string,
  as: NamedCaller | undefined,
  everybody: readonly NamedCaller[],
  loaded: LoadedConfig,
  survey: Survey,
): Explanation {
  const all = targetsIn(loaded, survey);
  const views = everybody.map(({ caller }) => survey.catalog.viewFor(caller));
  // Who cannot see every member of a family may have another name for a tool than who can.
  const isCalled = ({ upstream, capability: { id } }: Target) => views.some((view) => view.nameOfTool(upstream.name, id) === name);
  const exact = all.filter((target) => target.exposed === name || (target.upstream.family !== undefined && isCalled(target)));
  const meant = exact.length > 0 ? exact : all.filter(({ upstream, capability: { id } }) => id === name || `${upstream.name}:${id}` === name);
  if (meant.length === 0) return unknown(name, all, loaded, survey);
  const shown = meant.slice(0, MAX_TARGETS);
  const callers = as === undefined ? everybody : [as];
  const explained = shown.map((target) => explain(target, callers, loaded, survey));
  const more = meant.length - shown.length;
  return {
    blocks: explained.map(({ block }) => block),
    problems: more > 0 ? [`and ${more} more of that name`] : [],
    code: Math.max(...explained.map(({ code }) => code)) as ExitCode,
  };
}

function targetsIn({ config }: LoadedConfig, { snapshots, whole }: Survey): Target[] {
  const view = whole.viewFor(ANYBODY);
  return snapshots.flatMap(({ status, capabilities }) => {
    const upstream = config.upstreams.find(({ name }) => name === status.name);
    if (upstream === undefined || capabilities === undefined) return [];
    return capabilities.lists.tools.map((capability) => ({ upstream, capability, exposed: nameIn(view, upstream, capability.id, config) }));
  });
}

function explain(
  target: Target,
  callers: readonly NamedCaller[],
  loaded: LoadedConfig,
  survey: Survey,
): { readonly block: Explanation['blocks'][number]; readonly code: ExitCode } {
  const { upstream, capability, exposed } = target;
  const { config } = loaded;
  const { status, capabilities } = survey.snapshots.find((one) => one.status.name === upstream.name) ?? {};
  const era = capabilities?.era ?? status?.era;
  const subject = subjectOf(upstream.name, capability);
  const decision = decide(subject, compilePolicy({ policy: config.policy, upstreams: config.upstreams }));
  const grounds = groundsOf(subject, { policy: config.policy, upstreams: config.upstreams });
  const view = survey.whole.viewFor(ANYBODY);
  const resolved = view.resolveTool(exposed);
  const dropped = survey.whole
    .findings()
    .find((one) => one.upstream === upstream.name && one.kind === 'tools' && one.dropped && one.rule !== 'collision' && one.name === capability.id);
  const answers = callers.map((caller) => answerTo(caller, target, decision, survey, config));
  const chosen = resolved.kind === 'family' ? ` with ${upstream.family?.instanceArg} ${upstream.name}` : '';
  const rows: (readonly [string, string])[] = [
    ['Route', `${exposed}${chosen} → ${upstream.name} (${addressText(upstream, loaded)}), where it is called ${redactText(capability.id, 200)}`],
    ['Upstream', `${status?.state ?? 'unknown'}${era === undefined ? '' : `, ${era}`}`],
  ];
  const said = nameText(target, resolved.kind === 'family' ? resolved.tool.family : upstream.toolPrefix, loaded);
  if (said !== undefined) rows.push(['Name', said]);
  const family = familyText(resolved, upstream, capability.id, survey);
  if (family !== undefined) rows.push(['Family', family]);
  if (dropped !== undefined) rows.push(['Dropped', `${dropped.rule}: ${redactText(dropped.text)}`]);
  if (resolved.kind === 'ambiguous')
    rows.push(['Collision', `${redactText(resolved.text)}; set toolPrefix of one of them, or leave one out with tools.deny`]);
  rows.push(['Policy', policyText(decision, grounds, loaded)]);
  if (grounds.lift !== undefined && decision.kind !== 'allowed') rows.push(['To lift it', grounds.lift]);
  if (decision.kind === 'allowed')
    rows.push(['Scope', `${scopeOf(decision)}, because ${decision.safety === 'read-only' ? 'it only reads' : 'it may change something'}`]);
  rows.push(['Credential', credentialText(upstream, loaded)], ['Connection', sharingText(upstream, era)]);
  if (decision.kind === 'allowed') rows.push(['If it breaks off', decision.safety === 'write' ? 'it is not sent again' : 'it is sent once more']);
  for (const [index, { text }] of answers.entries()) rows.push([`Called by ${callers[index]?.name}`, text]);
  return { block: { title: exposed, rows }, code: Math.max(EXIT.done, ...answers.map(({ code }) => code)) as ExitCode };
}

/** Stands for anybody in a catalog without tenants. */
const ANYBODY = { principal: { issuer: 'local', subject: 'explain' }, tenant: '', scopes: new Set<Scope>() };

/** What a caller is answered: the same view and the same texts as in the gateway. */
function answerTo(
  { caller }: NamedCaller,
  { upstream, capability, exposed }: Target,
  decision: Decision,
  { catalog }: Survey,
  config: Config,
): { readonly text: string; readonly code: ExitCode } {
  const whose = `tenant ${redactText(caller.tenant, 80)}`;
  const isInvisible = upstream.tenants !== undefined && !upstream.tenants.includes(caller.tenant);
  const note = isInvisible ? `; ${upstream.name} is not for this tenant, but for ${upstream.tenants?.join(', ')}` : '';
  const view = catalog.viewFor(caller);
  const name = isInvisible ? exposed : nameIn(view, upstream, capability.id, config);
  const as = name === exposed ? '' : ` as ${name}`;
  const meant = view.resolveTool(name);
  const resolution = meant.kind === 'family' ? meant.tool.choose(upstream.name) : meant;
  if (resolution.kind === 'unknown' || resolution.kind === 'ambiguous') {
    const isRefused = isInvisible || decision.kind === 'hidden';
    return { text: `"${redactText(resolution.text)}" (${whose}${note})`, code: isRefused ? EXIT.denied : EXIT.failed };
  }
  const verdict: Decision = resolution.decision;
  if (verdict.kind === 'denied') return { text: `refused: "${redactText(verdict.text)}" (${whose}${note})`, code: EXIT.denied };
  const scope = verdict.kind === 'allowed' ? scopeOf(verdict) : 'turnpike:write';
  const held = [...caller.scopes].join(' ');
  if (!hasScope(caller, scope)) {
    return { text: `refused with 403 insufficient_scope: it needs ${scope}, and the caller has ${held} (${whose}${note})`, code: EXIT.denied };
  }
  const to = resolution.kind === 'found' ? resolution.upstream : upstream.name;
  return { text: `goes to ${to}${as} (${whose}; scopes ${held}${note})`, code: EXIT.done };
}

function scopeOf({ safety }: Extract<Decision, { kind: 'allowed' }>): Scope {
  return safety === 'read-only' ? 'turnpike:read' : 'turnpike:write';
}

function policyText(decision: Decision, grounds: Grounds, { provenance }: LoadedConfig): string {
  const verdict =
    decision.kind === 'denied'
      ? `denied by rule ${decision.rule}`
      : decision.kind === 'hidden'
        ? 'hidden, as if it did not exist'
        : `allowed, ${decision.safety}`;
  // The grounds are looked for apart from the decision: should they ever differ, the decision is what counts.
  if (verdictOf(decision) !== grounds.verdict) return verdict;
  const origin = grounds.setting === undefined ? undefined : provenance.get(grounds.setting);
  const where = grounds.setting === undefined ? '' : ` [${grounds.setting}: ${origin?.where ?? origin?.source ?? 'set'}]`;
  return `${verdict}: ${redactText(grounds.why)}${where}`;
}

/** What was done to the name, if anything. */
function nameText({ upstream, capability, exposed }: Target, prefix: string, { config }: LoadedConfig): string | undefined {
  const parts: string[] = [];
  if (upstream.naming === 'passthrough') parts.push('as the upstream gives it (naming: passthrough)');
  else if (capability.id.startsWith(`${prefix}_`)) parts.push(`begins with ${prefix}_ already, so the prefix is not put twice`);
  if (upstream.naming !== 'passthrough' && /[^A-Za-z0-9_.-]/u.test(capability.id)) parts.push('characters that names may not hold became _');
  if (exposed.length === config.catalog.maxNameLength && !exposed.endsWith(capability.id))
    parts.push('was cut, and ends in a hash of the whole (catalog.maxNameLength)');
  return parts.length === 0 ? undefined : parts.join('; ');
}

function unknown(name: string, all: readonly Target[], { config }: LoadedConfig, { snapshots, failures }: Survey): Explanation {
  const shown = redactText(name, 200);
  const problems = [`tool not found: ${shown}`];
  const like = similar(name, all);
  if (like.length > 0) problems.push(`(Did you mean ${like.map((one) => redactText(one, 200)).join(', or ')}?)`);
  for (const { status, capabilities } of snapshots) {
    if (capabilities !== undefined) continue;
    const upstream = config.upstreams.find((one) => one.name === status.name);
    const isItsName = upstream !== undefined && headsOf(upstream, config).some((head) => name.startsWith(head));
    const why = redactText(failures.get(status.name) ?? status.lastError ?? status.state);
    problems.push(`upstream ${status.name} could not be asked${isItsName ? ', and by its name the tool is one of its own' : ''}: ${why}`);
  }
  return { blocks: [], problems, code: EXIT.failed };
}

/** The nearest names: of exposed ones, and of original ones under the name that they have here. */
function similar(name: string, all: readonly Target[]): string[] {
  const byExposed = nearest(
    name,
    all.map(({ exposed }) => exposed),
  );
  const byOriginal = nearest(
    name,
    all.map(({ capability }) => capability.id),
  );
  const originals = all.filter(({ capability }) => capability.id === byOriginal).map(({ exposed }) => exposed);
  const containing =
    name.length < 3 ? [] : all.filter(({ exposed }) => exposed.toLowerCase().includes(name.toLowerCase())).map(({ exposed }) => exposed);
  return [...new Set([...(byExposed === undefined ? [] : [byExposed]), ...originals, ...containing])].slice(0, 3);
}
