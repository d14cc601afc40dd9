import type { Caller } from '../../core/caller.ts';
import { sleep, type Timer } from '../../core/clock.ts';
import { TurnpikeError } from '../../core/errors.ts';
import { editObject, toJson } from '../../core/json.ts';
import { isJsonObject, type JsonObject, RPC } from '../../core/mcp.ts';
import type { ConnectionLease } from '../../core/ports.ts';
import { unlessAborted } from '../../upstream/deadline.ts';
import type { Profile } from '../../upstream/profile.ts';
import { Questions } from '../questions/pending-questions.ts';
import type { Services } from '../services.ts';
import { HostedConnection } from './hosted-connection.ts';
import { HostedRelay } from './hosted-relay.ts';
import type { LiveTask, TaskHooks } from './hosted-tasks.ts';
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
  /** The connection that the task was created on. */
  readonly lease?: ConnectionLease;
  /** As it was created, if that was now. */
  readonly created?: CreatedTask;
}

/** How often an upstream is asked by us when nobody else does. Milliseconds. */
const IDLE_POLL_MS = 30_000;
/** The same, when somebody wants to hear of changes. Milliseconds. */
const WATCHED_POLL = { least: 1_000, most: 5_000 } as const;
/** The first look after the creation, at the latest. Milliseconds. */
const FIRST_LOOK_MS = 1_000;
/** How long the questions of a task that waits for input may take to come. Milliseconds. */
const QUESTION_MS = 1_000;
/** How soon a task is looked at whose result came. Milliseconds. */
const SETTLED_MS = 100;

/**
 * One task of a session upstream for a client without a session, while it lives in this process: asks the upstream how it
 * stands when the client wants to know, and now and then by itself; keeps the task's questions until the client answers
 * (protocol.md section 8, "Hosted tasks").
 */
export class HostedTask implements LiveTask {
  readonly #options: HostedTaskOptions;
  readonly #questions: Questions;
  readonly #connection: HostedConnection;
  readonly #expiry: Timer;
  readonly #listeners = new Set<(detail: Buffer) => void>();
  #refreshing: Promise<void> | undefined;
  #watch: Timer | undefined;
  #over = false;
  /** How it stands, as a modern client reads it, and as bytes. */
  #task: JsonObject = {};
  #bytes: Buffer | undefined;
  #ended: Buffer | undefined;
  #told: Buffer | undefined;

  constructor(options: HostedTaskOptions) {
    const { services, caller, upstream, profile, expiresAt, created } = options;
    const { clock, settings } = services;
    this.#options = options;
    this.#questions = new Questions(clock, settings.bridge.gatherWindow);
    const relay = new HostedRelay({ services, caller, upstream, profile, questions: this.#questions });
    if (created !== undefined) this.#note(created.task);
    // Whoever listens knows that much.
    this.#told = created?.task;
    this.#connection = new HostedConnection({ ...options, relay, onStatus: () => this.#watchIn(0), onLost: () => this.#endIfIdle() });
    this.#expiry = clock.after(Math.max(0, expiresAt - clock.now()), () => this.end());
    this.#awaitQuestions();
    // What ended at once may have said so before anybody listened.
    this.#watchIn(created === undefined ? IDLE_POLL_MS : pollInterval(this.#task, 0, FIRST_LOOK_MS));
  }

  async detail(signal: AbortSignal): Promise<Buffer> {
    await this.#during(signal, () => this.#refresh());
    if (this.#task.status === 'input_required' && this.#questions.size === 0) await this.#questionsCome(signal);
    return this.#compose();
  }

  async update(responses: Buffer, signal: AbortSignal): Promise<void> {
    // Nothing waits that was asked in this process: what the upstream waits for has to be found out first.
    if (this.#questions.size === 0) await this.#during(signal, () => this.#refresh());
    this.#questions.deliver(responses);
  }

  cancel(signal: AbortSignal): Promise<void> {
    return this.#during(signal, async () => {
      const answer = (await this.#connection.cancels()) ? await this.#connection.ask('tasks/cancel') : undefined;
      // What an error means, the upstream shows when it is asked for the task.
      if (answer?.kind === 'result') await this.#take(answer.result);
      else await this.#refresh();
    });
  }

  listen(listener: (detail: Buffer) => void): () => void {
    this.#listeners.add(listener);
    this.#watchIn(WATCHED_POLL.least);
    return () => {
      this.#listeners.delete(listener);
      this.#endIfIdle();
    };
  }

  end(reason = unknown()): void {
    if (this.#over) return;
    this.#over = true;
    this.#expiry.cancel();
    this.#watch?.cancel();
    this.#listeners.clear();
    this.#questions.end();
    this.#connection.end(reason);
    this.#options.onEnd(this.#ended);
  }

  async #during(signal: AbortSignal, work: () => Promise<void>): Promise<void> {
    const running = work();
    // Whoever asked may be gone when it fails.
    running.catch(() => {});
    try {
      await unlessAborted(running, signal);
    } finally {
      this.#endIfIdle();
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
    const answer = await this.#connection.ask('tasks/get');
    if (answer.kind === 'result') return this.#take(answer.result);
    const reason = answer.error.toString('utf8');
    if (answer.code !== RPC.invalidParams && answer.code !== RPC.methodNotFound)
      throw new TurnpikeError('upstream/protocol', `upstream '${upstream}' could not say how the task stands`, { upstream, reason });
    onGone();
    this.end();
    throw unknown();
  }

  /** What the upstream says of the task now. */
  async #take(bytes: Buffer): Promise<void> {
    const { services, upstream } = this.#options;
    const body: unknown = JSON.parse(bytes.toString('utf8'));
    const { task, status } = readTask(bytes, isJsonObject(body) ? body : {}, upstream, services.clock);
    if (this.#ended !== undefined) return;
    this.#note(task);
    if (status === 'input_required') this.#hear();
    if (isOver(status)) await this.#finish(task, status);
    this.#tell();
  }

  #note(task: Buffer): void {
    this.#bytes = task;
    this.#task = JSON.parse(task.toString('utf8')) as JsonObject;
  }

  /** Lets the upstream ask, and learns soon when it is done. */
  #hear(): void {
    this.#connection.awaitResult().then(
      () => this.#watchIn(SETTLED_MS),
      () => {},
    );
  }

  async #finish(task: Buffer, status: string): Promise<void> {
    this.#questions.end();
    const { status: ended, ...members } = status === 'cancelled' ? { status } : endOf(await this.#connection.result(), status);
    if (this.#ended !== undefined) return;
    this.#ended = editObject(task, { status: toJson(ended), ...members });
    this.#tell();
    this.end();
  }

  #compose(): Buffer {
    if (this.#ended !== undefined) return this.#ended;
    if (this.#bytes === undefined) throw unknown();
    const inputRequests = this.#questions.take();
    this.#awaitQuestions();
    if (inputRequests !== undefined) return editObject(this.#bytes, { status: toJson('input_required'), inputRequests });
    // It waits for what the client cannot be asked, or has answered just now.
    return this.#task.status === 'input_required' ? editObject(this.#bytes, { status: toJson('working') }) : this.#bytes;
  }

  #awaitQuestions(): void {
    void this.#questions.gathered().then(() => this.#tell());
  }

  async #questionsCome(signal: AbortSignal): Promise<void> {
    const stop = new AbortController();
    const patience = sleep(this.#options.services.clock, QUESTION_MS, stop.signal);
    patience.catch(() => {});
    try {
      await unlessAborted(Promise.race([this.#questions.gathered(), this.#connection.awaitResult(), patience]), signal);
    } catch (error) {
      if (signal.aborted) throw error;
    } finally {
      stop.abort(new TurnpikeError('request/cancelled'));
    }
  }

  #tell(): void {
    if (this.#over || this.#bytes === undefined) return;
    const detail = this.#compose();
    if (this.#told?.equals(detail)) return;
    this.#told = detail;
    for (const listener of [...this.#listeners]) listener(detail);
  }

  #watchIn(ms: number): void {
    this.#watch?.cancel();
    if (this.#over) return;
    this.#watch = this.#options.services.clock.after(ms, () => void this.#watched());
  }

  async #watched(): Promise<void> {
    await this.#refresh().catch(() => {});
    this.#endIfIdle();
    const { least, most } = WATCHED_POLL;
    this.#watchIn(this.#listeners.size > 0 ? pollInterval(this.#task, least, most) : IDLE_POLL_MS);
  }

  /** Without a connection nothing of it lives here, and the record leads back to it. Whoever listens keeps it. */
  #endIfIdle(): void {
    if (!this.#connection.held && this.#refreshing === undefined && this.#listeners.size === 0) this.end();
  }
}

function unknown(): TurnpikeError {
  return new TurnpikeError('task/unknown', 'Unknown task');
}
