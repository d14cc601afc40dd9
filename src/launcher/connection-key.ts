/** Whose a pooled connection is: an upstream (`backendId`) and the session that uses it; empty for one that is nobody's alone. */
export interface ConnectionKey {
  readonly backendId: string;
  readonly sessionId: string;
}

/** `backend/session`, for logs. Not unambiguous when the names hold slashes: compare the members. */
export function connectionKeyToString({ backendId, sessionId }: ConnectionKey): string {
  return `${backendId}/${sessionId}`;
}

/**
 * `active`: leased. `starting`: still being opened. `draining` and `closed` are never handed out
 * (aggregator.md section 6, "Metadata").
 */
export type ConnectionState = 'starting' | 'active' | 'idle' | 'draining' | 'closed';

/** What is known of one pooled connection. A copy: it does not change. */
export interface ConnectionMetadata<C> {
  /** Absent while `starting`. */
  readonly connection?: C;
  readonly createdAt: Date;
  readonly lastUsedAt: Date;
  /** Leases so far. */
  readonly requestCount: number;
  /** Transport failures since the last success. */
  readonly errorCount: number;
  readonly state: ConnectionState;
}

/** All durations in milliseconds. */
export interface PoolConfig {
  /** Time without use after which a connection is closed, at most `cleanupInterval` late. Default 30 min. */
  readonly idleTimeout: number;
  /** Default 5 min. */
  readonly cleanupInterval: number;
  /** Transport failures in a row at which a connection is given up. Default 10. */
  readonly maxErrorCount: number;
  /** How long a connection that is replaced or evicted waits for its leases. Default 60 s. */
  readonly closeDelay: number;
  /** Connections in all. Default 512. */
  readonly maxConnections: number;
  /** Connections of one `backendId`. Default 128. */
  readonly maxPerBackend: number;
}

/** 30 minutes. */
export const DEFAULT_IDLE_TIMEOUT = 30 * 60_000;
/** 5 minutes. */
export const DEFAULT_CLEANUP_INTERVAL = 5 * 60_000;
export const DEFAULT_MAX_ERROR_COUNT = 10;
/** 1 hour: the idle time of `SessionConnectionPool.fromMaxAge`. */
export const DEFAULT_CONNECTION_POOL_MAX_AGE = 60 * 60_000;
