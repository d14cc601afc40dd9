import type { AuthContext, TokenVerifier, Verdict } from './auth/authenticator.ts';
import type { Credential } from './auth/credential.ts';
import { DEFAULT_SCOPES, DEFAULT_TENANT } from './auth/identity.ts';
import { type ApiUrl, knownApiUrl, parseApiUrl } from './builtin/gitlab/client/api-url.ts';
import { GitLabClient } from './builtin/gitlab/client/gitlab-client.ts';
import { type InstanceAnswer, Instances, OTHER_INSTANCE } from './builtin/gitlab/client/instance.ts';
import { GitLabClientPool } from './builtin/gitlab/client/instance-pool.ts';
import { instanceRules } from './builtin/gitlab/client/instance-rules.ts';
import { OneInstance } from './builtin/gitlab/client/one-instance.ts';
import { CredentialRejectedError, InvalidUrlError, PoolCapacityError, UpstreamUnavailableError } from './builtin/gitlab/pool/errors.ts';
import { ServerPool } from './builtin/gitlab/pool/server-pool.ts';
import type { GitLabContext, ToolCall } from './builtin/gitlab/tools/gitlab-call.ts';
import { gitlabOffer } from './builtin/gitlab/tools/offer.ts';
import type { Sealing } from './builtin/gitlab/tools/settings.ts';
import { BuiltinServer, type ContextLease } from './builtin/server/builtin-server.ts';
import { BuiltinTransport } from './builtin/server/builtin-transport.ts';
import type { Config, UpstreamConfig } from './config/schema.ts';
import { GITLAB_COM } from './config/sections/gitlab.ts';
import { type Caller, type Principal, principalKey } from './core/caller.ts';
import type { Clock } from './core/clock.ts';
import { asTurnpikeError, TurnpikeError } from './core/errors.ts';
import { OwnAbort } from './core/own-abort.ts';
import type { Transport, UpstreamState } from './core/ports.ts';
import { FormerParts } from './gitlab-former.ts';
import { charge, ownCredential, type Place, placeOf } from './gitlab-place.ts';
import { addressKey } from './limit/address.ts';
import { FixedWindows } from './limit/fixed-window.ts';
import { TokenBuckets } from './limit/rate.ts';
import type { ProxySettings } from './net/proxy-choice.ts';
import type { PoolEvent } from './pool/stats.ts';
import type { Sealer } from './store/seal.ts';
import type { GitLabNumbers, Instruments } from './telemetry/instruments.ts';
import type { Logger } from './telemetry/log.ts';
import { SecurityLog } from './telemetry/security-log.ts';

export type GitLabUpstreamConfig = Extract<UpstreamConfig, { type: 'gitlab' }>;

export interface GitLabUpstreamsOptions {
  readonly clock: Clock;
  readonly version: string;
  readonly logger: Logger;
  /** For cursors that travel through clients. */
  readonly sealer: Sealer;
  /** For upstreams that name none. */
  readonly proxies: ProxySettings;
  /** What a caller writes to call a tool of an upstream; undefined where it may not. */
  readonly callOf: (caller: Caller, upstream: string, tool: string) => ToolCall | undefined;
  /** GitLab does not take the credential of this principal any more. */
  readonly endSessions: (principal: Principal) => void;
  readonly instruments: Instruments;
  /** `X-GitLab-API-URL` means nothing: the standalone server without dynamic URLs (gitlab.md 2.6). Default: it names an instance, or is an error. */
  readonly ignoresHeader?: boolean;
}

type Served = Pick<GitLabContext, 'api' | 'principal'> & { readonly owner: Principal };

/** Whoever has a session may have a call running, and a credential with a call keeps its place: nobody with a session is to find none. */
const MIN_CREDENTIALS = 100;

const LOGIN = 'authentication required: please log in to access this resource';
const EXPIRED = 'authentication failed: your session may have expired, please log in again';

/** The upstreams of type `gitlab` (gitlab.md 2.7): one server for each credential at each instance, whichever upstream it is called by. */
export class GitLabUpstreams implements TokenVerifier, AsyncDisposable {
  readonly #options: GitLabUpstreamsOptions;
  readonly #pool: ServerPool<Served>;
  readonly #refusals: SecurityLog;
  /** In the order of the configuration. */
  #places = new Map<string, Place>();
  /** Of those that a reload replaced or removed. */
  readonly #former: FormerParts;
  /** Numbers that were told once go on. */
  #isUsed = false;

  /** @throws `config/invalid` for a block that cannot be put in force */
  constructor(config: Config, options: GitLabUpstreamsOptions) {
    this.#options = options;
    const { clock, version, logger } = options;
    this.#pool = new ServerPool<Served>({}, (api, { principal }) => ({ api, principal: principalKey(principal), owner: principal }), {
      clock,
      maxSize: config.pool.limits.gitlabCredentials ?? Math.max(MIN_CREDENTIALS, config.limits.sessions),
      endSessions: options.endSessions,
      clients: (apiUrl, credential) => {
        const { clients } = this.#placeOf(apiUrl);
        const label = this.#labelOf(apiUrl);
        const observe = ({ method, status }: { readonly method: string; readonly status: number }) =>
          options.instruments.gitlabRequest(label, method, status).add();
        return new GitLabClient({ apiUrl, credential, instances: clients, clock, version, observe });
      },
      observe: ({ kind, fingerprint, credential, apiUrl }) =>
        logger.debug(`credential ${kind}`, { fingerprint, credential, instance: this.#labelOf(apiUrl) }),
    });
    this.#former = new FormerParts(clock);
    this.#refusals = new SecurityLog(logger, new TokenBuckets({ clock, rate: 1, burst: 5 }), clock);
    this.reconfigure(config);
  }

  /** Undefined while there was no upstream of this type. */
  numbers(): GitLabNumbers | undefined {
    if (!this.#isUsed) return undefined;
    const pools = [...this.#places.values()].flatMap(({ pool }) => (pool === undefined ? [] : [pool.stats()]));
    const { hits, misses, evictions, current_size, max_size, revalidations_succeeded, revalidations_failed } = this.#pool.stats();
    const former = this.#former.stats();
    const all = [...pools, ...(former === undefined ? [] : [former])];
    const instances = {
      pool: 'gitlab_instances',
      hits: sum(all, 'hits'),
      misses: sum(all, 'misses'),
      evictions: sum(all, 'evictions'),
      size: sum(all, 'size'),
      maxSize: sum(pools, 'maxSize'),
    };
    return {
      caches: [{ pool: 'gitlab_servers', hits, misses, evictions, size: current_size, maxSize: max_size }, ...(all.length === 0 ? [] : [instances])],
      revalidations: { succeeded: revalidations_succeeded, failed: revalidations_failed, skipped: this.#pool.revalidationsSkipped },
    };
  }

  /** States of upstreams, where those count as degraded whose GitLab could not be asked about credentials in use (gitlab.md 1.3). */
  judged<T extends { readonly name: string; readonly state: UpstreamState }>(upstreams: readonly T[]): readonly T[] {
    const { degraded } = this.#pool;
    if (degraded.size === 0) return upstreams;
    const names = new Set([...degraded].map((apiUrl) => placeOf([...this.#places.values()], apiUrl)?.name));
    return upstreams.map((upstream) => (names.has(upstream.name) && upstream.state === 'connected' ? { ...upstream, state: 'degraded' } : upstream));
  }

  /**
   * Takes other upstreams; those that are the same stay. What is replaced or removed ends when the last call that uses it has, some time
   * after its `closeDelay` at the latest. Throws as the constructor, and then nothing has changed.
   */
  reconfigure({ upstreams }: Config, isSame: (name: string) => boolean = () => false): void {
    const places = new Map<string, Place>();
    for (const upstream of upstreams) {
      if (upstream.type !== 'gitlab') continue;
      const known = this.#places.get(upstream.name);
      places.set(upstream.name, known !== undefined && isSame(upstream.name) ? known : this.#make(upstream));
    }
    const before = [...this.#places.values()];
    const after = [...places.values()];
    this.#places = places;
    this.#isUsed ||= places.size > 0;
    for (const place of before) {
      // Servers hold the connections over which they were made.
      const isMoved = (apiUrl: string) => placeOf(before, apiUrl) === place && placeOf(after, apiUrl) !== place;
      const over = [this.#pool.retireInstances(isMoved, 'its upstream changed')];
      if (after.includes(place)) continue;
      const own = ownCredential(place);
      if (own !== undefined) over.push(this.#pool.retire(own.token.reveal(), { kind: own.kind, gitlabUrl: own.instance }, 'its upstream is gone'));
      this.#former.add(place, Promise.all(over));
    }
  }

  /** Whether somebody whom an instance knows may come in. @param issuer of the principal */
  admits(issuer: string): boolean {
    const [first] = this.#places.values();
    const parsed = parseApiUrl(issuer);
    if (first === undefined || parsed.kind !== 'url') return false;
    const { canonical } = parsed.url;
    const chosen = this.#choose(first, { instance: [canonical] });
    return chosen.kind === 'instance' && chosen.url.canonical === canonical;
  }

  /** Asks about pooled credentials again from time to time, until `signal` aborts. */
  start(signal: AbortSignal): void {
    this.#pool.startRevalidation(signal);
  }

  /** The way to one of them; undefined for upstreams of other types. */
  transport(name: string): Transport | undefined {
    const place = this.#places.get(name);
    return place && new BuiltinTransport(name, place.server, (options, signal) => this.#context(place, options.caller, signal));
  }

  /** Whether a credential is in use where the request wants to go. Asks nobody. */
  isPooled({ scheme, token }: Credential, context: AuthContext): boolean {
    const [first] = this.#places.values();
    const chosen = first && this.#choose(first, context);
    return chosen?.kind === 'instance' && this.#pool.has(token.reveal(), { kind: scheme, gitlabUrl: chosen.url.canonical });
  }

  async verify(...[credential, context, signal]: Parameters<TokenVerifier['verify']>): ReturnType<TokenVerifier['verify']> {
    const [first] = this.#places.values();
    if (first === undefined) return { kind: 'refused', reason: 'there is no upstream of type gitlab' };
    const chosen = this.#choose(first, context);
    if (chosen.kind === 'refused') return this.#refuse(chosen, context);
    if (first.isDynamic && context.instance?.some((value) => value !== '') === true)
      this.#options.logger.debug('custom API URL detected', { host: chosen.url.target.host });
    const { scheme, token } = credential;
    const instance = chosen.url.canonical;
    try {
      const { owner } = await this.#pool.getOrCreate(token.reveal(), { kind: scheme, gitlabUrl: instance, signal });
      // Who is known needs no connection to be let in, and would find none for a call (gitlab.md 2.5, "pool full").
      const { pool } = this.#placeOf(instance);
      if (pool?.hasRoom(instance) === false) return noPlace(new PoolCapacityError(`max ${pool.stats().maxSize} instances`));
      const identity = { mode: 'gitlab', principal: owner, tenant: DEFAULT_TENANT, scopes: SCOPES, credential: { scheme, token, instance } } as const;
      return { kind: 'accepted', identity };
    } catch (error) {
      signal.throwIfAborted();
      const failure = asTurnpikeError(error);
      if (error instanceof InvalidUrlError) return this.#refuse({ ...ADDRESS, host: chosen.url.target.host }, context, error);
      if (error instanceof PoolCapacityError) return noPlace(error);
      if (error instanceof CredentialRejectedError) return { kind: 'refused', reason: failure.message, error: failure };
      if (error instanceof UpstreamUnavailableError)
        return { kind: 'unavailable', reason: failure.message, retryAfter: failure.details.retryAfter ?? 5, error: failure };
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#refusals.flush();
    await this.#pool[Symbol.asyncDispose]();
    await Promise.all([this.#former.close(), ...[...this.#places.values()].map(({ clients }) => clients.close())]);
  }

  #refuse({ status, message, detail, reason, host }: Refused, { address }: AuthContext, known?: TurnpikeError): Verdict {
    this.#options.instruments.gitlabUrlDenied(reason).add();
    this.#refusals.warn('gitlab url', addressKey(address), 'GitLab API URL refused', { reason, ...(host === undefined ? {} : { host }) });
    if (status === 409) return { kind: 'refused', reason, error: new TurnpikeError('session/instance', message) };
    const verdict = status === 400 ? ({ kind: 'invalid', detail: detail ?? '' } as const) : ({ kind: 'forbidden', reason } as const);
    return { kind: 'refused', reason, error: known ?? new InvalidUrlError(verdict) };
  }

  /** For whom a call acts: with what the operator gave to all, or with the caller's own, where it was verified. */
  async #context(place: Place, caller: Caller | undefined, signal: AbortSignal): Promise<ContextLease<GitLabContext>> {
    const upstream = place.name;
    const { kind, token, instance } = this.#credentialOf(place, caller);
    charge(place, caller, instance);
    try {
      const lease = await this.#pool.lease(token.reveal(), { kind, gitlabUrl: instance, signal });
      const { api, principal } = lease.server;
      const over = new OwnAbort();
      const expired = () => over.abort(new TurnpikeError('upstream/login', EXPIRED, { upstream }));
      lease.signal.addEventListener('abort', expired, { once: true });
      const release = () => {
        lease.signal.removeEventListener('abort', expired);
        lease.release();
      };
      const callOf = caller && ((tool: string) => this.#options.callOf(caller, upstream, tool));
      return { context: { api, principal, kind, secrets: [token], ...(callOf && { callOf }) }, signal: over.signal, release };
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof CredentialRejectedError) throw new TurnpikeError('upstream/login', EXPIRED, { upstream, reason: error.message });
      if (error instanceof PoolCapacityError) throw new TurnpikeError('upstream/capacity', error.message, { upstream, retryable: true });
      throw error;
    }
  }

  #credentialOf(place: Place, caller: Caller | undefined) {
    const own = ownCredential(place);
    if (own !== undefined) return own;
    const { name, home, isDynamic, instances } = place;
    const credential = caller?.credential;
    if (credential === undefined) throw new TurnpikeError('upstream/login', LOGIN, { upstream: name });
    const { scheme: kind, token, instance } = credential;
    // A token goes to the instance that verified it, and to no other.
    // Nor does it go past the settings of the upstream that its instance is.
    const isHere = instance === home.canonical || (isDynamic && !this.#isKnown(instance) && instances.choose(instance).kind === 'instance');
    if (!isHere) throw new TurnpikeError('upstream/login', LOGIN, { upstream: name, reason: 'the credential is of another instance' });
    return { kind, token, instance };
  }

  #make({ name, gitlab, auth, tls, proxy, pool: { closeDelay } }: GitLabUpstreamConfig): Place {
    const { clock, version, sealer, logger, ignoresHeader } = this.#options;
    const { url, dynamicUrl, pool, maxRequestsPerMinute: max, ...given } = gitlab;
    const settings = { deniedTools: '', project: '', ...given };
    const isDynamic = dynamicUrl.enabled;
    const throughProxy = proxy === undefined ? this.#options.proxies : { httpProxy: proxy.reveal(), httpsProxy: proxy.reveal() };
    const rules = instanceRules({
      ...throughProxy,
      // Also where callers may name no instance of their own: who means one that is not there must not reach another with its token.
      dynamic: ignoresHeader !== true,
      apiUrl: url,
      allowedHosts: isDynamic ? dynamicUrl.allowedHosts.join(',') : '',
      allowPrivateHosts: dynamicUrl.allowPrivateHosts.join(','),
    });
    if (!rules.ok) throw new TurnpikeError('config/invalid', `upstream '${name}': ${rules.error}`);
    const { allowsPrivate, operatorUrls } = rules.value;
    const home = knownApiUrl(url ?? GITLAB_COM);
    const origins = {
      ...throughProxy,
      ...(tls?.caFile === undefined ? {} : { caCertPath: tls.caFile }),
      rejectUnauthorized: tls?.insecureSkipVerify !== true,
    };
    const pooled = () => {
      const isExempt = (canonical: string) => operatorUrls.some((known) => known.canonical === canonical);
      const observe = ({ kind, id }: PoolEvent) => this.#tellOf(kind, id);
      const made = new GitLabClientPool({ ...pool, ...origins, clock, allowsPrivate, isExempt, observe });
      return { pool: made, clients: made };
    };
    const offer = gitlabOffer({ settings, sealing: sealingBy(sealer), clock, version, ...(isDynamic ? {} : { apiUrl: home.canonical }) });
    return {
      name,
      home,
      isDynamic,
      instances: new Instances(rules.value),
      ...(isDynamic ? pooled() : { clients: new OneInstance(home.canonical, origins, clock) }),
      server: new BuiltinServer(offer, {
        clock,
        onFailure: (what, error) => logger.error(`GitLab: ${what} failed`, { upstream: name, reason: asTurnpikeError(error).details.reason }),
      }),
      auth,
      closeDelay,
      ...(max === undefined ? {} : { rate: new FixedWindows({ clock, max }) }),
    };
  }

  /** The instance that a request means, or why it may not. */
  #choose({ instances }: Place, { instance: header, bound }: Pick<AuthContext, 'instance' | 'bound'>): InstanceAnswer {
    // A session that outlives what it was bound to is as good as any that names it anew: it may be allowed no more.
    const isNamed = header !== undefined && (header.length > 1 || header[0]?.trim() !== '');
    const named = isNamed || bound === undefined ? header : [bound];
    const configured = this.#configured(named);
    if (configured === undefined) return instances.choose(named, bound);
    if (bound === undefined || bound === configured.canonical) return { kind: 'instance', url: configured };
    return { kind: 'refused', status: 409, message: OTHER_INSTANCE, reason: 'bound', host: configured.target.host };
  }

  /** The instance that a header names, where an upstream is it: that one needs no leave. */
  #configured(header: readonly string[] | undefined): ApiUrl | undefined {
    const [value = '', ...others] = header ?? [];
    const parsed = parseApiUrl(value.trim());
    if (parsed.kind !== 'url' || others.length > 0 || !this.#isKnown(parsed.url.canonical)) return undefined;
    return parsed.url;
  }

  /** @throws `InvalidUrlError` when no upstream leads there */
  #placeOf(apiUrl: string): Place {
    const place = placeOf([...this.#places.values()], apiUrl);
    if (place === undefined) throw new InvalidUrlError({ kind: 'forbidden', reason: 'no upstream has this instance' });
    return place;
  }

  #tellOf(kind: PoolEvent['kind'], apiUrl: string): void {
    const what = POOL_LINES[kind];
    if (what !== undefined) this.#options.logger.debug(`connection pool: ${what}`, { instance: this.#labelOf(apiUrl) });
  }

  /** In numbers and lines there are only the instances that are configured (gitlab.md 2.6). */
  #labelOf(apiUrl: string): string {
    const isNamed = [...this.#places.values()].some(({ home, instances }) => home.canonical === apiUrl || instances.isNamed(knownApiUrl(apiUrl)));
    return isNamed ? apiUrl : 'other';
  }

  #isKnown(apiUrl: string): boolean {
    return [...this.#places.values()].some(({ home }) => home.canonical === apiUrl);
  }
}

/** gitlab.md 2.6; what else happens is nobody's business. */
const POOL_LINES: Partial<Record<PoolEvent['kind'], string>> = { opened: 'created', hit: 'reused', evicted: 'evicted', idle: 'closed idle' };

type Refused = Omit<Extract<InstanceAnswer, { kind: 'refused' }>, 'kind'>;

/** A name that is allowed leads to an address that is not. */
const ADDRESS: Refused = { status: 403, message: '', reason: 'address' };

/** All places of a pool are in use: unlike in a call, that has an HTTP status of its own here. */
function noPlace({ message, details: { data, retryAfter = 5 } }: PoolCapacityError): Verdict {
  return { kind: 'unavailable', reason: message, retryAfter, error: new TurnpikeError('session/full', message, { data, retryAfter }) };
}

function sum<K extends string>(pools: readonly Readonly<Record<K, number>>[], key: K): number {
  return pools.reduce((total, pool) => total + pool[key], 0);
}

const SCOPES = new Set(DEFAULT_SCOPES);

function sealingBy(sealer: Sealer): Sealing {
  return {
    seal: (purpose, value) => sealer.seal(purpose, value),
    open: (purpose, text) => {
      const opened = sealer.openJson(purpose, text);
      return opened.ok ? opened.value : undefined;
    },
  };
}
