import { LRUCache } from 'lru-cache';
import type { Caller } from '../core/caller.ts';
import type { Clock } from '../core/clock.ts';
import { invalidParamHeader } from '../core/mcp-headers.ts';
import type { CapabilitySet, CapabilitySource, UpstreamSnapshot, UpstreamState, UpstreamStatus } from '../core/ports.ts';
import { familyConflicts } from './family-groups.ts';
import { type Finding, findingKey } from './findings.ts';
import { compare, type Holding, NameTable } from './name-table.ts';
import { type Part, PartBuilder } from './parts.ts';
import { compilePolicy } from './policy.ts';
import type { CatalogSettings, UpstreamSettings } from './settings.ts';
import { parseToolset } from './toolset.ts';
import { type Unavailable, View } from './view.ts';

/** Views kept at a time: toolsets are the caller's choice, so their number must have a bound (security class 23). */
const MAX_VIEWS = 256;
const MAX_TENANTS = 10_000;
/** States in which an upstream that was listed before is still listed, but may not answer. */
const AWAY: ReadonlySet<UpstreamState> = new Set(['retrying', 'unreachable', 'failed']);
/** States in which an upstream is absent because somebody wanted it so. */
const STOPPED: ReadonlySet<UpstreamState> = new Set(['stopped', 'stopping']);

export interface CatalogOptions {
  readonly clock: Clock;
  /** Called once for every new finding, when the catalog is first read after it arose. */
  readonly report?: (finding: Finding) => void;
}

/** What all callers with the same visible upstreams share. */
interface Visible {
  readonly key: string;
  readonly upstreams: readonly string[];
  readonly table: NameTable;
  /** Upstreams of each family that is shown under its own name. */
  readonly families: ReadonlyMap<string, readonly string[]>;
  readonly unavailable: readonly Unavailable[];
  readonly missing: readonly string[];
  readonly cutByTenant: boolean;
  /** The view that no toolset narrows. */
  whole?: View;
}

/** The catalog between two changes of its source. */
interface Edition {
  readonly statuses: ReadonlyMap<string, UpstreamStatus>;
  readonly holdings: ReadonlyMap<string, Holding>;
  readonly findings: readonly Finding[];
  readonly tenants: LRUCache<string, Visible>;
  readonly visible: Map<string, Visible>;
  readonly views: LRUCache<string, View>;
}

/**
 * All capabilities of all upstreams under exposed names. Rebuilt lazily after a change of the source; between changes
 * nothing is computed twice, and callers with the same visible set share one view.
 */
export class Catalog {
  readonly #source: CapabilitySource;
  readonly #clock: Clock;
  #settings: ReadonlyMap<string, UpstreamSettings>;
  #builder: PartBuilder;
  readonly #report: (finding: Finding) => void;
  readonly #listeners = new Set<(upstream: string) => void>();
  readonly #stop: () => void;
  /** What each configured upstream offered last: its claims outlive a stop (security class 16). */
  readonly #lastKnown = new Map<string, CapabilitySet>();
  #reported: ReadonlySet<string> = new Set();
  #edition: Edition | undefined;

  /** Throws `config/invalid` for a pattern that cannot be compiled. */
  constructor(settings: CatalogSettings, source: CapabilitySource, options: CatalogOptions) {
    this.#source = source;
    this.#settings = new Map(settings.upstreams.map((upstream) => [upstream.name, upstream]));
    this.#clock = options.clock;
    this.#builder = builderOf(settings, options.clock);
    this.#report = options.report ?? (() => {});
    this.#remember(source.snapshot());
    this.#stop = source.onChange((upstream) => this.#changed(upstream));
  }

  /**
   * The view of a caller. `toolset` is the value of `X-Turnpike-Toolset`, which narrows it. Throws `request/params` for an unknown
   * selector.
   */
  viewFor(caller: Caller, toolset?: string): View {
    const edition = this.#read();
    const visible = this.#visibleTo(caller.tenant, edition);
    if (toolset === undefined) {
      visible.whole ??= new View(visible);
      return visible.whole;
    }
    const key = JSON.stringify([visible.key, toolset]);
    let view = edition.views.get(key);
    if (view === undefined) {
      view = makeView(visible, toolset);
      edition.views.set(key, view);
    }
    return view;
  }

  /**
   * Takes other settings and whatever its source offers now, in one step: a request sees the catalog as it was or as it is.
   * Throws as the constructor does, and then stays as it was. Call `announce` when everything else has changed, too.
   */
  reconfigure(settings: CatalogSettings): void {
    this.#builder = builderOf(settings, this.#clock, this.#builder);
    this.#settings = new Map(settings.upstreams.map((upstream) => [upstream.name, upstream]));
    this.#edition = undefined;
    this.#remember(this.#source.snapshot());
  }

  /** Tells the listeners that anything may have changed about these upstreams. */
  announce(upstreams: Iterable<string>): void {
    for (const upstream of upstreams) for (const listener of [...this.#listeners]) listener(upstream);
  }

  /** Everything the operator should know: dropped and flagged definitions, collisions. */
  findings(): readonly Finding[] {
    return this.#read().findings;
  }

  /** Called after any change of an upstream's state or lists; whose view changed, `View.fingerprint` tells. Returns the way to stop. */
  onChange(listener: (upstream: string) => void): () => void {
    const own = (upstream: string) => listener(upstream);
    this.#listeners.add(own);
    return () => void this.#listeners.delete(own);
  }

  /** Stops listening to the source. */
  [Symbol.dispose](): void {
    this.#stop();
    this.#listeners.clear();
  }

  #changed(upstream: string): void {
    this.#edition = undefined;
    this.#remember(this.#source.snapshot());
    for (const listener of [...this.#listeners]) listener(upstream);
  }

  /** At every change, not at the next read: who offered a name between two reads has claimed it, too. */
  #remember(snapshots: readonly UpstreamSnapshot[]): void {
    const present = new Set<string>();
    for (const { status, capabilities } of snapshots) {
      present.add(status.name);
      if (capabilities !== undefined) this.#lastKnown.set(status.name, capabilities);
    }
    for (const name of this.#lastKnown.keys()) if (!present.has(name)) this.#lastKnown.delete(name);
  }

  #read(): Edition {
    this.#edition ??= this.#build();
    return this.#edition;
  }

  #build(): Edition {
    const snapshots = this.#source.snapshot().filter(({ status }) => this.#settings.has(status.name));
    this.#remember(snapshots);
    const holdings = new Map<string, Holding>();
    for (const { status, capabilities } of snapshots) {
      const set = capabilities ?? this.#lastKnown.get(status.name);
      const part = set && this.#builder.build(status.name, set);
      if (part !== undefined) holdings.set(status.name, { part, live: capabilities !== undefined });
    }
    const findings = this.#findingsOf([...holdings.values()]);
    return {
      statuses: new Map(snapshots.map(({ status }) => [status.name, status])),
      holdings,
      findings,
      tenants: new LRUCache({ max: MAX_TENANTS }),
      visible: new Map(),
      views: new LRUCache({ max: MAX_VIEWS }),
    };
  }

  /** Collisions are told as somebody who may see all upstreams would meet them. */
  #findingsOf(holdings: readonly Holding[]): readonly Finding[] {
    const parts: Part[] = holdings.filter(({ live }) => live).map(({ part }) => part);
    const settings = [...this.#settings.values()];
    const conflicts = familyConflicts(settings);
    const findings = [
      ...parts.flatMap((part) => part.findings),
      ...conflictFindings(settings, conflicts),
      ...new NameTable(holdings, conflicts).findings(),
    ];
    const keys = new Map(findings.map((finding) => [findingKey(finding), finding]));
    for (const [key, finding] of keys) if (!this.#reported.has(key)) this.#report(finding);
    this.#reported = new Set(keys.keys());
    return findings;
  }

  #visibleTo(tenant: string, edition: Edition): Visible {
    let visible = edition.tenants.get(tenant);
    if (visible === undefined) {
      const names = [...edition.statuses.keys()].filter((name) => this.#settings.get(name)?.tenants?.includes(tenant) ?? true).sort(compare);
      const key = JSON.stringify(names);
      visible = edition.visible.get(key) ?? this.#makeVisible(key, names, edition);
      edition.visible.set(key, visible);
      edition.tenants.set(tenant, visible);
    }
    return visible;
  }

  #makeVisible(key: string, upstreams: readonly string[], { statuses, holdings }: Edition): Visible {
    const held = upstreams.map((name) => holdings.get(name)).filter((holding) => holding !== undefined);
    const unavailable: Unavailable[] = [];
    const missing: string[] = [];
    for (const name of upstreams) {
      const status = statuses.get(name);
      const isLive = holdings.get(name)?.live === true;
      if (status === undefined || STOPPED.has(status.state) || (isLive && !AWAY.has(status.state))) continue;
      unavailable.push({ upstream: name, reason: status.lastError === undefined ? status.state : `${status.state}: ${status.lastError}` });
      if (!isLive) missing.push(name);
    }
    const cutByTenant = [...this.#settings.values()].some(({ tenants }) => tenants !== undefined);
    const settings = upstreams.map((name) => this.#settings.get(name)).filter((one) => one !== undefined);
    const conflicts = familyConflicts(settings);
    const families = new Map<string, string[]>();
    for (const { name, family } of settings) {
      if (family !== undefined && !conflicts.has(family.name)) families.set(family.name, [...(families.get(family.name) ?? []), name]);
    }
    return { key, upstreams, table: new NameTable(held, conflicts), families, unavailable, missing, cutByTenant };
  }
}

function builderOf(settings: CatalogSettings, clock: Clock, earlier?: PartBuilder): PartBuilder {
  return new PartBuilder(settings.catalog, settings.upstreams, compilePolicy(settings), { clock, invalidParamHeader }, earlier);
}

/** Told of each upstream that a family's name would stand for. */
function conflictFindings(settings: readonly UpstreamSettings[], conflicts: ReadonlyMap<string, string>): Finding[] {
  return settings.flatMap(({ name, family }) => {
    const text = family && conflicts.get(family.name);
    return text === undefined ? [] : [{ upstream: name, kind: 'tools', name: family?.name ?? '', rule: 'family-fallback', dropped: false, text }];
  });
}

function makeView(visible: Visible, toolset: string): View {
  const selected = parseToolset(toolset, {
    hasServer: (name) => visible.upstreams.includes(name),
    hasTool: (exposed) => visible.table.slot('tools', exposed) !== undefined,
    membersOf: (family) => visible.families.get(family) ?? [],
  });
  return new View({ ...visible, toolset: selected });
}
