import type { Principal } from '../../../core/caller.ts';
import type { Clock } from '../../../core/clock.ts';
import type { CredentialKind, GitLabApi, GitLabCredential } from '../client/api.ts';
import type { Identity } from './identity.ts';

/** Settings that all servers of a pool share. */
export interface ServerPoolConfig {
  /** The instance that is meant where none is named; its address is the operator's word. Default `https://gitlab.com`. */
  readonly gitlabUrl?: string | undefined;
  /** Certificates of instances are not checked. Default false. */
  readonly skipTlsVerify?: boolean | undefined;
  /** PEM, added to the roots of the system. */
  readonly caFile?: string | undefined;
  /** Proxy for all instances. */
  readonly proxy?: string | undefined;
}

/**
 * Builds the complete server of one caller, once for each entry. It may reject; then there is no entry.
 *
 * @param credential for masking it in what is answered, and for nothing else: requests go through `client`
 */
export type ServerFactory<S> = (client: GitLabApi, identity: Identity, credential: GitLabCredential) => S | Promise<S>;

/** How the pool gets a client for a credential. @param apiUrl canonical */
export type ClientFactory = (apiUrl: string, credential: GitLabCredential) => GitLabApi;

/** All times in milliseconds. */
export interface ServerPoolOptions<S> {
  /** Entries at once; 0 and less are ignored. Default 100. */
  readonly maxSize?: number;
  /** Between two questions to GitLab about one credential; 0 and less: none. Default `DEFAULT_REVALIDATE_INTERVAL`. */
  readonly revalidateInterval?: number;
  readonly clock?: Clock;
  /** From 0 up to 1, for jitter. Default `Math.random`. */
  readonly random?: () => number;
  /** Default: clients over connections of the pool's own, made from its configuration. */
  readonly clients?: ClientFactory;
  /** GitLab does not take the credential of this principal any more: its sessions are to end. */
  readonly endSessions?: (principal: Principal) => void;
  /** Ends a server whose entry is retired, after its last lease. */
  readonly dispose?: (server: S) => void | Promise<void>;
  /** For logs and metrics. Must not call the pool. */
  readonly observe?: (event: ServerPoolEvent) => void;
}

/** What happened to a credential. Holds no part of it. */
export interface ServerPoolEvent {
  readonly kind: 'accepted' | 'refused' | 'evicted' | 'idle' | 'replaced' | 'revalidation-succeeded' | 'revalidation-failed' | 'revalidation-skipped';
  /** Beginning of its name, which is an HMAC under a random key of the process. */
  readonly fingerprint: string;
  readonly credential: CredentialKind;
  /** Canonical. */
  readonly apiUrl: string;
  /** Why, for those that were refused or skipped. */
  readonly error?: unknown;
}

/** Period of revalidation: 15 minutes. */
export const DEFAULT_REVALIDATE_INTERVAL = 900_000;

/** Numbers that never fall. */
export interface Metrics {
  readonly hits: number;
  readonly misses: number;
  readonly evictions: number;
  readonly revalidationsFailed: number;
  readonly revalidationsSucceeded: number;
}

/** `Metrics` and state at one moment. */
export interface Snapshot {
  readonly hits: number;
  readonly misses: number;
  readonly evictions: number;
  readonly revalidations_failed: number;
  readonly revalidations_succeeded: number;
  readonly current_size: number;
  readonly max_size: number;
  /** ISO 8601. */
  readonly created_at: string;
}

export interface GetOptions {
  /** In any spelling; the pool's own instance when absent. Whoever takes it from a caller judges it before. */
  readonly gitlabUrl?: string | undefined;
  /** Default `private-token`. */
  readonly kind?: CredentialKind | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The right to use a server now: while it is held, the entry gives way to no other. */
export interface ServerLease<S> {
  readonly server: S;
  readonly identity: Identity;
  readonly apiUrl: string;
  /** Aborts when GitLab does not take the credential any more, with `CredentialRejectedError`, and when the pool ends under it. */
  readonly signal: AbortSignal;
  /** Idempotent. */
  release(): void;
}
