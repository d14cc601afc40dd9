import { sameValue } from '../config/changes.ts';
import type { Secret } from '../core/secret.ts';

/** What this folder needs of an upstream's configuration (aggregator.md section 1). All durations in milliseconds. */
export interface UpstreamSettings {
  readonly name: string;
  readonly target: StdioTarget | RemoteTarget | BuiltinTarget;
  /** `auto`, or the one revision to speak. */
  readonly protocol: string;
  readonly timeouts: { readonly connect: number; readonly startup: number; readonly list: number };
  readonly health: { readonly interval: number; readonly timeout: number; readonly failures: number; readonly staleFor: number };
  readonly retry: { readonly initial: number; readonly factor: number; readonly max: number; readonly jitter: number };
  /** `bridge.roots` of this upstream. */
  readonly roots?: readonly Root[];
  readonly sharing: 'session' | 'principal' | 'shared';
  readonly pool: {
    readonly idleTimeout: number;
    readonly maxErrorCount: number;
    readonly closeDelay: number;
    readonly maxConnections: number;
  };
}

/** A directory or file of the client's that a server may know of. */
export interface Root {
  readonly uri: string;
  readonly name?: string;
}

export interface StdioTarget {
  readonly type: 'stdio';
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | Secret>>;
  readonly cwd: string;
  readonly allowUnsafeEnv: boolean;
}

/** An upstream that answers in this process; its transports are made by whoever composes the gateway (`ConnectorPorts.transport`). */
export interface BuiltinTarget {
  readonly type: 'builtin';
  readonly kind: 'gitlab';
  /** The block of its type: with another one it is another upstream. */
  readonly settings: object;
}

export interface RemoteTarget {
  readonly type: 'remote';
  readonly endpoints: readonly {
    readonly url: string;
    readonly type: 'streamable-http' | 'sse';
    readonly priority: number;
    readonly weight: number;
  }[];
  readonly headers: Readonly<Record<string, string | Secret>>;
  /** As in `HttpClientOptions`. */
  readonly maxSockets?: number;
  readonly tls?: {
    readonly caFile?: string;
    readonly certFile?: string;
    readonly keyFile?: string;
    readonly serverName?: string;
    readonly insecureSkipVerify?: boolean;
  };
  readonly proxy?: string | Secret;
}

/** Whether connections made with the one settings are of no use under the other: what they were made from differs, or who may share them. */
export function needsReconnect(before: UpstreamSettings, after: UpstreamSettings): boolean {
  return !sameValue(madeFrom(before), madeFrom(after));
}

function madeFrom({ name, target, protocol, timeouts, health, roots = [], sharing }: UpstreamSettings): unknown {
  // How many sockets there may be is no reason to lose one.
  const place = target.type === 'remote' ? { ...target, maxSockets: undefined } : target;
  return { name, place, protocol, connect: timeouts.connect, isProbed: health.interval > 0, roots, sharing };
}
