import type { Clock } from '../core/clock.ts';
import { asTurnpikeError, TurnpikeError } from '../core/errors.ts';
import { type Era, type JsonObject, MODERN_VERSION } from '../core/mcp.ts';
import type { ConnectionOwner, Transport } from '../core/ports.ts';
import type { Arrival, Turn } from '../core/turn.ts';
import { Link } from './connection.ts';
import { unlessAborted, within } from './deadline.ts';
import type { EraMemory } from './era-memory.ts';
import { isOfEndpoint, isUnsent, NoCommonRevision } from './failure.ts';
import { askedVersion, DISCOVER_MS, type HandshakeOptions, initialize, noCommonRevision, probe } from './handshake.ts';
import { type Endpoint, EndpointSet } from './http/endpoints.ts';
import { HttpClient } from './http/http-client.ts';
import { SseTransport } from './http/sse-transport.ts';
import { StreamableHttpTransport } from './http/streamable-http-transport.ts';
import type { GroupRegistry } from './process/child.ts';
import { StdioTransport } from './process/stdio-transport.ts';
import type { Profile } from './profile.ts';
import { refusalStatus } from './refusal.ts';
import type { UpstreamSettings } from './settings.ts';

export interface ConnectorPorts {
  readonly clock: Clock;
  readonly reaper: GroupRegistry;
  /** Our own environment, of which children get six variables. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly memory: EraMemory;
  /** Where what upstreams say waits for the end of its turn. Absent: answers of one HTTP client wait with each other, the rest not at all. */
  readonly arrivals?: Turn<Arrival> | undefined;
  readonly clientInfo: JsonObject;
  readonly onStderr: (upstream: string, line: string) => void;
  readonly onDropped: (upstream: string, what: string) => void;
  /** What the operator should change in the configuration of an upstream; once for each. */
  readonly onAdvice?: (upstream: string, advice: string) => void;
  /** Makes the transports of built-in upstreams, and in tests those that stand for others. */
  readonly transport?: (settings: UpstreamSettings) => Transport | undefined;
}

export interface ConnectOptions {
  /** Callers who do not know each other will use the connection. */
  readonly shared?: boolean;
  /** Hears what the upstream says and asks outside any call. */
  readonly owner?: ConnectionOwner;
}

interface Attempt {
  readonly profile: Profile;
  readonly options: ConnectOptions;
  readonly signal: AbortSignal;
}

/** What an attempt does first: `discover` with this patience for silent children, or `initialize`. */
type Opening = { readonly discover: number; readonly orInitialize: boolean } | 'initialize';

interface Place {
  readonly owner: string;
  readonly endpoint: Endpoint;
}

/** How long a server may take to send the event that shows it to be an HTTP+SSE server. */
const ENDPOINT_MS = 3_000;
const FORGET_MS = 5_000;

/** Makes connections to one upstream: transport, era, handshake. */
export class Connector {
  readonly #ports: ConnectorPorts;
  #settings: UpstreamSettings;
  readonly #client: HttpClient | undefined;
  readonly #endpoints: EndpointSet | undefined;
  #owners = 0;
  #advised = false;
  #era: Era | undefined;
  /** Ends when the first one who asks a child for its era knows it: others need not start theirs twice. */
  #verdict: PromiseWithResolvers<void> | undefined;

  constructor(settings: UpstreamSettings, ports: ConnectorPorts) {
    this.#settings = settings;
    this.#ports = ports;
    const { target } = settings;
    if (target.type === 'remote') {
      const { tls, proxy, maxSockets } = target;
      this.#client = new HttpClient({
        connectTimeoutMs: settings.timeouts.connect,
        arrivals: ports.arrivals,
        ...(maxSockets === undefined ? {} : { maxSockets }),
        ...(tls ? { tls } : {}),
        ...(proxy ? { proxy } : {}),
      });
      this.#endpoints = new EndpointSet(target.endpoints, { clock: ports.clock, backoff: settings.retry });
    }
  }

  get settings(): UpstreamSettings {
    return this.#settings;
  }

  /** Takes settings that differ from those in force in nothing that a connection depends on (`settings.ts`, `needsReconnect`). */
  adopt(settings: UpstreamSettings): void {
    this.#settings = settings;
  }

  /** The era of the newest connection, until something contradicts it. */
  get era(): Era | undefined {
    return this.#era;
  }

  /**
   * A connection after its handshake, within `timeouts.startup`. Whatever was started for one that fails is ended.
   * Throws `upstream/down`, `upstream/timeout`, `upstream/protocol`, `upstream/login`, or the signal's reason.
   */
  async connect(profile: Profile, signal: AbortSignal, options: ConnectOptions = {}): Promise<Link> {
    const { name, timeouts } = this.settings;
    const text = `server startup timeout after ${timeouts.startup / 1000}s`;
    const late = () => new TurnpikeError('upstream/timeout', text, { upstream: name, retryable: true });
    const deadline = { clock: this.#ports.clock, ms: timeouts.startup, late, signals: [signal] };
    const link = await within(deadline, (until) => this.#connectByEra({ profile, options, signal: until }));
    this.#era = link.era;
    return link;
  }

  /** Ends the sockets that connections shared. */
  async close(): Promise<void> {
    await this.#client?.close();
  }

  async #connectByEra(attempt: Attempt): Promise<Link> {
    const { protocol, timeouts } = this.settings;
    const { memory } = this.#ports;
    const { signal } = attempt;
    if (protocol === MODERN_VERSION) return this.#somewhere({ discover: timeouts.startup, orInitialize: false }, attempt);
    if (protocol !== 'auto') return this.#somewhere('initialize', attempt);
    const stored = await memory.recall(this.settings, signal);
    let era = stored;
    // Looked at in the same turn as it is set below: of many who come at once, one asks.
    if (stored === undefined && this.#verdict !== undefined) {
      await unlessAborted(this.#verdict.promise, signal);
      era = this.#era;
    }
    const link = await this.#byMemory(era, attempt);
    if (link.era !== stored) await memory.remember(this.settings, link.era, signal);
    return link;
  }

  async #byMemory(remembered: Era | undefined, attempt: Attempt): Promise<Link> {
    const { signal } = attempt;
    if (remembered === 'legacy') {
      try {
        return await this.#somewhere('initialize', attempt);
      } catch (error) {
        // What contradicts the memory is asked again; what is only down stays remembered.
        if (signal.aborted || !isRefusal(error)) throw error;
        await this.#forget(signal);
      }
    }
    // A child that spoke the modern revision before is slow, not ignorant.
    const discover = remembered === 'modern' ? this.settings.timeouts.startup : DISCOVER_MS;
    return this.#asFirst(() => this.#somewhere({ discover, orInitialize: true }, attempt));
  }

  async #asFirst(work: () => Promise<Link>): Promise<Link> {
    if (this.settings.target.type !== 'stdio' || this.#verdict !== undefined) return work();
    this.#verdict = Promise.withResolvers();
    try {
      return await work();
    } finally {
      this.#decided();
    }
  }

  #decided(era?: Era): void {
    if (era !== undefined) this.#era = era;
    this.#verdict?.resolve();
    this.#verdict = undefined;
  }

  async #forget(signal: AbortSignal): Promise<void> {
    this.#era = undefined;
    await this.#ports.memory.forget(this.settings, signal);
  }

  #contradicted(): void {
    const { clock } = this.#ports;
    const late = () => new TurnpikeError('upstream/timeout');
    this.#era = undefined;
    // A store that takes longer keeps an era that the next handshake finds to be wrong.
    within({ clock, ms: FORGET_MS, late, signals: [] }, (signal) => this.#forget(signal)).catch(() => {});
  }

  /** An attempt that certainly reached nobody is made again at the next endpoint. */
  async #somewhere(opening: Opening, attempt: Attempt): Promise<Link> {
    const endpoints = this.settings.target.type === 'remote' ? this.settings.target.endpoints.length : 1;
    for (let left = endpoints - 1; ; left--) {
      try {
        return await this.#attempt(opening, this.#choose(), attempt);
      } catch (error) {
        if (left <= 0 || attempt.signal.aborted || !isUnsent(asTurnpikeError(error))) throw error;
      }
    }
  }

  async #attempt(opening: Opening, place: Place | undefined, attempt: Attempt): Promise<Link> {
    const { signal } = attempt;
    const link = this.#link(place, attempt.options, this.#transport(place?.endpoint));
    try {
      await link.transport.open(signal);
      const verdict = await this.#shakeHands(link, opening, attempt);
      if (place !== undefined) this.#endpoints?.succeeded(place.endpoint);
      if (verdict === 'done') return link;
    } catch (error) {
      await link.close();
      // Whoever aborts says why; only our own deadline speaks of the endpoint.
      const failure = asTurnpikeError(signal.aborted ? signal.reason : error);
      if (place !== undefined && isOfEndpoint(failure)) this.#endpoints?.failed(place.endpoint);
      const mayFallBack = opening === 'initialize' || opening.orInitialize;
      if (!signal.aborted && mayFallBack && mayBeOldSse(error) && place?.endpoint.type === 'streamable-http') {
        const found = await this.#oldSse(place.endpoint, attempt);
        if (found !== undefined) return found;
      }
      throw signal.aborted ? signal.reason : error;
    }
    await link.close();
    return this.#attempt('initialize', place, attempt);
  }

  /** `restart`: the child did not take the question, another one must be initialized at once. */
  async #shakeHands(link: Link, opening: Opening, { profile, signal }: Attempt): Promise<'done' | 'restart'> {
    const { name, protocol } = this.settings;
    const options: HandshakeOptions = { name, clock: this.#ports.clock, clientInfo: this.#ports.clientInfo, profile, signal };
    if (opening !== 'initialize' && !(link.transport instanceof SseTransport)) {
      const verdict = await probe(link, opening.discover, options);
      this.#decided(verdict.era);
      if (verdict.era === 'modern') {
        link.agreed(verdict.handshake);
        return 'done';
      }
      if (!opening.orInitialize) throw noCommonRevision(name, `does not speak ${MODERN_VERSION}`, 'server/discover was refused or not answered');
      if (verdict.silent) return 'restart';
    }
    const version = askedVersion(protocol);
    const renew = (until: AbortSignal) => initialize(link, version, { ...options, signal: until });
    link.agreed(await renew(signal), link.transport instanceof SseTransport ? undefined : renew);
    return 'done';
  }

  /** Whether an old HTTP+SSE server stands at the URL (MCP 2025-11-25, "Backwards Compatibility"). It is said, for `type: sse` is faster. */
  async #oldSse(endpoint: Endpoint, attempt: Attempt): Promise<Link | undefined> {
    const place = this.#place({ ...endpoint, type: 'sse' });
    const link = this.#link(place, attempt.options, this.#transport(place.endpoint));
    const late = () => new TurnpikeError('upstream/timeout');
    try {
      // A stream without the event may stay open for ever.
      await within({ clock: this.#ports.clock, ms: ENDPOINT_MS, late, signals: [attempt.signal] }, (until) => link.transport.open(until));
      await this.#shakeHands(link, 'initialize', attempt);
      this.#adviseSse();
      return link;
    } catch {
      await link.close();
      attempt.signal.throwIfAborted();
      return undefined;
    }
  }

  #adviseSse(): void {
    if (this.#advised) return;
    this.#advised = true;
    this.#ports.onAdvice?.(this.settings.name, 'speaks HTTP+SSE of 2024-11-05 and no streamable HTTP; set `type: sse`, which connects faster');
  }

  #choose(): Place | undefined {
    if (this.#endpoints === undefined) return undefined;
    const owner = String(this.#owners++);
    return { owner, endpoint: this.#endpoints.choose(owner) };
  }

  #place(endpoint: Endpoint): Place {
    return { owner: String(this.#owners++), endpoint };
  }

  #link(place: Place | undefined, { shared = false, owner }: ConnectOptions, transport: Transport): Link {
    const { name, protocol, timeouts, target, roots } = this.settings;
    const { clock, clientInfo, onDropped } = this.#ports;
    const several = target.type === 'remote' && target.endpoints.length > 1;
    const link = new Link({
      name,
      clock,
      clientInfo,
      transport,
      shared,
      ...(roots === undefined ? {} : { roots }),
      renewalMs: timeouts.startup,
      onDropped: (what) => onDropped(name, what),
      ...(protocol === 'auto' ? { onContradiction: () => this.#contradicted() } : {}),
      ...(place !== undefined && several ? { onUnreachable: () => this.#endpoints?.failed(place.endpoint) } : {}),
    });
    if (owner !== undefined) {
      link.onRequest = (method, params, signal) => owner.request(method, params, signal);
      link.subscribe((event) => event.kind === 'notification' && owner.notification(event.method, event.params));
    }
    if (place !== undefined) link.subscribe((event) => event.kind === 'closed' && this.#endpoints?.release(place.owner));
    return link;
  }

  #transport(endpoint: Endpoint | undefined): Transport {
    const { name, target } = this.settings;
    const { clock, reaper, environment, arrivals, onStderr, transport } = this.#ports;
    const made = transport?.(this.settings);
    if (made !== undefined) return made;
    if (target.type === 'stdio') {
      return new StdioTransport({ name, ...target }, { clock, reaper, environment, arrivals, onStderr: (line) => onStderr(name, line) });
    }
    if (target.type === 'builtin' || endpoint === undefined || this.#client === undefined)
      throw new TurnpikeError('internal', undefined, { reason: `an upstream of type ${target.type} without a way to it` });
    const place = { url: endpoint.url, headers: target.headers, name };
    const options = { client: this.#client, clock };
    return endpoint.type === 'sse' ? new SseTransport(place, options) : new StreamableHttpTransport(place, options);
  }
}

/** Whether the upstream refused to initialize, as opposed to not being there. */
function isRefusal(error: unknown): boolean {
  return asTurnpikeError(error).details.cause instanceof NoCommonRevision || refusalStatus(error) !== undefined;
}

function mayBeOldSse(error: unknown): boolean {
  const status = refusalStatus(error);
  return status === 400 || status === 404 || status === 405;
}
