/**
 * What the catalog needs of the configuration (aggregator.md sections 1 to 3). Structural: the configuration's own
 * types are assignable, and no layer below is imported for it.
 */
export interface CatalogSettings {
  readonly catalog: NameSettings;
  readonly policy: PolicySettings;
  /** An upstream that is not listed here is invisible to everybody. */
  readonly upstreams: readonly UpstreamSettings[];
}

export interface NameSettings {
  /** First part of every exposed name; default `x`. */
  readonly prefix: string;
  /** Longest exposed name, in characters; default 64. */
  readonly maxNameLength: number;
}

export interface PolicySettings {
  readonly denylist: {
    /** Original names added to the built-in ones. */
    readonly extra: readonly string[];
    /** `server:tool` pairs that are lifted. */
    readonly except: readonly string[];
  };
  /** `enforce`: an explicit `destructiveHint: true` is treated as listed. */
  readonly annotations: 'enforce' | 'ignore';
  readonly nonDestructive: boolean;
  /** Switches off the denylist and the annotation rule, and nothing else. */
  readonly yolo: boolean;
}

export interface UpstreamSettings {
  readonly name: string;
  /** Upstreams of type `gitlab` answer in this process: what they say about their own tools is ours. */
  readonly type?: string | undefined;
  /** Default: the name. */
  readonly toolPrefix?: string | undefined;
  readonly naming: 'prefixed' | 'passthrough';
  /** Equivalent upstreams show their tools once, under the family's name; a call chooses among them by an argument. */
  readonly family?: FamilySettings | undefined;
  /** Who may see it; absent: everybody. */
  readonly tenants?: readonly string[] | undefined;
  readonly tools: ToolSettings;
}

export interface FamilySettings {
  readonly name: string;
  /** The argument that names the upstream of a call. */
  readonly instanceArg: string;
}

export interface ToolSettings {
  /** Globs on original names; a tool outside is absent. Absent: all. */
  readonly allow?: readonly string[] | undefined;
  /** Globs on original names; a tool inside is absent, also when allowed. */
  readonly deny?: readonly string[] | undefined;
  /** Globs on original names that pass the non-destructive mode. */
  readonly readOnly?: readonly string[] | undefined;
  /** Whether the upstream's `readOnlyHint` is believed. */
  readonly trustAnnotations: boolean;
}
