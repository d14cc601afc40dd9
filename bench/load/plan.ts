import type { Era } from '../../src/core/mcp.ts';

/** What is loaded, and with what. */
export interface LoadPlan {
  readonly url: string;
  readonly era: Era;
  /** Streamable HTTP, or HTTP with SSE, which has one era. */
  readonly transport: 'http' | 'sse';
  readonly method: 'tools/call' | 'tools/list';
  /** The tool, by the name it has there. */
  readonly tool: string;
  readonly token: string;
  /** Clients, each with a socket (and a session) of its own and one call at a time. */
  readonly clients: number;
  /** Bytes of text in the arguments. */
  readonly text: number;
  /** Bytes of text in the result. */
  readonly size: number;
  /** Notifications before the result, and of what kind: of progress a gateway may drop what comes too fast. */
  readonly events: number;
  readonly speech: 'progress' | 'log';
  /** Bytes of text in each of them. */
  readonly eventSize: number;
  /** Calls per second that begin by the clock, whether or not earlier ones were answered; undefined: each client calls when it has its answer. */
  readonly rate: number | undefined;
  /** The process whose CPU time is counted. */
  readonly watch: number | undefined;
}

/** Milliseconds. */
export interface Measure {
  /** Load before anything counts. */
  readonly leadIn: number;
  readonly duration: number;
  /** As fast as can be, whatever the plan says: to warm up. */
  readonly isFlatOut?: boolean;
}

/** Microseconds of CPU per call. */
export interface CpuPerCall {
  readonly user: number;
  readonly system: number;
  readonly total: number;
}

export interface LoadReport {
  readonly calls: number;
  readonly errors: number;
  readonly firstError: string | undefined;
  readonly perSecond: number;
  /** Of the watched process and its children; undefined without one. */
  readonly cpu: CpuPerCall | undefined;
  /** Of the watched process without its children. */
  readonly cpuAlone: CpuPerCall | undefined;
  /** Of the generator itself. */
  readonly ownCpu: CpuPerCall;
  /** Milliseconds. */
  readonly latency: { readonly p50: number; readonly p90: number; readonly p99: number; readonly max: number };
}

/** What the generator is asked for, and what it answers: a report, or this. */
export type LoadQuestion =
  | { readonly do: 'open'; readonly name: string; readonly plan: LoadPlan }
  | { readonly do: 'measure'; readonly name: string; readonly measure: Measure }
  /** Sessions that are opened over `clients` sockets and then left alone; with `calls`, after one call in each. */
  | { readonly do: 'idle'; readonly name: string; readonly plan: LoadPlan; readonly sessions: number; readonly calls: boolean }
  | { readonly do: 'close'; readonly name: string };

export type LoadAnswer = { readonly report: LoadReport } | { readonly failure: string } | { readonly done: true };
