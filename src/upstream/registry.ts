import { TurnpikeError } from '../core/errors.ts';
import type { Era } from '../core/mcp.ts';
import type { CapabilityKind, CapabilitySource, UpstreamSnapshot } from '../core/ports.ts';
import { Connector, type ConnectorPorts } from './connect.ts';
import type { Link } from './connection.ts';
import { unlessAborted } from './deadline.ts';
import { ReconnectGate } from './reconnect-gate.ts';
import type { UpstreamSettings } from './settings.ts';
import { type MonitorOptions, UpstreamMonitor } from './upstream-monitor.ts';

export interface RegistryOptions extends Omit<MonitorOptions, 'onChange' | 'gate'> {
  readonly ports: ConnectorPorts;
}

/** Upstreams that reconnect at once (aggregator.md section 1, "Lifecycle"); the first start is not held back. */
const RECONNECTS = 5;

/** All upstreams by name: starts them side by side, knows their states, and is where the catalog reads what they offer. */
export class Registry implements CapabilitySource, AsyncDisposable {
  readonly #monitors = new Map<string, UpstreamMonitor>();
  readonly #listeners = new Set<(upstream: string) => void>();

  constructor(settings: readonly UpstreamSettings[], options: RegistryOptions) {
    const gate = new ReconnectGate(RECONNECTS);
    for (const upstream of settings) {
      const monitor = new UpstreamMonitor(new Connector(upstream, options.ports), { ...options, gate, onChange: (name) => this.#changed(name) });
      this.#monitors.set(upstream.name, monitor);
    }
  }

  /** Starts every upstream; resolves when each attempt ended. A slow one delays nobody who does not wait for this. */
  async start(signal: AbortSignal): Promise<void> {
    await Promise.allSettled([...this.#monitors.values()].map((monitor) => monitor.start(signal)));
  }

  snapshot(): readonly UpstreamSnapshot[] {
    return [...this.#monitors.values()].map((monitor) => monitor.snapshot());
  }

  async refresh(upstream: string, kind: CapabilityKind, signal: AbortSignal): Promise<void> {
    const refreshed = this.#monitors.get(upstream)?.refresh(kind);
    if (refreshed !== undefined) await unlessAborted(refreshed, signal);
  }

  onChange(listener: (upstream: string) => void): () => void {
    const own = (upstream: string) => listener(upstream);
    this.#listeners.add(own);
    return () => void this.#listeners.delete(own);
  }

  connector(upstream: string): Connector {
    return this.#monitor(upstream).connector;
  }

  eraOf(upstream: string): Era | undefined {
    return this.#monitors.get(upstream)?.capabilities?.era;
  }

  /** The gateway's own connection to an upstream, if there is one. */
  ownLink(upstream: string): Link | undefined {
    return this.#monitors.get(upstream)?.link;
  }

  /** A call made a connection, or failed to. */
  observed(upstream: string, error?: unknown): void {
    this.#monitors.get(upstream)?.observed(error);
  }

  /** Stops every upstream, all at once. `others` as in `UpstreamMonitor.stop`. Idempotent. */
  async stop(others?: Promise<unknown>): Promise<void> {
    await Promise.allSettled([...this.#monitors.values()].map((monitor) => monitor.stop(others)));
    this.#listeners.clear();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  #monitor(upstream: string): UpstreamMonitor {
    const monitor = this.#monitors.get(upstream);
    if (monitor === undefined) throw new TurnpikeError('upstream/down', `server '${upstream}' not found in config`, { upstream });
    return monitor;
  }

  #changed(upstream: string): void {
    for (const listener of [...this.#listeners]) listener(upstream);
  }
}
