import type { AuthContext, Verdict } from './auth/authenticator.ts';
import type { Credential } from './auth/credential.ts';
import type { TokenVerifier } from './auth/gitlab-token.ts';
import { DEFAULT_SCOPES, DEFAULT_TENANT } from './auth/identity.ts';
import type { CredentialKind } from './builtin/gitlab/client/api.ts';
import { type ApiUrl, knownApiUrl, parseApiUrl } from './builtin/gitlab/client/api-url.ts';
import { GitLabClient } from './builtin/gitlab/client/gitlab-client.ts';
import { type InstanceAnswer, Instances, OTHER_INSTANCE } from './builtin/gitlab/client/instance.ts';
import { GitLabClientPool } from './builtin/gitlab/client/instance-pool.ts';
import { instanceRules } from './builtin/gitlab/client/instance-rules.ts';
import type { InstanceSource } from './builtin/gitlab/client/instance-source.ts';
import { OneInstance } from './builtin/gitlab/client/one-instance.ts';
import { CredentialRejectedError, InvalidUrlError, PoolCapacityError, UpstreamUnavailableError } from './builtin/gitlab/pool/errors.ts';
import { ServerPool } from './builtin/gitlab/pool/server-pool.ts';
import type { GitLabContext } from './builtin/gitlab/tools/gitlab-call.ts';
import { gitlabOffer } from './builtin/gitlab/tools/offer.ts';
import type { Sealing } from './builtin/gitlab/tools/settings.ts';
import { BuiltinServer, type ContextLease } from './builtin/server/builtin-server.ts';
import { BuiltinTransport } from './builtin/server/builtin-transport.ts';
import type { Config, UpstreamConfig } from './config/schema.ts';
import { type Caller, type Principal, principalKey } from './core/caller.ts';
import type { Clock } from './core/clock.ts';
import { asTurnpikeError, TurnpikeError } from './core/errors.ts';
import { OwnAbort } from './core/own-abort.ts';
import type { Transport } from './core/ports.ts';
import { Secret } from './core/secret.ts';
import { addressKey } from './limit/address.ts';
import { FixedWindows, overRate } from './limit/fixed-window.ts';
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
  /** GitLab does not take the credential of this principal any more. */
  readonly endSessions: (principal: Principal) => void;
  readonly instruments: Instruments;
}

/** One upstream of the configuration: its instance, how it is reached, and what it offers. */
interface Place {
  readonly name: string;
  readonly home: ApiUrl;
  readonly isDynamic: boolean;
  readonly instances: Instances;
  readonly clients: InstanceSource & { close(): Promise<void> };
  /** Absent where there is no pool, since there is one instance. */
  readonly pool?: GitLabClientPool;
  readonly server: BuiltinServer<GitLabContext>;
  /** Of each caller at each instance; absent: no limit of its own. */
  readonly rate?: FixedWindows;
  readonly auth: GitLabUpstreamConfig['auth'];
}

type Served = Pick<GitLabContext, 'api' | 'principal'> & { readonly owner: Principal };

const LOGIN = 'authentication required: please log in to access this resource';
const EXPIRED = 'authentication failed: your session may have expired, please log in again';

/** The upstreams of type `gitlab` (gitlab.md 2.7): one server for each credential at each instance, whichever upstream it is called by. */
export class GitLabUpstreams implements TokenVerifier, AsyncDisposable {
  readonly #options: GitLabUpstreamsOptions;
  readonly #pool: ServerPool<Served>;
  readonly #refusals: SecurityLog;
  /** In the order of the configuration. */
  #places = new Map<string, Place>();
  /** Those that a reload replaced: what still runs there ends with the gateway at the latest. */
  readonly #former: Place[] = [];

  /** @throws `config/invalid` for a block that cannot be put in force */
  constructor(config: Config, options: GitLabUpstreamsOptions) {
    this.#options = options;
    const { clock, version, logger } = options;
    this.#pool = new ServerPool<Served>({}, (api, { principal }) => ({ api, principal: principalKey(principal), owner: principal }), {
      clock,
      endSessions: options.endSessions,
      clients: (apiUrl, credential) => {
        const { clients } = this.#placeOf(apiUrl);
        const label = this.#isKnown(apiUrl) ? apiUrl : 'other';
        const observe = ({ method, status }: { readonly method: string; readonly status: number }) =>
          options.instruments.gitlabRequest(label, method, status).add();
        return new GitLabClient({ apiUrl, credential, instances: clients, clock, version, observe });
      },
      observe: ({ kind, fingerprint, credential, apiUrl }) =>
        logger.debug(`credential ${kind}`, { fingerprint, credential, instance: this.#isKnown(apiUrl) ? apiUrl : 'other' }),
    });
    this.#refusals = new SecurityLog(logger, new TokenBuckets({ clock, rate: 1, burst: 5 }), clock);
    this.reconfigure(config);
  }

  /** Undefined without an upstream of this type. */
  numbers(): GitLabNumbers | undefined {
    if (this.#places.size === 0 && this.#former.length === 0) return undefined;
    const { hits, misses, evictions, current_size, max_size, revalidations_succeeded, revalidations_failed } = this.#pool.stats();
    const pools = [...this.#former, ...this.#places.values()].flatMap(({ pool }) => (pool === undefined ? [] : [pool.stats()]));
    const current = [...this.#places.values()].flatMap(({ pool }) => (pool === undefined ? [] : [pool.stats()]));
    const instances = {
      pool: 'gitlab_instances',
      hits: sum(pools, 'hits'),
      misses: sum(pools, 'misses'),
      evictions: sum(pools, 'evictions'),
      size: sum(pools, 'size'),
      maxSize: sum(current, 'maxSize'),
    };
    return {
      caches: [
        { pool: 'gitlab_servers', hits, misses, evictions, size: current_size, maxSize: max_size },
        ...(pools.length === 0 ? [] : [instances]),
      ],
      revalidations: { succeeded: revalidations_succeeded, failed: revalidations_failed, skipped: this.#pool.revalidationsSkipped },
    };
  }

  /** Takes other upstreams; those that are the same stay. Throws as the constructor, and then nothing has changed. */
  reconfigure({ upstreams }: Config, isSame: (name: string) => boolean = () => false): void {
    const places = new Map<string, Place>();
    for (const upstream of upstreams) {
      if (upstream.type !== 'gitlab') continue;
      const known = this.#places.get(upstream.name);
      places.set(upstream.name, known !== undefined && isSame(upstream.name) ? known : this.#make(upstream));
    }
    for (const place of this.#places.values()) if (!new Set(places.values()).has(place)) this.#former.push(place);
    this.#places = places;
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
    await Promise.all([...this.#former, ...this.#places.values()].map(({ clients }) => clients.close()));
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
      return { context: { api, principal, secrets: [token] }, signal: over.signal, release };
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof CredentialRejectedError) throw new TurnpikeError('upstream/login', EXPIRED, { upstream, reason: error.message });
      if (error instanceof PoolCapacityError) throw new TurnpikeError('upstream/capacity', error.message, { upstream, retryable: true });
      throw error;
    }
  }

  #credentialOf({ name, home, isDynamic, instances, auth }: Place, caller: Caller | undefined) {
    const { mode, header } = auth;
    if (mode === 'header' && header?.value !== undefined) {
      const kind = kindOf(header.name);
      const text = header.value.reveal();
      return { kind, token: kind === 'bearer' ? new Secret(text.replace(/^Bearer +/i, '')) : header.value, instance: home.canonical };
    }
    const credential = caller?.credential;
    if (credential === undefined) throw new TurnpikeError('upstream/login', LOGIN, { upstream: name });
    const { scheme: kind, token, instance } = credential;
    // A token goes to the instance that verified it, and to no other.
    // Nor does it go past the settings of the upstream that its instance is.
    const isHere = instance === home.canonical || (isDynamic && !this.#isKnown(instance) && instances.choose(instance).kind === 'instance');
    if (!isHere) throw new TurnpikeError('upstream/login', LOGIN, { upstream: name, reason: 'the credential is of another instance' });
    return { kind, token, instance };
  }

  #make({ name, gitlab, auth, tls, proxy }: GitLabUpstreamConfig): Place {
    const { clock, version, sealer, logger } = this.#options;
    const { url, dynamicUrl, pool, maxRequestsPerMinute: max, ...given } = gitlab;
    const settings = { deniedTools: '', project: '', ...given };
    const home = knownApiUrl(url);
    const isDynamic = dynamicUrl.enabled;
    const throughProxy = proxy === undefined ? this.#options.proxies : { httpProxy: proxy.reveal(), httpsProxy: proxy.reveal() };
    const rules = instanceRules({
      ...throughProxy,
      dynamic: isDynamic,
      apiUrl: url,
      allowedHosts: dynamicUrl.allowedHosts.join(','),
      allowPrivateHosts: dynamicUrl.allowPrivateHosts.join(','),
    });
    if (!rules.ok) throw new TurnpikeError('config/invalid', `upstream '${name}': ${rules.error}`);
    const { allowsPrivate, operatorUrls } = rules.value;
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
      ...(isDynamic ? pooled() : { clients: new OneInstance(url, origins, clock) }),
      server: new BuiltinServer(offer, {
        clock,
        onFailure: (what, error) => logger.error(`GitLab: ${what} failed`, { upstream: name, reason: asTurnpikeError(error).details.reason }),
      }),
      auth,
      ...(max === undefined ? {} : { rate: new FixedWindows({ clock, max }) }),
    };
  }

  /** The instance that a request means, or why it may not. */
  #choose({ instances }: Place, { instance: header, bound }: AuthContext): InstanceAnswer {
    const configured = this.#configured(header);
    if (configured === undefined) return instances.choose(header, bound);
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

  /** Through which upstream's connections an instance is reached: its own, else the first that lets callers name theirs. */
  #placeOf(apiUrl: string): Place {
    const places = [...this.#places.values(), ...this.#former];
    const place = places.find(({ home }) => home.canonical === apiUrl) ?? places.find(({ isDynamic }) => isDynamic);
    if (place === undefined) throw new InvalidUrlError({ kind: 'forbidden', reason: 'no upstream has this instance' });
    return place;
  }

  #tellOf(kind: PoolEvent['kind'], apiUrl: string): void {
    const what = POOL_LINES[kind];
    if (what !== undefined) this.#options.logger.debug(`connection pool: ${what}`, { instance: this.#isKnown(apiUrl) ? apiUrl : 'other' });
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

/** Throws `limit/user`. What the gateway asks for itself is nobody's. */
function charge({ rate }: Place, caller: Caller | undefined, instance: string): void {
  if (rate === undefined || caller === undefined) return;
  const budget = rate.take(`${principalKey(caller.principal)} ${instance}`, 1);
  if (!budget.allowed) throw overRate(budget);
}

function sum<K extends string>(pools: readonly Readonly<Record<K, number>>[], key: K): number {
  return pools.reduce((total, pool) => total + pool[key], 0);
}

const SCOPES = new Set(DEFAULT_SCOPES);

function kindOf(header: string): CredentialKind {
  const name = header.toLowerCase();
  return name === 'authorization' ? 'bearer' : name === 'job-token' ? 'job-token' : 'private-token';
}

function sealingBy(sealer: Sealer): Sealing {
  return {
    seal: (purpose, value) => sealer.seal(purpose, value),
    open: (purpose, text) => {
      const opened = sealer.openJson(purpose, text);
      return opened.ok ? opened.value : undefined;
    },
  };
}
