import type { Caller } from '../../core/caller.ts';
import { TurnpikeError } from '../../core/errors.ts';
import { toJson } from '../../core/json.ts';
import { type Answer, isJsonObject } from '../../core/mcp.ts';
import type { Connection, ConnectionLease, Relay } from '../../core/ports.ts';
import { unlessAborted, within } from '../../upstream/deadline.ts';
import type { Profile } from '../../upstream/profile.ts';
import type { Services } from '../services.ts';

export interface HostedConnectionOptions {
  readonly services: Services;
  readonly caller: Caller;
  readonly upstream: string;
  /** The upstream's own id of the task. */
  readonly taskId: string;
  /** Of the request that created the task: the connection declares it. */
  readonly profile: Profile;
  readonly relay: Relay;
  /** The connection that the task was created on; without it one is made when the upstream is asked. */
  readonly lease?: ConnectionLease;
  /** The upstream says that something changed. */
  readonly onStatus: () => void;
  /** The connection is lost, and what was asked on it has failed. */
  readonly onLost: () => void;
}

/** Holds the connection whose session owns a task, and asks on it (protocol.md section 8, "Hosted tasks"). */
export class HostedConnection {
  readonly #options: HostedConnectionOptions;
  readonly #life = new AbortController();
  #lease: ConnectionLease | undefined;
  #letGo: () => void = () => {};
  #connecting: Promise<Connection> | undefined;
  /** `tasks/result`, in flight or answered. */
  #result: Promise<Answer> | undefined;
  #stopResult = new AbortController();

  constructor(options: HostedConnectionOptions) {
    this.#options = options;
    if (options.lease !== undefined) this.#hold(options.lease);
  }

  /** Whether there is a connection, or will be at once. */
  get held(): boolean {
    return this.#lease !== undefined || this.#connecting !== undefined;
  }

  /** Asks about the task, in the time that a call may take. Throws `upstream/*`, and `task/unknown` where there are no such tasks any more. */
  ask(method: string): Promise<Answer> {
    return this.#inTime(method, (signal) => this.#send(method, signal));
  }

  async cancels(): Promise<boolean> {
    const { tasks } = (await this.#inTime('tasks/cancel', () => this.#connection())).capabilities;
    return isJsonObject(tasks) && tasks.cancel !== undefined;
  }

  /** Asks for the result and waits for it, however long: what the task asks meanwhile comes on the stream of this request (2025-11-25, "Input Required Status"). */
  awaitResult(): Promise<Answer> {
    if (this.#result === undefined) {
      const result = this.#send('tasks/result', this.#stopResult.signal);
      this.#result = result;
      result.catch(() => {
        if (this.#result === result) this.#result = undefined;
      });
    }
    return this.#result;
  }

  /** The result of a task that is over: it is there, so it must come in the time of a call. */
  async result(): Promise<Answer> {
    try {
      const early = await this.#inTime('tasks/result', (signal) => unlessAborted(this.awaitResult(), signal));
      if (early.kind === 'result') return early;
    } finally {
      // It may have been asked for before the end, and what came was about that.
      this.#forgetResult();
    }
    return this.ask('tasks/result');
  }

  /** Gives the connection back, a moment later: answers that were just given go out first. */
  end(reason: TurnpikeError): void {
    this.#life.abort(reason);
    this.#forgetResult();
    this.#options.services.clock.after(0, () => this.#drop());
  }

  #forgetResult(): void {
    this.#result = undefined;
    this.#stopResult.abort(new TurnpikeError('request/cancelled'));
    this.#stopResult = new AbortController();
  }

  #inTime<T>(method: string, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { services, upstream } = this.#options;
    const ms = services.settings.upstreams.get(upstream)?.timeouts.call ?? 0;
    const late = () => new TurnpikeError('upstream/timeout', `${method} timed out after ${ms / 1000}s`, { upstream });
    return within({ clock: services.clock, ms, late, signals: [this.#life.signal] }, (signal) => unlessAborted(work(signal), signal));
  }

  async #send(method: string, signal: AbortSignal): Promise<Answer> {
    const connection = await unlessAborted(this.#connection(), signal);
    const { taskId, relay } = this.#options;
    return connection.request({ method, params: toJson({ taskId }), capabilities: {}, progress: false, relay, signal });
  }

  async #connection(): Promise<Connection> {
    if (this.#lease !== undefined) return this.#lease.connection;
    this.#connecting ??= this.#connect().finally(() => {
      this.#connecting = undefined;
    });
    return this.#connecting;
  }

  async #connect(): Promise<Connection> {
    const { services, caller, upstream, profile } = this.#options;
    this.#life.signal.throwIfAborted();
    const lease = await services.connections.lease(upstream, caller, profile, this.#life.signal);
    if (this.#life.signal.aborted || lease.connection.era !== 'legacy') {
      lease.release('ok');
      throw new TurnpikeError('task/unknown', 'Unknown task');
    }
    this.#hold(lease);
    return lease.connection;
  }

  #hold(lease: ConnectionLease): void {
    const { connection } = lease;
    const { taskId, relay, onStatus } = this.#options;
    this.#lease = lease;
    const unclaim = connection.claimTask(taskId, relay);
    const unlisten = connection.subscribe((event) => {
      if (event.kind === 'closed') this.#lost(lease);
      else if (event.method === 'notifications/tasks/status' && namedIn(event.params) === taskId) onStatus();
    });
    this.#letGo = () => {
      unclaim();
      unlisten();
    };
    if (!connection.alive && lease.ended.aborted) this.#lost(lease);
  }

  #lost(lease: ConnectionLease): void {
    if (this.#lease !== lease) return;
    this.#drop();
    this.#options.services.clock.after(0, this.#options.onLost);
  }

  #drop(): void {
    this.#letGo();
    this.#letGo = () => {};
    this.#lease?.release('ok');
    this.#lease = undefined;
  }
}

function namedIn(params: Buffer): unknown {
  const body: unknown = JSON.parse(params.toString('utf8'));
  return isJsonObject(body) ? body.taskId : undefined;
}
