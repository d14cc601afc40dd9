import { principalKey } from '../../../core/caller.ts';
import { systemClock } from '../../../core/clock.ts';
import { asTurnpikeError, TurnpikeError } from '../../../core/errors.ts';
import { Secret } from '../../../core/secret.ts';
import { KeyedPool } from '../../../pool/keyed-pool.ts';
import type { PoolEvent } from '../../../pool/stats.ts';
import type { CredentialKind } from '../client/api.ts';
import { type ApiUrl, parseApiUrl } from '../client/api-url.ts';
import { type Admission, Admissions } from './admissions.ts';
import { CredentialCheck } from './credential-check.ts';
import { CredentialNames, shortName } from './credential-names.ts';
import { type CredentialRejectedError, InvalidUrlError, MalformedCredentialError, PoolCapacityError, UpstreamUnavailableError } from './errors.ts';
import { Makings } from './makings.ts';
import type { Member } from './member.ts';
import { ownClients } from './own-clients.ts';
import { Revalidation } from './revalidation.ts';
import {
  type ClientFactory,
  DEFAULT_REVALIDATE_INTERVAL,
  type GetOptions,
  type Metrics,
  type ServerFactory,
  type ServerLease,
  type ServerPoolConfig,
  type ServerPoolEvent,
  type ServerPoolOptions,
  type Snapshot,
} from './server-pool-options.ts';
import { WatchedClient } from './watched-client.ts';

const MAX_SIZE = 100;
/** Milliseconds without use after which an entry is retired, and between two looks for such (architecture.md decision 4). */
const IDLE_MS = 3_600_000;
const SWEEP_MS = 60_000;
/** How long calls on a retired entry may still run: as long as a call may take in all. */
const CLOSE_DELAY_MS = 3_600_000;

/** A credential, without it. */
interface About {
  readonly name: string;
  readonly kind: CredentialKind;
  /** Canonical. */
  readonly apiUrl: string;
}

/**
 * One server for each credential at each instance (gitlab.md 1.3; Go: `serverpool`): a caller's server is never another's, and none
 * is made before GitLab said whose credential it is. A thin face over the pool that everything here uses.
 */
export class ServerPool<S> implements AsyncDisposable {
  readonly #factory: ServerFactory<S>;
  readonly #options: ServerPoolOptions<S>;
  readonly #maxSize: number;
  readonly #home: ApiUrl;
  readonly #names = new CredentialNames();
  readonly #check: CredentialCheck;
  readonly #clients: ClientFactory;
  readonly #closeClients: () => Promise<void>;
  readonly #pool: KeyedPool<Member<S>>;
  readonly #admissions = new Admissions<Member<S>>();
  readonly #revalidation: Revalidation<S>;
  /** Those that are handed out, by name, and by principal. */
  readonly #members = new Map<string, Member<S>>();
  readonly #byPrincipal = new Map<string, Member<S>>();
  /** Those that are being made, each over the client that its instance had when it began. */
  readonly #makings = new Makings();
  readonly #createdAt: string;
  #hits = 0;
  #misses = 0;
  #evictions = 0;
  #failed = 0;
  #succeeded = 0;
  #skipped = 0;
  #closing: Promise<void> | undefined;

  /** @throws `InvalidUrlError` for a `gitlabUrl` that is none, `config/invalid` for a CA file or proxy that cannot be used */
  constructor(config: ServerPoolConfig, factory: ServerFactory<S>, options: ServerPoolOptions<S> = {}) {
    const { maxSize = MAX_SIZE, revalidateInterval = DEFAULT_REVALIDATE_INTERVAL, clock = systemClock, random = Math.random } = options;
    this.#factory = factory;
    this.#options = options;
    this.#maxSize = maxSize > 0 ? Math.floor(maxSize) || 1 : MAX_SIZE;
    this.#home = urlOf(config.gitlabUrl ?? 'https://gitlab.com');
    this.#check = new CredentialCheck(clock);
    this.#createdAt = new Date(clock.now()).toISOString();
    const own = options.clients === undefined ? ownClients(config, clock) : { clients: options.clients, close: async () => {} };
    this.#clients = own.clients;
    this.#closeClients = own.close;
    this.#pool = new KeyedPool({
      name: 'gitlab_servers',
      clock,
      total: this.#maxSize,
      idleTimeout: IDLE_MS,
      sweepInterval: SWEEP_MS,
      maxErrorCount: Number.POSITIVE_INFINITY,
      closeDelay: CLOSE_DELAY_MS,
      queueTimeout: 0,
      close: async ({ server, ended }) => {
        ended.abort(closedError());
        await options.dispose?.(server);
      },
      observe: (event) => this.#left(event),
    });
    this.#revalidation = new Revalidation({
      clock,
      interval: revalidateInterval,
      random,
      onRejected: (member, error) => this.#revoke(member, error),
      onOutcome: (member, outcome, error) => {
        if (outcome === 'succeeded') this.#succeeded++;
        else if (outcome === 'failed') this.#failed++;
        else this.#skipped++;
        this.#tell(`revalidation-${outcome}`, aboutOf(member), error);
      },
    });
  }

  /**
   * The server of a credential, made when it is the first time, or was given up since. Whoever calls it holds nothing: for work that
   * takes longer, `lease`.
   *
   * @throws `auth/missing` (`empty token: authentication required`), `MalformedCredentialError`, `InvalidUrlError`, `CredentialRejectedError`,
   * `UpstreamUnavailableError`, `PoolCapacityError`, `pool/closed` (`server pool is closed`), what the factory throws, the signal's reason
   */
  getOrCreate(token: string, options: GetOptions = {}): Promise<S> {
    return this.#get(token, options, (member) => {
      // Counts as use: what is used least goes first.
      this.#pool.find(member.name, true);
      return member.server;
    });
  }

  /** As `getOrCreate`, with a lease, which must be released: until then the entry gives way to no other. */
  lease(token: string, options: GetOptions = {}): Promise<ServerLease<S>> {
    return this.#get(token, options, (member) => {
      const lease = this.#pool.leaseOf(member.name);
      if (lease === undefined) throw closedError();
      const { server, identity, client, ended } = member;
      return { server, identity, apiUrl: client.apiUrl, signal: ended.signal, release: () => lease.release('ok') };
    });
  }

  /** Whether a credential has an entry: such a one is served though its address is blocked. Asks nobody. */
  has(token: string, options: GetOptions = {}): boolean {
    return this.#members.has(this.#nameOf(token, options));
  }

  /** Entries that are handed out. */
  size(): number {
    return this.#members.size;
  }

  stats(): Snapshot {
    return Object.freeze({
      hits: this.#hits,
      misses: this.#misses,
      evictions: this.#evictions,
      revalidations_failed: this.#failed,
      revalidations_succeeded: this.#succeeded,
      current_size: this.size(),
      max_size: this.#maxSize,
      created_at: this.#createdAt,
    });
  }

  get metrics(): Metrics {
    return Object.freeze({
      hits: this.#hits,
      misses: this.#misses,
      evictions: this.#evictions,
      revalidationsFailed: this.#failed,
      revalidationsSucceeded: this.#succeeded,
    });
  }

  /** Questions about credentials that brought no verdict. Never falls. */
  get revalidationsSkipped(): number {
    return this.#skipped;
  }

  /** `degraded` while there are credentials about which the last question brought no verdict. */
  get status(): 'ok' | 'degraded' {
    return this.degraded.size > 0 ? 'degraded' : 'ok';
  }

  /** The instances, by their canonical URLs, that brought no verdict when they were asked again. */
  get degraded(): ReadonlySet<string> {
    return this.#revalidation.degraded;
  }

  /** Asks GitLab about every entry from time to time, until `signal` aborts, which ends it at once. A second start does nothing. */
  startRevalidation(signal: AbortSignal): void {
    if (this.#closing === undefined) this.#revalidation.start(signal);
  }

  /**
   * Gives up all entries of some instances, because their clients are to be made anew: nobody gets such an entry any more, what runs on
   * one ends by itself, and who is being admitted there is asked about again. Counts as no eviction, ends no session. Resolves when the
   * last lease is over.
   *
   * @param isOver of the canonical URL
   */
  async retireInstances(isOver: (apiUrl: string) => boolean, reason: string): Promise<void> {
    this.#makings.restart(isOver, new UpstreamUnavailableError(undefined, reason));
    for (const member of [...this.#members.values()]) if (isOver(member.client.apiUrl)) this.#forget(member);
    // Those too that made way for others before, and still serve calls.
    await this.#pool.retireWhere(({ tenant }) => isOver(tenant), reason);
  }

  /** Gives up the entry of one credential, if it has one. As `retireInstances`. */
  async retire(token: string, options: Pick<GetOptions, 'kind' | 'gitlabUrl'>, reason: string): Promise<void> {
    const name = this.#nameOf(token, options);
    const member = this.#members.get(name);
    if (member !== undefined) this.#forget(member);
    await this.#pool.retire(name, reason);
  }

  /**
   * Retires all entries, which counts as no eviction. Sessions are not ended: they expire. Resolves when the last lease is over;
   * aborting `signal` cuts them short.
   */
  close(signal: AbortSignal = NEVER): Promise<void> {
    this.#closing ??= this.#close(signal);
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close(AbortSignal.abort(closedError()));
  }

  async #close(signal: AbortSignal): Promise<void> {
    const error = closedError();
    this.#revalidation.close(error);
    for (const member of [...this.#members.values()]) this.#forget(member);
    this.#admissions.close(error);
    await this.#pool.drain(signal);
    await this.#closeClients();
  }

  async #get<R>(token: string, options: GetOptions, share: (member: Member<S>) => R): Promise<R> {
    const { kind = 'private-token', gitlabUrl, signal = NEVER } = options;
    if (this.#closing !== undefined) throw closedError();
    if (token === '') throw new TurnpikeError('auth/missing', 'empty token: authentication required');
    // What no header can hold never reaches GitLab; whether it is of the form of a token is judged where it is extracted.
    if (!/^[\x21-\x7e]+$/.test(token)) throw new MalformedCredentialError();
    const url = gitlabUrl === undefined ? this.#home : urlOf(gitlabUrl);
    signal.throwIfAborted();
    const name = this.#names.of(kind, token, url.canonical);
    const known = this.#members.get(name);
    if (known !== undefined || this.#admissions.has(name)) this.#hits++;
    else this.#misses++;
    if (known !== undefined) return share(known);
    const about = { name, kind, apiUrl: url.canonical };
    const making = this.#makings.of(url.canonical);
    const admission: Admission<Member<S>> = {
      work: (until) => making.run((signal) => this.#make(about, token, signal), until),
      land: (member) => {
        making.finish();
        this.#insert(member);
      },
      discard: ({ server }) => {
        making.drop();
        void this.#dispose(server);
      },
    };
    return this.#admissions.join(name, admission, share, signal);
  }

  async #make({ name, kind, apiUrl }: About, token: string, signal: AbortSignal): Promise<Member<S>> {
    const credential = { kind, token: new Secret(token) };
    const client = this.#clients(apiUrl, credential);
    try {
      const identity = await this.#check.prove(name, client, kind, signal);
      // Not there yet while the server is made, which may ask GitLab already.
      let member: Member<S> | undefined;
      const watched = new WatchedClient(client, async () => member && this.#revalidation.ask(member));
      const server = await this.#factory(watched, identity, credential);
      const ended = new AbortController();
      member = { name, kind, identity, client, server, ended, timer: undefined, check: undefined, unanswered: 0, gone: false };
      return member;
    } catch (error) {
      if (!signal.aborted) this.#tell('refused', { name, kind, apiUrl }, error);
      throw error;
    }
  }

  #insert(member: Member<S>): void {
    const { name, identity } = member;
    const owner = principalKey(identity.principal);
    const older = this.#byPrincipal.get(owner);
    if (older !== undefined) {
      this.#forget(older);
      this.#tell('replaced', aboutOf(older));
      // Its calls run on without a place: else somebody who takes turns with two tokens would have a place for each turn.
      void this.#pool.retire(older.name, 'a newer credential of the same principal', { yields: true });
    }
    try {
      this.#pool.put({ id: name, owner, tenant: member.client.apiUrl, groups: [] }, { value: member });
    } catch (error) {
      const failure = asTurnpikeError(error).code === 'pool/exhausted' ? new PoolCapacityError(`max ${this.#maxSize} instances`) : error;
      this.#tell('refused', aboutOf(member), failure);
      throw failure;
    }
    this.#members.set(name, member);
    this.#byPrincipal.set(owner, member);
    this.#revalidation.add(member);
    this.#tell('accepted', aboutOf(member));
  }

  #nameOf(token: string, { kind = 'private-token', gitlabUrl }: GetOptions): string {
    const url = gitlabUrl === undefined ? this.#home : urlOf(gitlabUrl);
    return this.#names.of(kind, token, url.canonical);
  }

  #revoke(member: Member<S>, error: CredentialRejectedError): void {
    this.#forget(member);
    // One that lacks a scope is told so each time.
    if (error.code === 'auth/invalid') this.#check.reject(member.name);
    member.ended.abort(error);
    void this.#pool.retire(member.name, 'GitLab rejected the credential', { now: true });
    this.#options.endSessions?.(member.identity.principal);
  }

  async #dispose(server: S): Promise<void> {
    try {
      await this.#options.dispose?.(server);
    } catch {
      // Nobody had it.
    }
  }

  /** An entry gave way, or was not used for long. */
  #left({ kind, id }: PoolEvent): void {
    if (kind !== 'evicted' && kind !== 'idle') return;
    if (kind === 'evicted') this.#evictions++;
    const member = this.#members.get(id);
    if (member === undefined) return;
    this.#forget(member);
    this.#tell(kind, aboutOf(member));
  }

  #forget(member: Member<S>): void {
    if (this.#members.get(member.name) === member) this.#members.delete(member.name);
    const owner = principalKey(member.identity.principal);
    if (this.#byPrincipal.get(owner) === member) this.#byPrincipal.delete(owner);
    this.#revalidation.remove(member);
  }

  #tell(kind: ServerPoolEvent['kind'], { name, kind: credential, apiUrl }: About, error?: unknown): void {
    try {
      this.#options.observe?.({ kind, fingerprint: shortName(name), credential, apiUrl, ...(error === undefined ? {} : { error }) });
    } catch {
      // Telemetry must not decide who is let in.
    }
  }
}

const NEVER = new AbortController().signal;

function aboutOf<S>({ name, kind, client }: Member<S>): About {
  return { name, kind, apiUrl: client.apiUrl };
}

function urlOf(text: string): ApiUrl {
  const parsed = parseApiUrl(text);
  if (parsed.kind === 'url') return parsed.url;
  throw new InvalidUrlError(parsed.kind === 'invalid' ? { kind: 'invalid', detail: parsed.reason } : parsed);
}

function closedError(): TurnpikeError {
  return new TurnpikeError('pool/closed', 'server pool is closed');
}
