import type { JsonObject } from '../core/mcp.ts';

/** What the router needs of the configuration. Durations in milliseconds. */
export interface RouterSettings {
  readonly upstreams: ReadonlyMap<string, UpstreamSettings>;
  readonly bridge: {
    /** Letters of the interactions that are relayed (`upstream/profile.ts`). */
    readonly interactive: readonly string[];
    /** How long a request state may wait for its retry. */
    readonly stateTtl: number;
    /** How often one call may ask for input. */
    readonly maxRounds: number;
    /** How long a client may take to answer one round. */
    readonly roundTimeout: number;
    /** How long questions of one call are gathered before they leave together. */
    readonly gatherWindow: number;
    /** How long the answer to a retry is kept for the same retry coming again. */
    readonly replayWindow: number;
    /** Whether forms that ask for secrets are declined. */
    readonly blockSecretForms: boolean;
    /** How many calls may wait for input. */
    readonly park: { readonly perPrincipal: number; readonly perUpstream: number; readonly total: number };
    /** By upstream: what it is told when it asks for roots outside a call. */
    readonly roots: ReadonlyMap<string, readonly Root[]>;
  };
  /** How we introduce ourselves, in both directions. */
  readonly serverInfo: JsonObject;
}

/** A folder or file that an upstream may work in (2025-11-25, "Roots"). */
export interface Root {
  readonly uri: string;
  readonly name?: string;
}

export interface UpstreamSettings {
  readonly timeouts: { readonly call: number; readonly callMax: number };
  /** Under `passthrough` nothing is added to what an upstream says. */
  readonly naming: 'prefixed' | 'passthrough';
  /** The operator's words on what it is for; told to clients. */
  readonly description?: string;
  /** Some of its tools wait for long by themselves: it is asked for progress although the client is not, and a call's time restarts with it. */
  readonly waits?: boolean;
  /** `auth.mode`. */
  readonly credentialMode: string;
  /** Hash of name, address and mode: request state and task ids of another configuration are void (security class 13). */
  readonly configHash: string;
}
