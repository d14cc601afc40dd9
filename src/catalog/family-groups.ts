import type { Entry } from './entries.ts';
import type { Finding } from './findings.ts';
import type { Part } from './parts.ts';
import type { UpstreamSettings } from './settings.ts';

/** The same tool of all members of a family. */
interface Group {
  readonly entries: Entry[];
  /** Why it is shown under the names of its servers; undefined: it is shown once. */
  fallback: string | undefined;
}

/** Families whose members configure different arguments: each with what its operator should know. They are shown by server. */
export function familyConflicts(upstreams: readonly UpstreamSettings[]): ReadonlyMap<string, string> {
  const members = new Map<string, UpstreamSettings[]>();
  for (const upstream of upstreams) {
    if (upstream.family === undefined) continue;
    const known = members.get(upstream.family.name);
    if (known === undefined) members.set(upstream.family.name, [upstream]);
    else known.push(upstream);
  }
  const conflicts = new Map<string, string>();
  for (const [family, all] of members) {
    const names = new Set(all.map(({ family: own }) => own?.instanceArg));
    if (names.size < 2) continue;
    const who = all.map(({ name, family: own }) => `${own?.instanceArg} by ${name}`).join(', ');
    conflicts.set(family, `family '${family}' is shown under the names of its servers: its instanceArg is ${who}`);
  }
  return conflicts;
}

/**
 * Which tools of families are shown once, and which under the names of their servers (aggregator.md section 2, "Families"). Decided
 * among the upstreams of one visible set: whom a caller cannot see decides nothing for them. One that stopped counts with what it
 * offered last, so that no name changes hands because somebody is away.
 */
export class FamilyGroups {
  readonly #groups = new Map<string, Group>();
  readonly #conflicts: ReadonlyMap<string, string>;
  readonly #vacated = new Map<string, readonly string[]>();

  /** @param parts sorted by upstream name */
  constructor(parts: readonly Part[], conflicts: ReadonlyMap<string, string>) {
    this.#conflicts = conflicts;
    if (parts.every(({ upstream }) => upstream.family === undefined)) return;
    for (const part of parts) {
      if (part.upstream.family === undefined) continue;
      for (const entry of part.entries('tools')) this.#add(entry);
    }
    for (const { entries, fallback } of this.#groups.values()) {
      const exposed = entries[0]?.family?.exposed;
      if (fallback === undefined || exposed === undefined) continue;
      this.#vacated.set(exposed, [...(this.#vacated.get(exposed) ?? []), ...entries.map(({ upstream }) => upstream)]);
    }
  }

  /** Whether a tool is shown under the name of its family. */
  isShown({ family }: Entry): boolean {
    const group = family && this.#groups.get(keyOf(family.family, family.exposed));
    return group !== undefined && group.fallback === undefined;
  }

  /**
   * Upstreams that would share this name, did they agree. It is nobody else's meanwhile: a call that was made for one of them must not
   * run at another.
   */
  vacatedBy(exposed: string): readonly string[] {
    return this.#vacated.get(exposed) ?? [];
  }

  /** Tools that are shown by server, though their upstream has a family. */
  findings(): Finding[] {
    const findings: Finding[] = [];
    for (const { entries, fallback } of this.#groups.values()) {
      const [first] = entries;
      if (fallback === undefined || first?.family === undefined || this.#conflicts.has(first.family.family)) continue;
      const text = `'${first.family.exposed}' of family '${first.family.family}' is shown under the names of its servers: ${fallback}`;
      for (const { upstream, original } of entries)
        findings.push({ upstream, kind: 'tools', name: original, rule: 'family-fallback', dropped: false, text });
    }
    return findings;
  }

  #add(entry: Entry): void {
    const { family } = entry;
    if (family === undefined) return;
    const key = keyOf(family.family, family.exposed);
    const group = this.#groups.get(key);
    if (group === undefined) {
      const fault = family.fault;
      const fallback = this.#conflicts.get(family.family) ?? (fault === undefined ? undefined : `${entry.upstream} ${fault}`);
      this.#groups.set(key, { entries: [entry], fallback });
      return;
    }
    group.fallback ??= reasonAgainst(entry, group.entries);
    group.entries.push(entry);
  }
}

/** Why a tool cannot be one with those of the members before it. */
function reasonAgainst(entry: Entry, before: readonly Entry[]): string | undefined {
  const fault = entry.family?.fault;
  if (fault !== undefined) return `${entry.upstream} ${fault}`;
  // A page that an upstream sent twice is no conflict; anything else is two tools, and a call could mean either.
  if (before.some((other) => other.upstream === entry.upstream && !other.capability.bytes.equals(entry.capability.bytes)))
    return `${entry.upstream} has two tools of that name`;
  // Those before it are like the first one.
  const [first] = before;
  const part = first?.family && entry.family?.differsFrom(first.family);
  return part === undefined ? undefined : `${first?.upstream} and ${entry.upstream} differ in ${part}`;
}

function keyOf(family: string, exposed: string): string {
  return `${family} ${exposed}`;
}
