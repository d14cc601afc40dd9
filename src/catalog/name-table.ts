import { CAPABILITY_KINDS, type CapabilityKind } from '../core/ports.ts';
import type { Entry } from './entries.ts';
import { FamilyGroups } from './family-groups.ts';
import type { Finding } from './findings.ts';
import type { Form } from './forms.ts';
import { reservedOwner } from './names.ts';
import type { Part } from './parts.ts';

/** What an upstream offers, or offered last: `live` says whether it is listed now. */
export interface Holding {
  readonly part: Part;
  readonly live: boolean;
}

export interface Claim {
  readonly entry: Entry;
  readonly live: boolean;
}

/** All that claim one exposed name. */
export interface Slot {
  readonly claims: readonly Claim[];
  /** Upstream names, sorted. */
  readonly owners: readonly string[];
  readonly ambiguous: boolean;
  /** The claims are one tool of a family: a call says which of them it means. */
  readonly family: boolean;
}

export interface Listed {
  readonly entry: Entry;
  readonly exposed: string;
  /** As it is listed alone; a tool of a family is listed for all its members. */
  readonly form: Form;
  readonly slot: Slot;
}

const NO_CONFLICTS: ReadonlyMap<string, string> = new Map();

/**
 * Who owns which name among a set of visible upstreams (security class 16): decided once, for listing and calling. An
 * upstream that stopped keeps its claims for as long as it is configured, so that no call ever moves to a name-sake.
 */
export class NameTable {
  /** Sorted by upstream name; merged lists keep this order, then the upstream's own (protocol.md section 4). */
  readonly holdings: readonly Holding[];
  readonly #slots: Readonly<Record<CapabilityKind, ReadonlyMap<string, Slot>>>;
  readonly #originals = new Map<string, Claim>();
  readonly #families: FamilyGroups;

  /** @param conflicts families that are shown under the names of their servers, with the reason (`familyConflicts`) */
  constructor(holdings: readonly Holding[], conflicts: ReadonlyMap<string, string> = NO_CONFLICTS) {
    this.holdings = holdings.toSorted((a, b) => compare(a.part.upstream.name, b.part.upstream.name));
    this.#families = new FamilyGroups(
      this.holdings.map(({ part }) => part),
      conflicts,
    );
    this.#slots = {
      tools: this.#claimNames('tools'),
      prompts: this.#claimNames('prompts'),
      resources: this.#claimUris('resources'),
      templates: this.#claimUris('templates'),
    };
  }

  slot(kind: CapabilityKind, exposed: string): Slot | undefined {
    return this.#slots[kind].get(exposed);
  }

  /** The name under which an entry is listed and called, if its name is unique. */
  nameOf(entry: Entry): string {
    return entry.family !== undefined && this.#families.isShown(entry) ? entry.family.exposed : entry.plain.exposed;
  }

  /** A resource by its upstream and the upstream's own URI. */
  resource(upstream: string, original: string): Claim | undefined {
    return this.#originals.get(originalKey(upstream, original));
  }

  /** What of a live part is listed, in order, under the form it has here. */
  *listed(kind: CapabilityKind, part: Part): Generator<Listed> {
    const seen = new Set<string>();
    for (const entry of part.listable(kind)) {
      const exposed = this.nameOf(entry);
      const slot = this.slot(kind, exposed);
      const isName = kind === 'tools' || kind === 'prompts';
      if (slot === undefined || (isName && slot.ambiguous)) continue;
      const form = slot.ambiguous ? entry.reversible : entry.plain;
      const listed = slot.ambiguous ? form.exposed : exposed;
      if (seen.has(listed)) continue;
      seen.add(listed);
      yield { entry, exposed: listed, form, slot };
    }
  }

  /** Names that several claim, and tools that their family cannot show once. */
  findings(): Finding[] {
    const findings: Finding[] = this.#families.findings();
    for (const kind of CAPABILITY_KINDS) {
      for (const [exposed, { claims, owners, ambiguous }] of this.#slots[kind]) {
        if (!ambiguous) continue;
        const dropped = kind === 'tools' || kind === 'prompts';
        const text = `'${exposed}' is provided by ${owners.join(', ')}${dropped ? '' : '; listed as turnpike://UPSTREAM/URI'}`;
        for (const { entry } of claims) {
          findings.push({ upstream: entry.upstream, kind, name: entry.original, rule: 'collision', dropped, text });
        }
      }
    }
    return findings;
  }

  #claimNames(kind: 'tools' | 'prompts'): Map<string, Slot> {
    const claims = this.#collect(kind, (claim, before) =>
      // A page that an upstream sent twice is no conflict; two definitions of one name are, whoever sent them.
      before.some(({ entry }) => entry.upstream === claim.entry.upstream && entry.capability.bytes.equals(claim.entry.capability.bytes)),
    );
    return new Map(
      [...claims].map(([exposed, found]) => {
        if (kind === 'prompts') return [exposed, slotOf(found, [], found.length > 1)];
        const reserved = reservedOwner(exposed);
        const others = [...this.#families.vacatedBy(exposed), ...(reserved === undefined ? [] : [reserved])];
        const isFamily = this.#isFamily(found);
        const slot = slotOf(found, others, found.length > 1 && !isFamily, isFamily);
        return [exposed, others.length > 0 && slot.owners.length > 1 ? { ...slot, ambiguous: true } : slot];
      }),
    );
  }

  /** Whether claims are one tool of one family. */
  #isFamily(claims: readonly Claim[]): boolean {
    const family = claims[0]?.entry.family?.family;
    return family !== undefined && claims.every(({ entry }) => entry.family?.family === family && this.#families.isShown(entry));
  }

  #claimUris(kind: 'resources' | 'templates'): Map<string, Slot> {
    const claims = this.#collect(kind, (claim, before) => before.some(({ entry }) => isSame(entry, claim.entry)));
    if (kind === 'resources') {
      for (const claim of [...claims.values()].flat()) this.#originals.set(originalKey(claim.entry.upstream, claim.entry.original), claim);
    }
    return new Map([...claims].map(([exposed, found]) => [exposed, slotOf(found, [], found.length > 1)]));
  }

  #collect(kind: CapabilityKind, isRepeat: (claim: Claim, before: readonly Claim[]) => boolean): Map<string, Claim[]> {
    const claims = new Map<string, Claim[]>();
    for (const { part, live } of this.holdings) {
      for (const entry of part.entries(kind)) {
        const claim = { entry, live };
        const exposed = this.nameOf(entry);
        const before = claims.get(exposed);
        if (before === undefined) claims.set(exposed, [claim]);
        else if (!isRepeat(claim, before)) before.push(claim);
      }
    }
    return claims;
  }
}

/** @param others who own the name besides */
function slotOf(claims: readonly Claim[], others: readonly string[], ambiguous: boolean, family = false): Slot {
  const owners = new Set([...claims.map(({ entry }) => entry.upstream), ...others]);
  return { claims, owners: [...owners].sort(compare), ambiguous, family };
}

function isSame(a: Entry, b: Entry): boolean {
  return a.upstream === b.upstream && a.original === b.original;
}

function originalKey(upstream: string, original: string): string {
  return `${upstream} ${original}`;
}

/** By UTF-16 code units: the same everywhere, whatever the locale. */
export function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
