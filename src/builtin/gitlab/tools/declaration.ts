import type { Clock } from '../../../core/clock.ts';
import type { JsonObject } from '../../../core/mcp.ts';
import type { GitLabApi } from '../client/api.ts';
import type { Masker } from '../output/masking.ts';
import type { Shape } from '../output/shape.ts';
import type { Cursors } from './cursors.ts';
import type { GitLabCall } from './gitlab-call.ts';
import type { Params } from './parameters.ts';
import type { Hint, Produced } from './produced.ts';
import type { GitLabSettings } from './settings.ts';

/** Groups of tools that operators switch on (gitlab.md 4, "Toolsets"). */
export const TOOLSETS = [
  'identity',
  'groups',
  'projects',
  'repository',
  'issues',
  'merge_requests',
  'ci',
  'variables',
  'planning',
  'releases',
  'wiki',
  'search',
] as const;
export type Toolset = (typeof TOOLSETS)[number];

/** Read, write, destructive. */
export type Kind = 'R' | 'W' | 'D';

/** What was found, for hints. */
export interface Found {
  /** As the caller wrote them. */
  readonly args: JsonObject;
  /** The item, or the first of the items; `{}` if there is none. */
  readonly first: JsonObject;
}

/**
 * Everything about one tool. Schema, annotations, toolsets, routing, output and reference are derived from it; nothing else
 * knows tools by name.
 */
export interface ToolDeclaration {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly toolset: Toolset;
  /** 1: on by default. 2: with `NAME+` and `all`. `named`: only where an operator names the tool. */
  readonly tier: 1 | 2 | 'named';
  readonly kind: Kind;
  /** Default GET. */
  readonly method?: 'POST' | 'PUT' | 'DELETE';
  /**
   * Paths below `/api/v4` with `{parameter}`; the first whose parameters are all given is taken. `P`, `G`, `I`, `M` and `RP` at the
   * beginning are those of gitlab.md section 4.
   */
  readonly routes: readonly string[];
  /** In the order of the reference. Those in paths need not be repeated. */
  readonly params?: Params;
  /** A page of a list instead of one item. */
  readonly list?: true;
  /** GitLab answers the whole list at once: pages of it are ours. */
  readonly unpaged?: true;
  /** Orders (`order_by`) in which GitLab has keyset pagination for this list; the first is the default. */
  readonly keyset?: readonly string[];
  /** Query that always goes along. */
  readonly always?: Readonly<Record<string, string | boolean>>;
  /** Known fields of the item, or of each item. A function where they depend on arguments. */
  readonly shape: Shape | ((args: JsonObject) => Shape);
  /** Fields that no caller sees, whatever `detail` says. */
  readonly withhold?: readonly string[];
  /** Of a tool that writes: whether these arguments only read, so that read-only mode lets them pass. Throws for what it cannot tell. */
  readonly onlyReads?: (args: JsonObject) => boolean;
  /** Of a tool that writes: some arguments destroy. */
  readonly mayDestroy?: true;
  /** Whether running it twice is running it once; reads always are. */
  readonly idempotent?: true;
  /** Holds no text of GitLab's users. */
  readonly trusted?: true;
  /** Path of the project id in the items of a route that names no project. */
  readonly projectOf?: string | ((args: JsonObject) => string);
  /** Further arguments that name projects. */
  readonly projects?: readonly string[];
  /** With a fence it is refused: it reaches what no list of projects can allow. Says what X is in the refusal. */
  readonly beyondFence?: (args: JsonObject) => string;
  /** One sentence for the human who confirms: what will happen. */
  readonly effect?: (args: JsonObject) => string;
  /** What to do where the item itself had to be cut; not said to who may not run the tool. */
  readonly goOn?: { readonly say: string; readonly tool?: string };
  readonly hints?: (found: Found) => readonly Hint[];
  /** For what is more than one request of the above. */
  readonly run?: (work: Work) => Promise<Produced>;
}

/** What a tool works with: the call was admitted, projects in `args` are numeric where there is a fence. */
export interface Work {
  readonly declaration: ToolDeclaration;
  readonly args: JsonObject;
  /** As the caller wrote them. */
  readonly asked: JsonObject;
  readonly call: GitLabCall;
  readonly api: GitLabApi;
  readonly signal: AbortSignal;
  readonly settings: GitLabSettings;
  readonly clock: Clock;
  readonly masker: Masker;
  readonly cursors: Cursors;
  /** Whether an item of another project may be shown; undefined without a fence. */
  readonly isAllowed: ((item: JsonObject) => boolean) | undefined;
  /** Asks the human about a call that turns out to be destructive. */
  confirm(): void;
}
