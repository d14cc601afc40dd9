import { type Edits, toJson } from '../core/json.ts';
import type { ParamHeaders } from '../core/mcp-headers.ts';
import type { Capability } from '../core/ports.ts';
import type { Entry } from './entries.ts';
import type { Decision } from './policy.ts';

/** A tool or prompt of one upstream, as a name led to it. */
export interface Found {
  readonly kind: 'found';
  readonly upstream: string;
  /** What the upstream calls it. */
  readonly original: string;
  readonly capability: Capability;
  readonly decision: Decision;
  /** The headers that a tool's schema asks for. */
  readonly mirrored: ParamHeaders;
  /** What makes the request one for the upstream: its own name, where that is another one. */
  readonly renamed: Edits | undefined;
}

/** What a name leads to where it is this one's. */
export function foundAt(name: string, { upstream, original, capability, decision, mirrored }: Entry): Found {
  return { kind: 'found', upstream, original, capability, decision, mirrored, renamed: name === original ? undefined : { name: toJson(original) } };
}

/** Why a name leads nowhere. `text` is for the caller. */
export type NotFound = { readonly kind: 'ambiguous'; readonly text: string } | { readonly kind: 'unknown'; readonly text: string };

/** What a name means in a view. */
export type Resolution = Found | NotFound;

/** What a tool's name means: one upstream's tool, or that of whichever member of a family a call names. */
export type ToolResolution = Resolution | { readonly kind: 'family'; readonly tool: FamilyTool };

/** `capability` is the listed resource or the template; a resource named by `turnpike://` may be neither. */
export type ResourceResolution =
  | { readonly kind: 'found'; readonly upstream: string; readonly original: string; readonly capability?: Capability }
  | NotFound;

/** Which member a call means. `denied`: the policy refuses every one of them. */
export type Choice =
  | Found
  | { readonly kind: 'denied'; readonly decision: Extract<Decision, { kind: 'denied' }> }
  | { readonly kind: 'unknown'; readonly text: string };

/** A tool of a family as one view has it: its members there, and nobody else. */
export class FamilyTool {
  readonly name: string;
  readonly family: string;
  /** The argument that names the member; it is ours and never goes on. */
  readonly argument: string;
  /** Members that may be called, sorted; the first one's definition is the one that is listed. */
  readonly available: readonly string[];
  readonly #members: ReadonlyMap<string, Entry>;
  readonly #found = new Map<string, Found>();

  /** @param members those of the view, sorted by upstream name, with at least one among them */
  constructor(name: string, family: string, argument: string, members: readonly Entry[]) {
    this.name = name;
    this.family = family;
    this.argument = argument;
    this.available = members.filter(({ decision }) => decision.kind === 'allowed').map(({ upstream }) => upstream);
    this.#members = new Map(members.map((member) => [member.upstream, member]));
  }

  /** Who is meant by the value of the argument. The texts name members of the view only. */
  choose(instance: unknown): Choice {
    const isNamed = typeof instance === 'string' && instance !== '';
    const member = isNamed ? this.#member(instance) : undefined;
    if (member !== undefined) return member;
    const [first] = this.#members.values();
    // Whomever the call named, it would be refused: that is worth more than a question for a name.
    if (this.available.length === 0 && first?.decision.kind === 'denied') return { kind: 'denied', decision: first.decision };
    const { name, family, argument } = this;
    const servers = this.available.join(', ');
    const text = isNamed
      ? `tool ${name} is not available on server ${JSON.stringify(instance)} (available: ${servers})`
      : `tool ${name} is provided by family ${family} on servers ${servers}; the "${argument}" parameter is required`;
    return { kind: 'unknown', text };
  }

  /** What a call needs of a member is found out when one is made. */
  #member(upstream: string): Found | undefined {
    const known = this.#found.get(upstream);
    const entry = this.#members.get(upstream);
    if (known !== undefined || entry === undefined) return known;
    const found = foundAt(this.name, entry);
    this.#found.set(upstream, found);
    return found;
  }
}
