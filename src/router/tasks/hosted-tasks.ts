import { type Caller, principalKey } from '../../core/caller.ts';
import type { Clock } from '../../core/clock.ts';
import { TurnpikeError } from '../../core/errors.ts';
import { parseJson } from '../../core/json.ts';
import { isJsonObject, type JsonObject } from '../../core/mcp.ts';
import { sha256 } from '../../core/secret.ts';
import type { Profile } from '../../upstream/profile.ts';

/** Where the records of hosted tasks are kept: the methods of `Store` that are needed. */
export interface TaskStore {
  get(space: string, id: string, signal?: AbortSignal): Promise<Buffer | undefined>;
  set(space: string, id: string, value: Buffer, options: { readonly ttl: number }, signal?: AbortSignal): Promise<boolean>;
  delete(space: string, id: string): Promise<boolean>;
}

export interface HostedTasksOptions {
  readonly store: TaskStore;
  readonly clock: Clock;
  /** How many may live in this process at once, each holding its connection. */
  readonly limits?: { readonly perPrincipal: number; readonly total: number };
  /** The store failed where nobody waits for it. */
  readonly onStoreFailure: (error: unknown) => void;
}

/** The right to host one task more. */
export interface TaskPlace {
  /** Idempotent. */
  free(): void;
}

/** Whose task it is, where, and under what name. */
export interface HostedId {
  readonly caller: Caller;
  readonly upstream: string;
  /** The upstream's own id. */
  readonly taskId: string;
}

/** What is known of a hosted task everywhere and after a restart. */
export interface TaskRecord {
  /** Of the request that created it. */
  readonly profile: Profile;
  /** When it is given up. Milliseconds since the epoch. */
  readonly expiresAt: number;
  /** How it ended, as the result of `tasks/get`, when it did and is not too long to be kept. */
  readonly ended?: string;
}

/** What a task that lives here tells. */
export interface TaskHooks {
  /** It does not live here any more; with its end, as the client will read it from now on, if that is known. */
  readonly onEnd: (detail: Buffer | undefined) => void;
  /** The upstream does not know it any more. */
  readonly onGone: () => void;
}

/** A task that lives in this process (`hosted-task.ts`). What asks the upstream throws `task/unknown` and `upstream/*`. */
export interface LiveTask {
  /** How it stands, as the result of `tasks/get` under the upstream's id. */
  detail(signal: AbortSignal): Promise<Buffer>;
  /** Delivers the answers that fit questions the client has seen. @param responses the bytes of `inputResponses` */
  update(responses: Buffer, signal: AbortSignal): Promise<void>;
  /** Asks the upstream to cancel; a task that is over is left as it is. */
  cancel(signal: AbortSignal): Promise<void>;
  /** Hears of every change from now on, until the returned function is called. */
  listen(listener: (detail: Buffer) => void): () => void;
  /** Gives the task up here: questions are answered in the client's stead, nothing is held any more. The upstream's task goes on. */
  end(reason?: TurnpikeError): void;
}

type Start = (record: TaskRecord, hooks: TaskHooks) => LiveTask;

const SPACE = 'tasks/hosted';
const LIMITS = { perPrincipal: 64, total: 1_000 } as const;
/** Longer endings are asked for again at the upstream. Bytes. */
const MAX_ENDING = 256 * 1024;

/**
 * Tasks of session upstreams for clients without a session (protocol.md section 8, "Hosted tasks"): a record in the store for
 * each, and those that live in this process.
 */
export class HostedTasks {
  readonly #options: HostedTasksOptions;
  readonly #live = new Map<string, LiveTask>();
  readonly #taken = new Map<string, number>();
  #places = 0;

  constructor(options: HostedTasksOptions) {
    this.#options = options;
  }

  /** Tasks that live here, or are about to. */
  get size(): number {
    return this.#places;
  }

  /** Throws `upstream/capacity` when the principal, or all together, have as many as they may. */
  reserve({ tenant, principal }: Caller, upstream: string): TaskPlace {
    const { perPrincipal, total } = this.#options.limits ?? LIMITS;
    const whose = JSON.stringify([tenant, principalKey(principal)]);
    const own = this.#taken.get(whose) ?? 0;
    if (this.#places >= total || own >= perPrincipal) throw new TurnpikeError('upstream/capacity', 'Too many tasks are running.', { upstream });
    this.#places++;
    this.#taken.set(whose, own + 1);
    let freed = false;
    return {
      free: () => {
        if (freed) return;
        freed = true;
        this.#places--;
        const left = (this.#taken.get(whose) ?? 1) - 1;
        if (left > 0) this.#taken.set(whose, left);
        else this.#taken.delete(whose);
      },
    };
  }

  /**
   * A task was created: it lives from now on, and is in the store when this resolves. Throws `store/failed` and the reason of
   * `signal`; then it is cancelled.
   */
  async begin(id: HostedId, record: TaskRecord, place: TaskPlace, start: Start, signal: AbortSignal): Promise<void> {
    const { clock, store } = this.#options;
    const key = keyOf(id);
    const live = this.#start(key, record, place, start);
    try {
      await store.set(SPACE, key, Buffer.from(JSON.stringify(record)), { ttl: record.expiresAt - clock.now() }, signal);
      signal.throwIfAborted();
    } catch (error) {
      // Nobody will ever ask for it.
      const stop = () => {
        live.end();
        this.#forget(key);
      };
      live.cancel(new AbortController().signal).then(stop, stop);
      throw error;
    }
  }

  /**
   * The task as it lives here, or how it ended, as the result of `tasks/get` under the upstream's id. One that does not live
   * here is started. Throws `task/unknown`, `upstream/capacity`, `store/failed`.
   */
  async find(id: HostedId, start: Start, signal: AbortSignal): Promise<LiveTask | Buffer> {
    const key = keyOf(id);
    const known = this.#live.get(key);
    if (known !== undefined) return known;
    const record = recordOf(await this.#options.store.get(SPACE, key, signal));
    if (record === undefined) throw new TurnpikeError('task/unknown', 'Unknown task');
    if (record.ended !== undefined) return Buffer.from(record.ended);
    // Somebody else may have asked meanwhile.
    return this.#live.get(key) ?? this.#start(key, record, this.reserve(id.caller, id.upstream), start);
  }

  /** Lets go of all of them; their records stay. */
  end(reason: TurnpikeError): void {
    for (const live of [...this.#live.values()]) live.end(reason);
  }

  #start(key: string, record: TaskRecord, place: TaskPlace, start: Start): LiveTask {
    const live = start(record, {
      onEnd: (detail) => {
        if (this.#live.get(key) === live) this.#live.delete(key);
        place.free();
        if (detail !== undefined && detail.length <= MAX_ENDING) this.#keep(key, { ...record, ended: detail.toString('utf8') });
      },
      onGone: () => this.#forget(key),
    });
    this.#live.set(key, live);
    return live;
  }

  #keep(key: string, record: TaskRecord): void {
    const { clock, store, onStoreFailure } = this.#options;
    const ttl = record.expiresAt - clock.now();
    if (ttl > 0) store.set(SPACE, key, Buffer.from(JSON.stringify(record)), { ttl }).catch(onStoreFailure);
  }

  #forget(key: string): void {
    this.#options.store.delete(SPACE, key).catch(this.#options.onStoreFailure);
  }
}

function keyOf({ caller, upstream, taskId }: HostedId): string {
  return sha256(JSON.stringify([upstream, caller.tenant, principalKey(caller.principal), taskId])).toString('base64url');
}

/** Rows are ours; one that another version wrote otherwise is as good as none. */
function recordOf(row: Buffer | undefined): TaskRecord | undefined {
  const parsed = row && parseJson(row);
  const body: JsonObject = parsed?.ok && isJsonObject(parsed.value) ? parsed.value : {};
  const { profile, expiresAt, ended } = body;
  if (typeof profile !== 'string' || typeof expiresAt !== 'number') return undefined;
  return { profile, expiresAt, ...(typeof ended === 'string' ? { ended } : {}) };
}
