import { TurnpikeError } from '../core/errors.ts';
import type { Era } from '../core/mcp.ts';
import type { CapabilityKind, CapabilitySet, CapabilitySource, UpstreamSnapshot } from '../core/ports.ts';
import { Connector, type ConnectorPorts } from './connect.ts';
import type { Link } from './connection.ts';
import { unlessAborted } from './deadline.ts';
import { ReconnectGate } from './reconnect-gate.ts';
import type { UpstreamSettings } from './settings.ts';
import { type MonitorOptions, UpstreamMonitor } from './upstream-monitor.ts';

export interface RegistryOptions extends Omit<MonitorOptions, 'onChange' | 'gate'> {
  readonly ports: ConnectorPorts;
}

/** How upstreams are replaced. */
export interface Replacing {
  /** Whether an upstream that stays must be connected anew. */
  readonly restarts: (upstream: string) => boolean;
  /** Nobody gets a connection that was made before any more; resolves when the last is gone. `own` is the gateway's, and goes last. */
  readonly retire: (upstream: string, own: { readonly link: Link | undefined; readonly closeDelay: number }) => Promise<unknown>;
}

/** Upstreams that reconnect at once (aggregator.md section 1, "Lifecycle"); the first start is not held back. */
const RECONNECTS = 5;

/** All upstreams by name: starts them side by side, knows their states, and is where the catalog reads what they offer. */
export class Registry implements CapabilitySource, AsyncDisposable {
  readonly #options: RegistryOptions;
  readonly #gate = new ReconnectGate(RECONNECTS);
  readonly #monitors = new Map<string, UpstreamMonitor>();
  /** Those that were replaced or removed and still end. */
  readonly #leaving = new Set<Promise<void>>();
  readonly #listeners = new Set<(upstream: string) => void>();
  #stopped = false;

  constructor(settings: readonly UpstreamSettings[], options: RegistryOptions) {
    this.#options = options;
    for (const upstream of settings) this.#monitors.set(upstream.name, this.#monitor(upstream));
  }

  /**
   * Takes other upstreams, at once and without telling the listeners: those that stay keep their connections, those that are gone
   * or connected anew end when their calls have. The function that is returned starts what is new; it resolves when each first
   * attempt ended.
   */
  replace(settings: readonly UpstreamSettings[], { restarts, retire }: Replacing): (signal: AbortSignal) => Promise<void> {
    if (this.#stopped) return async () => {};
    const before = new Map(this.#monitors);
    const fresh: UpstreamMonitor[] = [];
    this.#monitors.clear();
    for (const upstream of settings) {
      const known = before.get(upstream.name);
      if (known !== undefined && !restarts(upstream.name)) {
        known.connector.adopt(upstream);
        before.delete(upstream.name);
        this.#monitors.set(upstream.name, known);
      } else {
        const monitor = this.#monitor(upstream, known?.capabilities);
        fresh.push(monitor);
        this.#monitors.set(upstream.name, monitor);
      }
    }
    for (const old of before.values()) {
      const { closeDelay } = old.connector.settings.pool;
      const gone = old.leave(retire(old.name, { link: old.link, closeDelay })).finally(() => this.#leaving.delete(gone));
      this.#leaving.add(gone);
    }
    return async (signal) => void (await Promise.allSettled(fresh.map((monitor) => monitor.start(signal))));
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
    return this.#known(upstream).connector;
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
    this.#stopped = true;
    await Promise.allSettled([...[...this.#monitors.values()].map((monitor) => monitor.stop(others)), ...this.#leaving]);
    this.#listeners.clear();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  #monitor(settings: UpstreamSettings, inherited?: CapabilitySet): UpstreamMonitor {
    const monitor: UpstreamMonitor = new UpstreamMonitor(
      new Connector(settings, this.#options.ports),
      {
        ...this.#options,
        gate: this.#gate,
        // What has left is no part of the catalog, and another one may have its name.
        onChange: (name) => this.#monitors.get(name) === monitor && this.#changed(name),
      },
      inherited,
    );
    return monitor;
  }

  #known(upstream: string): UpstreamMonitor {
    const monitor = this.#monitors.get(upstream);
    if (monitor === undefined) throw new TurnpikeError('upstream/down', `server '${upstream}' not found in config`, { upstream });
    return monitor;
  }

  #changed(upstream: string): void {
    for (const listener of [...this.#listeners]) listener(upstream);
  }
}
