import type { JsonObject } from '../core/mcp.ts';

export interface RequestOptions {
  /** Aborting tells the server of the cancel and rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Hears the params of each progress notification of this request. */
  readonly onProgress?: (progress: JsonObject) => void;
}

/** One notification of a server. */
export interface McpNotification {
  readonly method: string;
  readonly params: JsonObject;
}

/**
 * A client of one MCP server (aggregator.md section 10). Results and definitions are what the server sent, parsed, with
 * every member it sent. A JSON-RPC error of the server rejects with `McpError`; an `isError` result does not.
 */
export interface McpClient {
  /** Connects and shakes hands. Idempotent. */
  initialize(options?: RequestOptions): Promise<void>;
  close(): Promise<void>;
  /** All pages. */
  listTools(options?: RequestOptions): Promise<readonly JsonObject[]>;
  callTool(name: string, args?: JsonObject, options?: RequestOptions): Promise<JsonObject>;
  /** All pages. */
  listResources(options?: RequestOptions): Promise<readonly JsonObject[]>;
  readResource(uri: string, options?: RequestOptions): Promise<JsonObject>;
  /** All pages. */
  listPrompts(options?: RequestOptions): Promise<readonly JsonObject[]>;
  getPrompt(name: string, args?: JsonObject, options?: RequestOptions): Promise<JsonObject>;
  ping(options?: RequestOptions): Promise<void>;
  /** Hears what the server says outside any call, until the returned value is disposed. */
  onNotification(handler: (notification: McpNotification) => void): Disposable;
}

/** What a server answered instead of a result (JSON-RPC 2.0, section 5.1). */
export class McpError extends Error {
  override readonly name = 'McpError';
  readonly code: number;
  readonly data: unknown;

  constructor(code: number, message: string, data?: unknown) {
    super(message);
    this.code = code;
    this.data = data;
  }
}
