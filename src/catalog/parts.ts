import { sameValue } from '../config/changes.ts';
import { CAPABILITY_KINDS, type Capability, type CapabilityKind, type CapabilitySet } from '../core/ports.ts';
import type { Dialect } from './dialects.ts';
import { type Entry, entryOf } from './entries.ts';
import type { Finding } from './findings.ts';
import { hidesInName, showHidden } from './hidden-text.ts';
import { ALLOWED, decide, type Policy, subjectOf } from './policy.ts';
import type { NameSettings, UpstreamSettings } from './settings.ts';
import { type Note, type VetOptions, vet } from './vet.ts';

const COMMA = Buffer.from(',');

/** Everything one upstream offers, vetted, named and decided: the middle layer of list bytes. */
export class Part {
  readonly upstream: UpstreamSettings;
  readonly set: CapabilitySet;
  readonly findings: readonly Finding[];
  /** Whether the policy took a tool out of the list. */
  readonly touchedByPolicy: boolean;
  readonly #entries: Readonly<Record<CapabilityKind, readonly Entry[]>>;
  readonly #listable: Readonly<Record<CapabilityKind, readonly Entry[]>>;
  readonly #joined = new Map<string, Buffer>();

  constructor(
    upstream: UpstreamSettings,
    set: CapabilitySet,
    entries: Readonly<Record<CapabilityKind, readonly Entry[]>>,
    hidden: number,
    findings: readonly Finding[],
  ) {
    this.upstream = upstream;
    this.set = set;
    this.findings = findings;
    this.#entries = entries;
    this.#listable = { ...entries, tools: entries.tools.filter(({ decision }) => decision.kind === 'allowed') };
    this.touchedByPolicy = hidden > 0 || this.#listable.tools.length < entries.tools.length;
  }

  /** In the upstream's order; tools that the policy hides are not among them, denied ones are. */
  entries(kind: CapabilityKind): readonly Entry[] {
    return this.#entries[kind];
  }

  /** Those that no decision keeps out of the list. */
  listable(kind: CapabilityKind): readonly Entry[] {
    return this.#listable[kind];
  }

  /** All listable ones under their plain names, separated by commas. */
  joined(kind: CapabilityKind, dialect: Dialect): Buffer {
    const key = `${kind} ${dialect}`;
    let bytes = this.#joined.get(key);
    if (bytes === undefined) {
      bytes = joinForms(
        this.#listable[kind].map(({ plain }) => plain),
        dialect,
      );
      this.#joined.set(key, bytes);
    }
    return bytes;
  }
}

/** The definitions of some forms, separated by commas. */
export function joinForms(forms: readonly Entry['plain'][], dialect: Dialect): Buffer {
  return Buffer.concat(forms.flatMap((form, index) => (index === 0 ? [form.bytes(dialect)] : [COMMA, form.bytes(dialect)])));
}

interface Checked {
  readonly era: CapabilitySet['era'];
  /** Absent: dropped, or hidden by the policy. */
  readonly entry?: Entry;
  readonly hidden: boolean;
  readonly findings: readonly Finding[];
}

interface Known {
  readonly settings: UpstreamSettings;
  readonly checked: WeakMap<Capability, Checked>;
}

/** Makes parts, and keeps what it made for as long as the definitions live. */
export class PartBuilder {
  readonly #names: NameSettings;
  readonly #policy: Policy;
  readonly #vetting: VetOptions;
  /** What is wrong with a definition is the same under every policy and name. */
  readonly #vetted: WeakMap<Capability, ReturnType<typeof vet>>;
  readonly #upstreams: ReadonlyMap<string, Known>;
  readonly #parts = new WeakMap<CapabilitySet, Map<string, Part>>();

  /** @param earlier what it has checked is not checked again where the settings are the same */
  constructor(names: NameSettings, upstreams: readonly UpstreamSettings[], policy: Policy, vetting: VetOptions, earlier?: PartBuilder) {
    this.#names = names;
    this.#policy = policy;
    this.#vetting = vetting;
    this.#vetted = earlier === undefined ? new WeakMap() : earlier.#vetted;
    const isSame = earlier !== undefined && sameValue([earlier.#names, earlier.#policy.settings], [names, policy.settings]);
    const known = isSame ? earlier.#upstreams : new Map<string, Known>();
    this.#upstreams = new Map(
      upstreams.map((settings): [string, Known] => {
        const before = known.get(settings.name);
        const checked = before !== undefined && sameValue(before.settings, settings) ? before.checked : new WeakMap<Capability, Checked>();
        return [settings.name, { settings, checked }];
      }),
    );
  }

  /** `undefined` for an upstream that the settings do not know: nobody may see it. */
  build(name: string, set: CapabilitySet): Part | undefined {
    const upstream = this.#upstreams.get(name);
    if (upstream === undefined) return undefined;
    let parts = this.#parts.get(set);
    if (parts === undefined) {
      parts = new Map();
      this.#parts.set(set, parts);
    }
    let part = parts.get(name);
    if (part === undefined) {
      part = this.#make(upstream.settings, set, upstream.checked);
      parts.set(name, part);
    }
    return part;
  }

  #make(upstream: UpstreamSettings, set: CapabilitySet, known: WeakMap<Capability, Checked>): Part {
    const entries: Record<CapabilityKind, Entry[]> = { tools: [], prompts: [], resources: [], templates: [] };
    const findings: Finding[] = [];
    let hidden = 0;
    for (const kind of CAPABILITY_KINDS) {
      for (const capability of set.lists[kind]) {
        let checked = known.get(capability);
        if (checked === undefined || checked.era !== set.era) {
          checked = this.#check(kind, capability, upstream, set.era);
          known.set(capability, checked);
        }
        if (checked.entry !== undefined) entries[kind].push(checked.entry);
        if (checked.hidden) hidden++;
        findings.push(...checked.findings);
      }
    }
    return new Part(upstream, set, entries, hidden, findings);
  }

  #check(kind: CapabilityKind, capability: Capability, upstream: UpstreamSettings, era: CapabilitySet['era']): Checked {
    const decision = kind === 'tools' ? decide(subjectOf(upstream.name, capability), this.#policy) : ALLOWED;
    // A definition that nobody sees is not worth a warning either.
    if (decision.kind === 'hidden') return { era, hidden: true, findings: [] };
    const vetted = this.#vetted.get(capability) ?? vet(kind, capability, this.#vetting);
    this.#vetted.set(capability, vetted);
    const { bytes, fault, flags } = vetted;
    const name = hidesInName(capability.id) ? showHidden(capability.id) : capability.id;
    const finding = (note: Note, dropped: boolean): Finding => ({ upstream: upstream.name, kind, name, dropped, ...note });
    const findings = flags.map((flag) => finding(flag, false));
    if (fault !== undefined) return { era, hidden: false, findings: [finding(fault, true), ...findings] };
    return { era, hidden: false, findings, entry: entryOf(kind, capability, bytes, decision, era, upstream, this.#names) };
  }
}
