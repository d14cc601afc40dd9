import type { MemberSpan } from './json-walk.ts';

/**
 * Words and constants of the Model Context Protocol, revisions 2025-03-26 to 2026-07-28.
 * Source: the specification's schema of each revision; protocol.md for what Turnpike adds.
 */

export const MODERN_VERSION = '2026-07-28';
/** Session revisions served on /mcp, newest first. */
export const LEGACY_VERSIONS = ['2025-11-25', '2025-06-18', '2025-03-26'] as const;
export type LegacyVersion = (typeof LEGACY_VERSIONS)[number];
export const LATEST_LEGACY_VERSION: LegacyVersion = '2025-11-25';
/** Assumed when a session request names no version (2025-06-18, "Protocol Version Header"). */
export const ASSUMED_LEGACY_VERSION: LegacyVersion = '2025-03-26';
/** The first revision, whose transport is GET /sse with POST /message. */
export const OLDEST_VERSION = '2024-11-05';
/** Revisions an upstream may answer `initialize` with. */
export const UPSTREAM_LEGACY_VERSIONS: readonly string[] = [...LEGACY_VERSIONS, OLDEST_VERSION];

/** `modern`: stateless, every request carries its metadata. `legacy`: `initialize` and sessions. */
export type Era = 'modern' | 'legacy';

export type RequestId = string | number;
export type ProgressToken = string | number;
export type JsonObject = { readonly [member: string]: unknown };

/** Reserved `_meta` keys. */
export const META_PREFIX = 'io.modelcontextprotocol/';
export const META = {
  protocolVersion: 'io.modelcontextprotocol/protocolVersion',
  clientCapabilities: 'io.modelcontextprotocol/clientCapabilities',
  clientInfo: 'io.modelcontextprotocol/clientInfo',
  serverInfo: 'io.modelcontextprotocol/serverInfo',
  logLevel: 'io.modelcontextprotocol/logLevel',
  subscriptionId: 'io.modelcontextprotocol/subscriptionId',
  relatedTask: 'io.modelcontextprotocol/related-task',
  progressToken: 'progressToken',
} as const;

/** The member of `params` that `Mcp-Name` repeats, by method (2026-07-28, "Standard headers"; protocol.md section 2). */
export const NAMED_BY: Readonly<Record<string, string>> = {
  'tools/call': 'name',
  'prompts/get': 'name',
  'resources/read': 'uri',
  'tasks/get': 'taskId',
  'tasks/update': 'taskId',
  'tasks/cancel': 'taskId',
};

/** Prefix of our own `_meta` keys: what an upstream puts there is forged. */
export const TURNPIKE_PREFIX = 'turnpike/';
/** Our own `_meta` keys. */
export const TURNPIKE_META = {
  error: 'turnpike/error',
  /** A session upstream names the key under which a client without a session finds its question. */
  inputKey: 'turnpike/inputKey',
  refusal: 'turnpike/refusal',
  unavailable: 'turnpike/unavailable',
  upstream: 'turnpike/upstream',
  /** A tool of a built-in upstream that a setting of that upstream refuses: `{rule, text}`. Never leaves this process. */
  withheld: 'turnpike/withheld',
} as const;

export const TASKS_EXTENSION = 'io.modelcontextprotocol/tasks';
export const UI_EXTENSION = 'io.modelcontextprotocol/ui';
/** SEP-2640. Its methods are not among those that `Mcp-Name` repeats. */
export const SKILLS_EXTENSION = 'io.modelcontextprotocol/skills';
/** Extensions Turnpike carries; only these are forwarded in capabilities (protocol.md section 8). */
export const CARRIED_EXTENSIONS: readonly string[] = [TASKS_EXTENSION, UI_EXTENSION, SKILLS_EXTENSION];

/** RFC 5424 severities as MCP names them, least severe first. */
export const LOG_LEVELS = ['debug', 'info', 'notice', 'warning', 'error', 'critical', 'alert', 'emergency'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export function isLogLevel(value: unknown): value is LogLevel {
  return typeof value === 'string' && (LOG_LEVELS as readonly string[]).includes(value);
}

/** JSON-RPC 2.0 and MCP error codes. Ours are -31001…-31099 (protocol.md). */
export const RPC = {
  parseError: -32700,
  invalidRequest: -32600,
  methodNotFound: -32601,
  invalidParams: -32602,
  internalError: -32603,
  headerMismatch: -32020,
  missingCapability: -32021,
  unsupportedVersion: -32022,
  /** Legacy revisions only. */
  resourceNotFound: -32002,
  urlElicitationRequired: -32042,
} as const;

/** A JSON-RPC error object as we build it; errors of upstreams stay bytes. */
export interface RpcError {
  readonly code: number;
  readonly message: string;
  readonly data?: unknown;
}

/** The one thing a request ends in: the bytes of its `result` member, or of its `error` member. */
export type Answer =
  | {
      readonly kind: 'result';
      readonly result: Buffer;
      /** Where the members of `result` lie, if that is known. */
      readonly spans?: readonly MemberSpan[];
      /** The same bytes in pieces, where that spares a copy of what many are answered with. */
      readonly pieces?: readonly Buffer[];
      /** Whether it is a tool's `isError`, if that is known. */
      readonly failed?: boolean;
    }
  | { readonly kind: 'error'; readonly error: Buffer; readonly code: number };

export function isRequestId(value: unknown): value is RequestId {
  return typeof value === 'string' || (typeof value === 'number' && Number.isFinite(value));
}

/** A foreign value in a text of ours. `String` throws for an object that brings a `toString` of its own, which is none. */
export function wordOf(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? 'nothing');
}

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
