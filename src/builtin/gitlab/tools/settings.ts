import type { JsonObject } from '../../../core/mcp.ts';

/** Block `gitlab:` of an upstream, as far as tools are concerned (gitlab.md sections 2.1 and 4). */
export interface GitLabSettings {
  readonly readOnly: boolean;
  /** Masking of secrets in results. Fields that are never shown are not affected. */
  readonly masking: boolean;
  /** Toolset names, `NAME+`, aliases, `default`, `all`. */
  readonly toolsets: readonly string[];
  /** Single tools besides. */
  readonly tools: readonly string[];
  /** Regular expression of tool names that are hidden; empty: none. */
  readonly deniedTools: string;
  /** Project of calls that name none; empty: none. */
  readonly project: string;
  /** Fence: ids and paths; empty: none. */
  readonly allowedProjects: readonly string[];
  /** How destructive tools are confirmed. */
  readonly confirm: 'ask' | 'allow' | 'deny';
  /** Whether `get_project_variable` may show values. */
  readonly allowReveal: boolean;
  /** Bytes of one result. */
  readonly maxResultBytes: number;
}

export const DEFAULT_SETTINGS: GitLabSettings = {
  readOnly: false,
  masking: true,
  toolsets: ['default'],
  tools: [],
  deniedTools: '',
  project: '',
  allowedProjects: [],
  confirm: 'ask',
  allowReveal: false,
  maxResultBytes: 100_000,
};

/** Texts that travel through clients and come back, of one purpose each; `open` answers undefined for anything it did not seal. */
export interface Sealing {
  seal(purpose: string, value: JsonObject): string;
  open(purpose: string, text: string): JsonObject | undefined;
}
