import type { Clock } from '../../core/clock.ts';

/** One replica of an upstream (aggregator.md section 1, "Clusters of transports"). */
export interface Endpoint {
  readonly url: string;
  readonly type: 'streamable-http' | 'sse';
  /** Lower is better; the next one serves only while all of a lower one sit out. */
  readonly priority: number;
  /** Share among endpoints of one priority; above 0. */
  readonly weight: number;
}

export interface BackoffRule {
  /** Milliseconds after the first failure in a row. */
  readonly initial: number;
  readonly factor: number;
  /** Milliseconds at most. */
  readonly max: number;
  /** Share by which each wait is longer or shorter at random, 0 to 1. */
  readonly jitter: number;
}

export interface EndpointSetOptions {
  readonly clock: Clock;
  readonly backoff: BackoffRule;
  /** In [0, 1), for jitter. */
  readonly random?: () => number;
}

interface Entry {
  readonly endpoint: Endpoint;
  /** Of smooth weighted round robin. */
  credit: number;
  failures: number;
  /** Monotonic time from which it may be chosen again. */
  outUntil: number;
}

/**
 * Chooses among replicas: the lowest priority that has a healthy one, weighted round robin within it. A connection keeps
 * its endpoint until it is released, or until that endpoint failed and the owner asks again.
 */
export class EndpointSet {
  readonly #entries: readonly Entry[];
  readonly #options: EndpointSetOptions;
  readonly #chosen = new Map<string, Entry>();

  /** Throws a RangeError when there are no endpoints. */
  constructor(endpoints: readonly Endpoint[], options: EndpointSetOptions) {
    if (endpoints.length === 0) throw new RangeError('an upstream needs at least one endpoint');
    this.#entries = endpoints.map((endpoint) => ({ endpoint, credit: 0, failures: 0, outUntil: Number.NEGATIVE_INFINITY }));
    this.#options = options;
  }

  /** Owners that hold an endpoint. */
  get owners(): number {
    return this.#chosen.size;
  }

  /**
   * The endpoint of a connection. While every endpoint sits out, the one that returns first: whether to try at all is
   * decided by the upstream's own backoff, not here.
   */
  choose(owner: string): Endpoint {
    const held = this.#chosen.get(owner);
    if (held !== undefined && this.#healthy(held)) return held.endpoint;
    const entry = this.#next();
    this.#chosen.set(owner, entry);
    return entry.endpoint;
  }

  /** The connection is gone. */
  release(owner: string): void {
    this.#chosen.delete(owner);
  }

  /** The endpoint could not be reached, or broke a connection: it sits out. Those who hold it move when they choose again. */
  failed(endpoint: Endpoint): void {
    const entry = this.#entryOf(endpoint);
    if (entry === undefined) return;
    const { clock, backoff, random = Math.random } = this.#options;
    const wait = Math.min(backoff.max, backoff.initial * backoff.factor ** entry.failures);
    entry.failures++;
    entry.outUntil = clock.monotonic() + wait * (1 + backoff.jitter * (2 * random() - 1));
  }

  /** The endpoint answered: its failures are forgotten. */
  succeeded(endpoint: Endpoint): void {
    const entry = this.#entryOf(endpoint);
    if (entry === undefined) return;
    entry.failures = 0;
    entry.outUntil = Number.NEGATIVE_INFINITY;
  }

  #entryOf(endpoint: Endpoint): Entry | undefined {
    return this.#entries.find((entry) => entry.endpoint === endpoint);
  }

  #healthy(entry: Entry): boolean {
    return entry.outUntil <= this.#options.clock.monotonic();
  }

  #next(): Entry {
    const healthy = this.#entries.filter((entry) => this.#healthy(entry));
    if (healthy.length === 0) return this.#entries.reduce((first, entry) => (entry.outUntil < first.outUntil ? entry : first));
    const lowest = Math.min(...healthy.map(({ endpoint }) => endpoint.priority));
    const candidates = healthy.filter(({ endpoint }) => endpoint.priority === lowest);
    let total = 0;
    for (const entry of candidates) {
      entry.credit += entry.endpoint.weight;
      total += entry.endpoint.weight;
    }
    const best = candidates.reduce((first, entry) => (entry.credit > first.credit ? entry : first));
    best.credit -= total;
    return best;
  }
}
