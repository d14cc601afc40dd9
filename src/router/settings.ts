import type { JsonObject } from '../core/mcp.ts';

/** What the router needs of the configuration. Durations in milliseconds. */
export interface RouterSettings {
  readonly upstreams: ReadonlyMap<string, UpstreamSettings>;
  readonly bridge: {
    /** Letters of the interactions that are relayed (`upstream/profile.ts`). */
    readonly interactive: readonly string[];
    /** How long a request state may wait for its retry. */
    readonly stateTtl: number;
  };
  /** How we introduce ourselves, in both directions. */
  readonly serverInfo: JsonObject;
}

export interface UpstreamSettings {
  readonly timeouts: { readonly call: number; readonly callMax: number };
  /** Under `passthrough` nothing is added to what an upstream says. */
  readonly naming: 'prefixed' | 'passthrough';
  /** The operator's words on what it is for; told to clients. */
  readonly description?: string;
  /** `auth.mode`. */
  readonly credentialMode: string;
  /** Hash of name, address and mode: request state and task ids of another configuration are void (security class 13). */
  readonly configHash: string;
}
