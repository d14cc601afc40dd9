import type { Caller } from '../core/caller.ts';
import { sleep, type Timer } from '../core/clock.ts';
import { TurnpikeError } from '../core/errors.ts';
import { editObject, toJson } from '../core/json.ts';
import { type Answer, isJsonObject, type JsonObject, RPC } from '../core/mcp.ts';
import type { Connection, ConnectionLease } from '../core/ports.ts';
import { unlessAborted, within } from '../upstream/deadline.ts';
import type { Profile } from '../upstream/profile.ts';
import { HostedRelay } from './hosted-relay.ts';
import type { LiveTask, TaskHooks } from './hosted-tasks.ts';
import { Questions } from './pending-questions.ts';
import type { Services } from './services.ts';
import { type CreatedTask, endOf, isOver, pollInterval, readTask } from './task-shapes.ts';

export interface HostedTaskOptions extends TaskHooks {
  readonly services: Services;
  readonly caller: Caller;
  readonly upstream: string;
  /** The upstream's own id. */
  readonly taskId: string;
  /** Of the request that created it. */
  readonly profile: Profile;
  /** When the task is given up. Milliseconds since the epoch. */
  readonly expiresAt: number;
  /** The connection that the task was created on; without it one is made when the upstream has to be asked. */
  readonly lease?: ConnectionLease;
  /** As it was created, if that was now. */
  readonly created?: CreatedTask;
}

/** How often an upstream is asked by us when nobody else does, and when somebody wants to hear of changes. Milliseconds. */
const IDLE_POLL_MS = 30_000;
const WATCHED_POLL = { least: 1_000, most: 5_000 } as const;
/** How long the questions of a task that waits for input may take to come. */
const QUESTION_MS = 1_000;
/** How soon a task is looked at whose result came. */
const SETTLED_MS = 100;

/**
 * One task of a session upstream for a client without a session, while it lives in this process: holds the connection whose
 * session owns the task, asks the upstream how it stands, and keeps its questions until the client answers (protocol.md
 * section 8, "Hosted tasks").
 */
export class HostedTask implements LiveTask {
  readonly #options: HostedTaskOptions;
  readonly #questions: Questions;
  readonly #relay: HostedRelay;
  readonly #life = new AbortController();
  readonly #expiry: Timer;
  readonly #listeners = new Set<(detail: Buffer) => void>();
  #lease: ConnectionLease | undefined;
  #letGo: () => void = () => {};
  #connecting: Promise<Connection> | undefined;
  #refreshing: Promise<void> | undefined;
  #watch: Timer | undefined;
  /** How it stands, as a modern client reads it. */
  #task: JsonObject = {};
  #bytes: Buffer | undefined;
  /** `tasks/result` in flight, or what it brought. */
  #result: Promise<Answer> | undefined;
  #stopResult = new AbortController();
  #ended: Buffer | undefined;
  #told: Buffer | undefined;

  constructor(options: HostedTaskOptions) {
    const { services, caller, upstream, profile, expiresAt, lease } = options;
    const { clock, settings } = services;
    this.#options = options;
    this.#questions = new Questions({ clock, gatherWindow: settings.bridge.gatherWindow });
    this.#relay = new HostedRelay({ services, caller, upstream, profile, questions: this.#questions });
    this.#expiry = clock.after(Math.max(0, expiresAt - clock.now()), () => this.end());
    if (options.created !== undefined) this.#note(options.created.task);
    if (lease !== undefined) this.#hold(lease);
    this.#awaitQuestions();
    this.#watchIn(IDLE_POLL_MS);
  }

  /**
   * How the task stands, as the result of `tasks/get` under the upstream's id. Throws `task/unknown`, `upstream/*`.
   */
  async detail(signal: AbortSignal): Promise<Buffer> {
    await this.#while(signal, () => this.#refresh());
    if (this.#task.status === 'input_required' && this.#questions.size === 0) await this.#questionsCome(signal);
    return this.#compose();
  }

  /** Delivers the answers that fit questions the client has seen. @param responses the bytes of `inputResponses` */
  async update(responses: Buffer, signal: AbortSignal): Promise<void> {
    // Nothing was asked in this process: what the upstream waits for has to be found out first.
    if (this.#questions.size === 0) await this.#while(signal, () => this.#refresh());
    this.#questions.deliver(responses);
  }

  /** Asks the upstream to cancel; a task that is over is left as it is. Throws `task/unknown`, `upstream/*`. */
  cancel(signal: AbortSignal): Promise<void> {
    return this.#while(signal, async () => {
      const { tasks } = (await this.#connection()).capabilities;
      const answer = isJsonObject(tasks) && tasks.cancel !== undefined ? await this.#ask('tasks/cancel') : undefined;
      // What an error means, the upstream shows when it is asked for the task.
      if (answer?.kind === 'result') await this.#take(answer.result);
      else await this.#refresh();
    });
  }

  /** Hears of every change from now on, until the returned function is called. */
  listen(listener: (detail: Buffer) => void): () => void {
    this.#listeners.add(listener);
    this.#watchIn(WATCHED_POLL.least);
    return () => {
      this.#listeners.delete(listener);
      this.#endIfUnheld();
    };
  }

  /** Gives the task up: questions are answered in the client's stead, nothing is held any more. The upstream's task goes on. */
  end(): void {
    if (this.#life.signal.aborted) return;
    this.#expiry.cancel();
    this.#watch?.cancel();
    this.#questions.end();
    this.#life.abort(new TurnpikeError('request/cancelled'));
    this.#stopResult.abort(new TurnpikeError('request/cancelled'));
    this.#listeners.clear();
    // The upstream hears the answers before it hears that nobody waits any more.
    this.#options.services.clock.after(0, () => this.#drop('ok'));
    this.#options.onEnd(this.#ended);
  }

  async #while(signal: AbortSignal, work: () => Promise<void>): Promise<void> {
    const running = work();
    try {
      await unlessAborted(running, signal);
    } catch (error) {
      running.catch(() => {});
      throw error;
    } finally {
      this.#endIfUnheld();
    }
  }

  /** One look for all who want to know. */
  #refresh(): Promise<void> {
    this.#refreshing ??= this.#look().finally(() => {
      this.#refreshing = undefined;
    });
    return this.#refreshing;
  }

  async #look(): Promise<void> {
    if (this.#ended !== undefined) return;
    const { upstream, onGone } = this.#options;
    const answer = await this.#ask('tasks/get');
    if (answer.kind === 'result') return this.#take(answer.result);
    if (answer.code === RPC.invalidParams || answer.code === RPC.methodNotFound) {
      onGone();
      this.end();
      throw new TurnpikeError('task/unknown', 'Unknown task');
    }
    throw new TurnpikeError('upstream/protocol', `upstream '${upstream}' could not say how the task stands`, {
      upstream,
      reason: answer.error.toString('utf8'),
    });
  }

  /** What the upstream says of the task now. */
  async #take(bytes: Buffer): Promise<void> {
    const { services, upstream } = this.#options;
    const body: unknown = JSON.parse(bytes.toString('utf8'));
    const { task, status } = readTask(bytes, isJsonObject(body) ? body : {}, upstream, services.clock);
    this.#note(task);
    if (status === 'input_required') void this.#fetch();
    if (isOver(status)) await this.#finish(status);
    this.#tell();
  }

  #note(task: Buffer): void {
    this.#bytes = task;
    this.#task = JSON.parse(task.toString('utf8')) as JsonObject;
  }

  /** Asks for the result: it comes when the task is over, and what the task asks meanwhile comes on its stream (2025-11-25, "input_required"). */
  #fetch(): Promise<Answer> {
    this.#result ??= this.#send('tasks/result', this.#stopResult.signal).then(
      (answer) => {
        this.#watchIn(SETTLED_MS);
        return answer;
      },
      (error: unknown) => {
        this.#result = undefined;
        throw error;
      },
    );
    // Perhaps nobody waits for it yet.
    this.#result.catch(() => {});
    return this.#result;
  }

  async #finish(status: string): Promise<void> {
    this.#questions.end();
    let ending: ReturnType<typeof endOf> | { readonly status: string } = { status };
    if (status !== 'cancelled') {
      ending = endOf(await this.#outcome(), status);
    }
    if (this.#ended !== undefined || this.#bytes === undefined) return;
    const { status: ended, ...members } = ending;
    this.#task = { ...this.#task, status: ended };
    this.#ended = editObject(this.#bytes, { status: toJson(ended), ...members });
    this.#tell();
    this.end();
  }

  /** The result of a task that is over: it is there, so it must come in the time of a call. */
  async #outcome(): Promise<Answer> {
    const early = await this.#inTime(
      'tasks/result',
      (signal) => unlessAborted(this.#fetch(), signal),
      () => {
        this.#stopResult.abort(new TurnpikeError('request/cancelled'));
        this.#stopResult = new AbortController();
        this.#result = undefined;
      },
    );
    if (early.kind === 'result') return early;
    // It may have been asked for before the end, and the error was about that.
    this.#result = undefined;
    return this.#inTime('tasks/result', (signal) => this.#send('tasks/result', signal));
  }

  #compose(): Buffer {
    if (this.#ended !== undefined) return this.#ended;
    if (this.#bytes === undefined) throw new TurnpikeError('task/unknown', 'Unknown task');
    const inputRequests = this.#questions.take();
    this.#awaitQuestions();
    const asks = this.#task.status === 'input_required';
    if (inputRequests !== undefined) return editObject(this.#bytes, { status: toJson('input_required'), inputRequests });
    // It waits for what the client was not asked, or has just answered.
    return asks ? editObject(this.#bytes, { status: toJson('working') }) : this.#bytes;
  }

  #awaitQuestions(): void {
    void this.#questions.gathered().then(() => this.#tell());
  }

  async #questionsCome(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options.services;
    const stop = new AbortController();
    const come = [this.#questions.gathered(), this.#fetch().catch(() => {}), sleep(clock, QUESTION_MS, stop.signal)];
    try {
      await unlessAborted(Promise.race(come), signal);
    } finally {
      stop.abort(new TurnpikeError('request/cancelled'));
      come[2]?.catch(() => {});
    }
  }

  #tell(): void {
    if (this.#life.signal.aborted || this.#bytes === undefined) return;
    const detail = this.#compose();
    if (this.#told?.equals(detail)) return;
    this.#told = detail;
    for (const listener of [...this.#listeners]) listener(detail);
  }

  #watchIn(ms: number): void {
    this.#watch?.cancel();
    if (this.#life.signal.aborted) return;
    this.#watch = this.#options.services.clock.after(ms, () => {
      this.#refresh()
        .catch(() => {})
        .finally(() => {
          const { least, most } = WATCHED_POLL;
          this.#endIfUnheld();
          this.#watchIn(this.#listeners.size > 0 ? pollInterval(this.#task, least, most) : IDLE_POLL_MS);
        });
    });
  }

  #ask(method: string): Promise<Answer> {
    return this.#inTime(method, (signal) => this.#send(method, signal));
  }

  #inTime(method: string, work: (signal: AbortSignal) => Promise<Answer>, onLate = () => {}): Promise<Answer> {
    const { services, upstream } = this.#options;
    const ms = services.settings.upstreams.get(upstream)?.timeouts.call ?? 0;
    const late = () => {
      onLate();
      return new TurnpikeError('upstream/timeout', `${method} timed out after ${ms / 1000}s`, { upstream });
    };
    return within({ clock: services.clock, ms, late, signals: [this.#life.signal] }, work);
  }

  async #send(method: string, signal: AbortSignal): Promise<Answer> {
    const connection = await unlessAborted(this.#connection(), signal);
    const params = toJson({ taskId: this.#options.taskId });
    return connection.request({ method, params, capabilities: {}, progress: false, relay: this.#relay, signal });
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
    const { taskId } = this.#options;
    this.#lease = lease;
    const unclaim = connection.claimTask(taskId, this.#relay);
    const unlisten = connection.subscribe((event) => {
      if (event.kind === 'closed') this.#lost(lease);
      else if (event.method === 'notifications/tasks/status' && namedIn(event.params) === taskId) this.#watchIn(0);
    });
    this.#letGo = () => {
      unclaim();
      unlisten();
    };
    if (lease.ended.aborted) this.#lost(lease);
  }

  #lost(lease: ConnectionLease): void {
    if (this.#lease !== lease) return;
    this.#result = undefined;
    this.#drop('ok');
    // What runs on it fails first.
    this.#options.services.clock.after(0, () => this.#endIfUnheld());
  }

  #drop(outcome: 'ok' | 'transport-error'): void {
    this.#letGo();
    this.#letGo = () => {};
    this.#lease?.release(outcome);
    this.#lease = undefined;
  }

  /** Without a connection nothing of it lives here: the record leads back to it. Whoever listens keeps it. */
  #endIfUnheld(): void {
    if (this.#lease === undefined && this.#connecting === undefined && this.#refreshing === undefined && this.#listeners.size === 0) this.end();
  }
}

function namedIn(params: Buffer): unknown {
  const body: unknown = JSON.parse(params.toString('utf8'));
  return isJsonObject(body) ? body.taskId : undefined;
}
