import { type Clock, sleep } from '../core/clock.ts';
import { asTurnpikeError, TurnpikeError } from '../core/errors.ts';
import { type Era, type JsonObject, MODERN_VERSION } from '../core/mcp.ts';
import type { Transport } from '../core/ports.ts';
import { Link } from './connection.ts';
import type { EraMemory } from './era-memory.ts';
import { askedVersion, type HandshakeOptions, initialize, probe } from './handshake.ts';
import { type Endpoint, EndpointSet } from './http/endpoints.ts';
import { HttpClient } from './http/http-client.ts';
import { SseTransport } from './http/sse-transport.ts';
import { StreamableHttpTransport } from './http/streamable-http-transport.ts';
import type { GroupRegistry } from './process/child.ts';
import { StdioTransport } from './process/stdio-transport.ts';
import type { Profile } from './profile.ts';
import type { UpstreamSettings } from './settings.ts';

export interface ConnectorPorts {
  readonly clock: Clock;
  readonly reaper: GroupRegistry;
  /** Our own environment, of which children get six variables. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly memory: EraMemory;
  readonly clientInfo: JsonObject;
  readonly onStderr: (upstream: string, line: string) => void;
  readonly onDropped: (upstream: string, what: string) => void;
}

/** Makes connections to one upstream: transport, era, handshake. */
export class Connector {
  readonly settings: UpstreamSettings;
  readonly #ports: ConnectorPorts;
  readonly #client: HttpClient | undefined;
  readonly #endpoints: EndpointSet | undefined;
  #owners = 0;

  constructor(settings: UpstreamSettings, ports: ConnectorPorts) {
    this.settings = settings;
    this.#ports = ports;
    const { target } = settings;
    if (target.type === 'remote') {
      const { tls, proxy } = target;
      this.#client = new HttpClient({ connectTimeoutMs: settings.timeouts.connect, ...(tls ? { tls } : {}), ...(proxy ? { proxy } : {}) });
      this.#endpoints = new EndpointSet(target.endpoints, { clock: ports.clock, backoff: settings.retry });
    }
  }

  /**
   * A connection after its handshake, within `timeouts.startup`. Whatever was started for one that fails is ended.
   * Throws `upstream/down`, `upstream/timeout`, `upstream/protocol`, `upstream/login`, or the signal's reason.
   */
  async connect(profile: Profile, signal: AbortSignal): Promise<Link> {
    const { name, timeouts } = this.settings;
    const over = new AbortController();
    const startup = new AbortController();
    const text = `server startup timeout after ${timeouts.startup / 1000}s`;
    sleep(this.#ports.clock, timeouts.startup, over.signal).then(
      () => startup.abort(new TurnpikeError('upstream/timeout', text, { upstream: name, retryable: true })),
      () => {},
    );
    try {
      return await this.#connectByEra(profile, AbortSignal.any([signal, startup.signal]));
    } finally {
      over.abort();
    }
  }

  /** Ends the sockets that connections shared. */
  async close(): Promise<void> {
    await this.#client?.close();
  }

  async #connectByEra(profile: Profile, signal: AbortSignal): Promise<Link> {
    const { protocol } = this.settings;
    if (protocol === MODERN_VERSION) return this.#attempt('modern', profile, signal);
    if (protocol !== 'auto') return this.#attempt('legacy', profile, signal);
    const memory = this.#ports.memory;
    const remembered = await memory.recall(this.settings, signal);
    if (remembered !== undefined) {
      try {
        return await this.#attempt(remembered, profile, signal);
      } catch (error) {
        // What contradicts the memory is asked again; what is only down stays remembered.
        if (signal.aborted || asTurnpikeError(error).code !== 'upstream/protocol') throw error;
        await memory.forget(this.settings, signal);
      }
    }
    const link = await this.#attempt(undefined, profile, signal);
    await memory.remember(this.settings, link.era, signal);
    return link;
  }

  /** One connection with a given era, or with a probe. A child that kept silent is started again as legacy. */
  async #attempt(era: Era | undefined, profile: Profile, signal: AbortSignal): Promise<Link> {
    const { name, protocol } = this.settings;
    const endpoint = this.#choose();
    const link = this.#link(endpoint);
    const options: HandshakeOptions = { name, clock: this.#ports.clock, clientInfo: this.#ports.clientInfo, profile, signal };
    try {
      await link.transport.open(signal);
      const isSse = link.transport instanceof SseTransport;
      const verdict = era === 'legacy' || isSse ? ({ era: 'legacy' } as const) : await probe(link, options);
      if (verdict.era === 'modern') {
        link.agreed(verdict.handshake);
        if (endpoint !== undefined) this.#endpoints?.succeeded(endpoint.endpoint);
        return link;
      }
      if (era === 'modern') throw new TurnpikeError('upstream/protocol', `upstream '${name}' does not speak ${MODERN_VERSION}`, { upstream: name });
      if ('silent' in verdict && verdict.silent) {
        await link.close();
        return await this.#attempt('legacy', profile, signal);
      }
      const version = askedVersion(protocol);
      const renew = (until: AbortSignal) => initialize(link, version, { ...options, signal: until });
      link.agreed(await renew(signal), renew);
      if (endpoint !== undefined) this.#endpoints?.succeeded(endpoint.endpoint);
      return link;
    } catch (error) {
      if (endpoint !== undefined && !signal.aborted) this.#endpoints?.failed(endpoint.endpoint);
      await link.close();
      throw asTurnpikeError(error).code === 'internal' ? (signal.reason ?? error) : error;
    }
  }

  #choose(): { readonly owner: string; readonly endpoint: Endpoint } | undefined {
    if (this.#endpoints === undefined) return undefined;
    const owner = String(this.#owners++);
    return { owner, endpoint: this.#endpoints.choose(owner) };
  }

  #link(choice: { readonly owner: string; readonly endpoint: Endpoint } | undefined): Link {
    const { name } = this.settings;
    const { clock, clientInfo, onDropped } = this.#ports;
    const link = new Link({ name, clock, clientInfo, transport: this.#transport(choice?.endpoint), onDropped: (what) => onDropped(name, what) });
    if (choice !== undefined) link.subscribe((event) => event.kind === 'closed' && this.#endpoints?.release(choice.owner));
    return link;
  }

  #transport(endpoint: Endpoint | undefined): Transport {
    const { name, target } = this.settings;
    const { clock, reaper, environment, onStderr } = this.#ports;
    if (target.type === 'stdio') {
      return new StdioTransport({ name, ...target }, { clock, reaper, environment, onStderr: (line) => onStderr(name, line) });
    }
    if (endpoint === undefined || this.#client === undefined)
      throw new TurnpikeError('internal', undefined, { reason: 'a remote upstream without endpoint' });
    const place = { url: endpoint.url, headers: target.headers, name };
    return endpoint.type === 'sse'
      ? new SseTransport(place, { client: this.#client, clock })
      : new StreamableHttpTransport(place, { client: this.#client, clock });
  }
}
