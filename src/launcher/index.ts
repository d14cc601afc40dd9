/** `turnpike/launcher`: connections to MCP servers, launched and reused by (server, session), and the pool for connections of one's own. */
export { type ConfigDocument, type ConfigFromOptions, configFrom } from '../config-from.ts';
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
} from './connection-key.ts';
export type { Connection } from './launched-connection.ts';
export { getOrLaunch, getOrLaunchForSession, Launcher, type LauncherOptions, type LaunchOptions } from './launcher.ts';
export { type McpClient, McpError, type McpNotification, type RequestOptions } from './mcp-client.ts';
export {
  type Closable,
  type NotificationCallback,
  type OpenedConnection,
  type PooledInfo,
  type PoolLease,
  SessionConnectionPool,
  type SessionConnectionPoolOptions,
} from './session-connection-pool.ts';
