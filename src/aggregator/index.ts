/** `turnpike/aggregator`: the connection pool and the launcher under the name of the system they come from (aggregator.md section 10). */
export {
  type ConnectionKey,
  type ConnectionMetadata,
  type ConnectionState,
  connectionKeyToString,
  DEFAULT_CLEANUP_INTERVAL,
  DEFAULT_CONNECTION_POOL_MAX_AGE,
  DEFAULT_IDLE_TIMEOUT,
  DEFAULT_MAX_ERROR_COUNT,
  type PoolConfig,
} from '../launcher/connection-key.ts';
export type { Connection } from '../launcher/launched-connection.ts';
export { getOrLaunch, getOrLaunchForSession, Launcher, type LauncherOptions, type LaunchOptions } from '../launcher/launcher.ts';
export { type McpClient, McpError, type McpNotification, type RequestOptions } from '../launcher/mcp-client.ts';
export {
  type Closable,
  type NotificationCallback,
  type OpenedConnection,
  type PooledInfo,
  type PoolLease,
  SessionConnectionPool,
  type SessionConnectionPoolOptions,
} from '../launcher/session-connection-pool.ts';
