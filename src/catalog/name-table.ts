import { CAPABILITY_KINDS, type CapabilityKind } from '../core/ports.ts';
import type { Entry, Form } from './entries.ts';
import type { Finding } from './findings.ts';
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
}

export interface Listed {
  readonly entry: Entry;
  readonly form: Form;
}

/**
 * Who owns which name among a set of visible upstreams (security class 16): decided once, for listing and calling. An
 * upstream that stopped keeps its claims for as long as it is configured, so that no call ever moves to a name-sake.
 */
export class NameTable {
  /** Sorted by upstream name; merged lists keep this order, then the upstream's own (protocol.md section 4). */
  readonly holdings: readonly Holding[];
  readonly #slots: Readonly<Record<CapabilityKind, ReadonlyMap<string, Slot>>>;
  readonly #originals = new Map<string, Claim>();

  constructor(holdings: readonly Holding[]) {
    this.holdings = holdings.toSorted((a, b) => compare(a.part.upstream.name, b.part.upstream.name));
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

  /** A resource by its upstream and the upstream's own URI. */
  resource(upstream: string, original: string): Claim | undefined {
    return this.#originals.get(originalKey(upstream, original));
  }

  /** What of a live part is listed, in order, under the form it has here. */
  *listed(kind: CapabilityKind, part: Part): Generator<Listed> {
    const seen = new Set<string>();
    for (const entry of part.listable(kind)) {
      const slot = this.slot(kind, entry.plain.exposed);
      const isName = kind === 'tools' || kind === 'prompts';
      if (slot === undefined || (isName && slot.ambiguous)) continue;
      const form = slot.ambiguous ? entry.reversible : entry.plain;
      if (seen.has(form.exposed)) continue;
      seen.add(form.exposed);
      yield { entry, form };
    }
  }

  /** Names that several claim. */
  collisions(): Finding[] {
    const findings: Finding[] = [];
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
        const reserved = kind === 'tools' ? reservedOwner(exposed) : undefined;
        return [exposed, slotOf(found, reserved, found.length > 1 || reserved !== undefined)];
      }),
    );
  }

  #claimUris(kind: 'resources' | 'templates'): Map<string, Slot> {
    const claims = this.#collect(kind, (claim, before) => before.some(({ entry }) => isSame(entry, claim.entry)));
    if (kind === 'resources') {
      for (const claim of [...claims.values()].flat()) this.#originals.set(originalKey(claim.entry.upstream, claim.entry.original), claim);
    }
    return new Map([...claims].map(([exposed, found]) => [exposed, slotOf(found, undefined, found.length > 1)]));
  }

  #collect(kind: CapabilityKind, isRepeat: (claim: Claim, before: readonly Claim[]) => boolean): Map<string, Claim[]> {
    const claims = new Map<string, Claim[]>();
    for (const { part, live } of this.holdings) {
      for (const entry of part.entries(kind)) {
        const claim = { entry, live };
        const before = claims.get(entry.plain.exposed);
        if (before === undefined) claims.set(entry.plain.exposed, [claim]);
        else if (!isRepeat(claim, before)) before.push(claim);
      }
    }
    return claims;
  }
}

function slotOf(claims: readonly Claim[], reserved: string | undefined, ambiguous: boolean): Slot {
  const owners = new Set([...claims.map(({ entry }) => entry.upstream), ...(reserved === undefined ? [] : [reserved])]);
  return { claims, owners: [...owners].sort(compare), ambiguous };
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
