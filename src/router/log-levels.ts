import { asTurnpikeError, TurnpikeError } from '../core/errors.ts';
import { toJson } from '../core/json.ts';
import { isJsonObject, LOG_LEVELS, type LogLevel } from '../core/mcp.ts';
import type { Connection } from '../core/ports.ts';

/** A session upstream is told the most verbose level that was asked for on its connection (protocol.md section 7). */
export class ToldLevels {
  readonly #told = new WeakMap<Connection, LogLevel>();

  /** Throws as `Connection.request`; when the connection is lost meanwhile, the call itself was not sent. */
  async tell(connection: Connection, level: LogLevel | undefined, signal: AbortSignal): Promise<void> {
    if (level === undefined || connection.era !== 'legacy' || !isJsonObject(connection.capabilities.logging)) return;
    const told = this.#told.get(connection);
    if (told !== undefined && LOG_LEVELS.indexOf(told) <= LOG_LEVELS.indexOf(level)) return;
    this.#told.set(connection, level);
    const relay = { notification: () => {}, request: async () => Promise.reject(new TurnpikeError('request/method')) };
    try {
      await connection.request({ method: 'logging/setLevel', params: toJson({ level }), capabilities: {}, progress: false, relay, signal });
    } catch (error) {
      this.#told.delete(connection);
      const { code, message, details } = asTurnpikeError(error);
      throw code === 'upstream/lost' ? new TurnpikeError('upstream/down', message, { ...details, retryable: true }) : error;
    }
  }
}
