import { toJson } from '../core/json.ts';
import type { JsonObject } from '../core/mcp.ts';
import { CAPABILITY_KINDS, type CapabilityKind } from '../core/ports.ts';
import { sha256 } from '../core/secret.ts';
import type { Entry } from './entries.ts';
import type { Form } from './forms.ts';
import { type Caching, lifetimeOf, mergedLifetime } from './lifetimes.ts';
import type { Claim, Listed, NameTable, Slot } from './name-table.ts';
import { parseReversibleUri, REVERSIBLE_SCHEME } from './names.ts';
import type { Part } from './parts.ts';
import { FamilyTool, foundAt, type Resolution, type ResourceResolution, type ToolResolution } from './resolutions.ts';
import type { Toolset } from './toolset.ts';
import type { StepBudget } from './uri-template.ts';

/** A part that is missing from the view, or there only as last known. */
export interface Unavailable {
  readonly upstream: string;
  readonly reason: string;
}

/** What a caller writes to call a tool: its name in a view, and the arguments that name the member of a family. */
export interface ToolCall {
  readonly name: string;
  readonly args: JsonObject;
}

/** Neighbours of one upstream in a list. */
export interface Run {
  readonly part: Part;
  readonly forms: readonly Form[];
  /** All that the part can list, under plain names: `part.joined` is these bytes. */
  readonly whole: boolean;
}

/** Where the parts of a view come from. */
export interface ViewSource {
  readonly table: NameTable;
  /** Names of all upstreams that the caller may see, sorted. */
  readonly upstreams: readonly string[];
  readonly unavailable: readonly Unavailable[];
  /** Upstreams without capabilities, so that lists lack a part. */
  readonly missing: readonly string[];
  /** Whether the configuration keeps upstreams apart by tenant for this caller. */
  readonly cutByTenant: boolean;
  readonly toolset?: Toolset | undefined;
}

/** Steps that the templates of one upstream may take for one URI (security class 9); about 10 ms at most. */
const TEMPLATE_STEPS = 1_000_000;

/**
 * The catalog as some callers may see it: immutable, shared by all callers with the same visible set, and the only
 * source for listing and calling (aggregator.md section 2). Nothing in it is computed twice.
 */
export class View {
  readonly upstreams: readonly string[];
  readonly unavailable: readonly Unavailable[];
  readonly #table: NameTable;
  readonly #source: ViewSource;
  readonly #runs = new Map<CapabilityKind, readonly Run[]>();
  readonly #forms = new Map<CapabilityKind, readonly Form[]>();
  readonly #fingerprints = new Map<CapabilityKind, string>();
  readonly #caching = new Map<CapabilityKind, Caching>();
  readonly #tools = new Map<string, ToolResolution>();
  #id: string | undefined;

  constructor(source: ViewSource) {
    this.#source = source;
    this.#table = source.table;
    const { toolset } = source;
    const isVisible = (upstream: string) => toolset === undefined || toolset.servers.has(upstream) || this.#hasSelectedTool(upstream, toolset);
    this.upstreams = source.upstreams.filter(isVisible);
    this.unavailable = source.unavailable.filter(({ upstream }) => isVisible(upstream));
  }

  /** Hash of the visible set: equal for two callers who see the same, different otherwise. */
  get id(): string {
    this.#id ??= digest([...CAPABILITY_KINDS.map((kind) => this.fingerprint(kind)), ...this.upstreams]);
    return this.#id;
  }

  /** Changes exactly when the list of this kind changes: `list_changed` is for callers whose fingerprint did. */
  fingerprint(kind: CapabilityKind): string {
    return memo(this.#fingerprints, kind, () => sha256(Buffer.concat(this.#formsOf(kind).map((form) => form.digest))).toString('base64url'));
  }

  /** Definitions under exposed names, for modern clients, with the caching fields of the whole list. */
  list(kind: CapabilityKind): { readonly items: readonly Buffer[]; readonly caching: Caching } {
    return { items: this.#formsOf(kind).map((form) => form.bytes('modern')), caching: this.caching(kind) };
  }

  caching(kind: CapabilityKind): Caching {
    return memo(this.#caching, kind, () => this.#lifetime(kind));
  }

  /** The list by upstream: sorted by its name, then as the upstream ordered it. */
  runs(kind: CapabilityKind): readonly Run[] {
    return memo(this.#runs, kind, () => this.#makeRuns(kind));
  }

  resolveTool(name: string): ToolResolution {
    const known = this.#tools.get(name);
    if (known !== undefined) return known;
    const slot = this.#table.slot('tools', name);
    const found = slot?.family === true && !slot.ambiguous ? this.#resolveFamily(name, slot) : this.#resolveName('tool', name, slot);
    // Names that mean nothing are the caller's own, without end.
    if (found.kind === 'found' || found.kind === 'family') this.#tools.set(name, found);
    return found;
  }

  resolvePrompt(name: string): Resolution {
    return this.#resolveName('prompt', name, this.#table.slot('prompts', name));
  }

  /** The name under which this view has a tool of an upstream, if it has it. */
  nameOfTool(upstream: string, original: string): string | undefined {
    const part = this.#table.holdings.find((holding) => holding.part.upstream.name === upstream)?.part;
    const entry = part?.entries('tools').find((one) => one.original === original && this.#selects(one));
    return entry === undefined ? undefined : this.#table.nameOf(entry);
  }

  /**
   * How a tool of an upstream is called in this view; undefined where it is not, or the policy refuses it.
   * @param mayWrite whether the caller has the scope for other calls than those that only read
   */
  callOf(upstream: string, original: string, mayWrite: boolean): ToolCall | undefined {
    const name = this.nameOfTool(upstream, original);
    const resolved = name === undefined ? undefined : this.resolveTool(name);
    if (name === undefined || resolved === undefined) return undefined;
    const found = resolved.kind === 'family' ? resolved.tool.choose(upstream) : resolved;
    if (found.kind !== 'found' || found.upstream !== upstream || found.decision.kind !== 'allowed') return undefined;
    if (!mayWrite && found.decision.safety !== 'read-only') return undefined;
    return { name, args: resolved.kind === 'family' ? { [resolved.tool.argument]: upstream } : {} };
  }

  /** A URI as a client may have it: from a list, `turnpike://S/…`, or made from a listed template, tried in this order. */
  resolveResource(uri: string): ResourceResolution {
    const named = parseReversibleUri(uri);
    if (named !== undefined) return this.#resolveReversible(uri, named.upstream, named.uri);
    if (uri.toLowerCase().startsWith(REVERSIBLE_SCHEME)) return notFound('resource', uri);
    const slot = this.#table.slot('resources', uri);
    return slot === undefined ? this.#resolveByTemplate(uri) : this.#chooseResource(uri, slot.claims);
  }

  /** A template as it is listed (for completions). */
  resolveTemplate(uriTemplate: string): ResourceResolution {
    for (const { part, forms } of this.runs('templates')) {
      if (!forms.some(({ exposed }) => exposed === uriTemplate)) continue;
      const entry = part.listable('templates').find(({ plain, reversible }) => plain.exposed === uriTemplate || reversible.exposed === uriTemplate);
      if (entry !== undefined) return { kind: 'found', upstream: entry.upstream, original: entry.original, capability: entry.capability };
    }
    return notFound('resource', uriTemplate);
  }

  #resolveName(noun: string, name: string, slot: Slot | undefined): Resolution {
    const selected = slot?.claims.filter((claim) => this.#selects(claim.entry)) ?? [];
    const [claim] = selected;
    if (slot === undefined || claim === undefined) return notFound(noun, name);
    if (slot.ambiguous) return ambiguous(noun, name, slot.owners);
    return claim.live ? foundAt(name, claim.entry) : notFound(noun, name);
  }

  #resolveFamily(name: string, { claims }: Slot): ToolResolution {
    const members = claims.filter(({ entry, live }) => live && this.#selects(entry)).map(({ entry }) => entry);
    const family = members[0]?.family;
    if (family === undefined) return notFound('tool', name);
    return { kind: 'family', tool: new FamilyTool(name, family.family, family.argument, members) };
  }

  #resolveReversible(uri: string, upstream: string, original: string): ResourceResolution {
    const holding = this.#table.holdings.find(({ part }) => part.upstream.name === upstream);
    if (holding === undefined || !holding.live || !this.#selectsServer(upstream)) return notFound('resource', uri);
    const { lists, capabilities } = holding.part.set;
    if (capabilities.resources === undefined && lists.resources.length === 0 && lists.templates.length === 0) return notFound('resource', uri);
    const claim = this.#table.resource(upstream, original);
    return { kind: 'found', upstream, original, ...(claim === undefined ? {} : { capability: claim.entry.capability }) };
  }

  #resolveByTemplate(uri: string): ResourceResolution {
    const found: Claim[] = [];
    for (const { part, live } of this.#table.holdings) {
      const budget: StepBudget = { left: TEMPLATE_STEPS };
      const entry = part.entries('templates').find(({ head, template }) => {
        return template !== undefined && uri.startsWith(head) && template.matches(uri.slice(head.length), budget);
      });
      if (entry !== undefined) found.push({ entry, live });
    }
    return this.#chooseResource(uri, found);
  }

  /**
   * Claims of upstreams that are away or outside the toolset count, too: a URI never falls to another upstream because
   * one stopped, or because a header narrowed the view.
   */
  #chooseResource(uri: string, claims: readonly Claim[]): ResourceResolution {
    const selected = claims.find(({ entry }) => this.#selects(entry));
    if (selected === undefined) return notFound('resource', uri);
    if (claims.length > 1) return ambiguous('resource', uri, [...new Set(claims.map(({ entry }) => entry.upstream))]);
    if (!selected.live) return notFound('resource', uri);
    const { kind, upstream, original, capability, head } = selected.entry;
    return { kind: 'found', upstream, original: kind === 'templates' ? uri.slice(head.length) : original, capability };
  }

  #selects(entry: Entry): boolean {
    const { toolset } = this.#source;
    return toolset === undefined || toolset.servers.has(entry.upstream) || (entry.kind === 'tools' && toolset.tools.has(this.#table.nameOf(entry)));
  }

  #selectsServer(upstream: string): boolean {
    const { toolset } = this.#source;
    return toolset === undefined || toolset.servers.has(upstream);
  }

  #hasSelectedTool(upstream: string, toolset: Toolset): boolean {
    for (const name of toolset.tools) if (this.#table.slot('tools', name)?.owners.includes(upstream)) return true;
    return false;
  }

  #formsOf(kind: CapabilityKind): readonly Form[] {
    return memo(this.#forms, kind, () => this.runs(kind).flatMap(({ forms }) => forms));
  }

  #makeRuns(kind: CapabilityKind): readonly Run[] {
    const runs: Run[] = [];
    for (const { part, live } of this.#table.holdings) {
      if (!live) continue;
      const listed: Listed[] = [...this.#table.listed(kind, part)].filter(({ entry }) => this.#selects(entry));
      if (listed.length === 0) continue;
      const forms = listed.map((one) => this.#formOf(one)).filter((form) => form !== undefined);
      if (forms.length === 0) continue;
      const whole = listed.length === part.listable(kind).length && listed.every(({ entry }, index) => forms[index] === entry.plain);
      runs.push({ part, forms, whole });
    }
    return runs;
  }

  /** A tool of a family stands once in the list, where its first member is, and names all of them. */
  #formOf({ entry, exposed, form, slot }: Listed): Form | undefined {
    if (!slot.family || entry.family === undefined) return form;
    const resolution = this.resolveTool(exposed);
    if (resolution.kind !== 'family' || resolution.tool.available[0] !== entry.upstream) return undefined;
    return entry.family.form(resolution.tool.available);
  }

  #lifetime(kind: CapabilityKind): Caching {
    const { toolset, cutByTenant, missing } = this.#source;
    const parts = this.#table.holdings.filter(({ part, live }) => live && this.upstreams.includes(part.upstream.name)).map(({ part }) => part);
    const lifetimes = parts.map((part) => lifetimeOf(part.set, kind)).filter((lifetime) => lifetime !== undefined);
    const filtered = toolset !== undefined || cutByTenant || (kind === 'tools' && parts.some((part) => part.touchedByPolicy));
    return mergedLifetime(
      lifetimes,
      filtered,
      missing.some((upstream) => this.upstreams.includes(upstream)),
    );
  }
}

function notFound(noun: string, name: string): { readonly kind: 'unknown'; readonly text: string } {
  return { kind: 'unknown', text: `${noun} not found: ${name}` };
}

function ambiguous(noun: string, name: string, owners: readonly string[]): { readonly kind: 'ambiguous'; readonly text: string } {
  return { kind: 'ambiguous', text: `${noun} '${name}' is ambiguous: provided by ${owners.join(', ')}` };
}

function digest(parts: readonly string[]): string {
  return sha256(toJson(parts)).toString('base64url');
}

function memo<K, V>(cache: Map<K, V>, key: K, make: () => V): V {
  let value = cache.get(key);
  if (value === undefined) {
    value = make();
    cache.set(key, value);
  }
  return value;
}
