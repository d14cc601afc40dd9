import { type Clock, sleep } from '../../../core/clock.ts';
import { err, ok, type Result } from '../../../core/result.ts';
import type { Origin } from '../../../net/origin.ts';
import type { Lease } from '../../../pool/lease.ts';
import { bytesOf } from './body.ts';
import { Deadline } from './deadline.ts';
import { errorOfAnswer } from './error-answer.ts';
import { GitLabError } from './gitlab-error.ts';
import { attempt, type HttpHead, type HttpRequest, NoAnswer, noAnswerOf } from './http-attempt.ts';
import { FORBIDDEN_URL } from './instance.ts';
import type { InstanceSource } from './instance-source.ts';
import { OpenAnswer } from './open-answer.ts';
import { redirectTarget } from './redirect.ts';
import { isRead, MAX_ATTEMPTS, mayRepeat, waitBefore } from './retry.ts';

/** Milliseconds (gitlab.md section 3, "Deadlines"). */
const HEADERS_MS = 20_000;
const CALL_MS = 30_000;
/** Bytes of an error's body that are read. */
const MAX_ERROR_BYTES = 64 * 1024;

export interface SenderOptions {
  readonly apiUrl: string;
  /** Of the instance: redirects stay below it. */
  readonly root: URL;
  readonly instances: InstanceSource;
  readonly clock: Clock;
  readonly random: () => number;
  readonly observe: (seen: { readonly apiUrl: string; readonly method: string; readonly status: number }) => void;
  /** What no error may show. */
  readonly hidden: () => readonly string[];
  /** Whether the credential is that of a CI/CD job. */
  readonly isJob: boolean;
}

export interface Sending extends HttpRequest {
  readonly once: boolean;
  readonly signal: AbortSignal;
}

/** Sends requests to one instance: deadlines, retries, redirects, errors (gitlab.md section 3). */
export class Sender {
  readonly #options: SenderOptions;

  constructor(options: SenderOptions) {
    this.#options = options;
  }

  /**
   * @param read called with each answer below 300 until one could be read
   * @throws `GitLabError`; the reason of the request's signal; `pool/closed`
   */
  async send<T>(request: Sending, read: (answer: OpenAnswer) => Promise<T>): Promise<T> {
    request.signal.throwIfAborted();
    const deadline = new Deadline(this.#options.clock, CALL_MS, request.signal);
    const call: Call<T> = { request, deadline, read, kept: undefined };
    try {
      return await this.#repeated(call);
    } catch (error) {
      if (request.signal.aborted) throw request.signal.reason;
      throw error;
    } finally {
      if (call.kept === undefined) deadline[Symbol.dispose]();
      else call.kept.whenClosed(() => deadline[Symbol.dispose]());
    }
  }

  async #repeated<T>(call: Call<T>): Promise<T> {
    const { request, deadline } = call;
    const { clock, random } = this.#options;
    // What a proxy answered with 502 may have run all the same.
    let mayHaveRun = false;
    for (let made = 1; ; made++) {
      const outcome: Result<T, unknown> = await this.#once(call, mayHaveRun);
      if (outcome.ok) return outcome.value;
      const failure: unknown = outcome.error;
      const wait = made < MAX_ATTEMPTS && mayRepeat(request, failure) ? waitBefore(made, failure, random()) : undefined;
      if (wait === undefined || wait >= deadline.left) throw this.#shown(failure, call);
      mayHaveRun ||= failure instanceof GitLabError;
      await sleep(clock, wait, deadline.signal);
    }
  }

  async #once<T>(call: Call<T>, mayHaveRun: boolean): Promise<Result<T, unknown>> {
    const { request, deadline, read } = call;
    const { apiUrl, instances, clock, hidden, isJob } = this.#options;
    let lease: Lease<Origin> | undefined;
    let answer: OpenAnswer | undefined;
    try {
      lease = await instances.getOrCreate(apiUrl, deadline.signal);
      let head = await this.#answered(request, lease.value, deadline.signal);
      // It is gone, as was wanted.
      if (mayHaveRun && request.method === 'DELETE' && head.status === 404) head = { ...head, status: 204 };
      answer = new OpenAnswer(head, lease, (error) => this.#shown(this.#ofBody(error, call), call));
      if (head.status < 300) {
        const value = await read(answer);
        if (answer.isKept) call.kept = answer;
        return ok(value);
      }
      const body = await bytesOf(head, MAX_ERROR_BYTES).catch(() => Buffer.alloc(0));
      return err(errorOfAnswer(head.status, head.headers, body, hidden(), clock.now(), isJob));
    } catch (error) {
      return err(answer === undefined ? error : this.#ofBody(error, call));
    } finally {
      if (answer === undefined) lease?.release('ok');
      else if (!answer.isKept) answer.end();
    }
  }

  /** The answer at the end of the redirects that are followed. */
  async #answered(request: Sending, { dispatcher }: Origin, signal: AbortSignal): Promise<HttpHead> {
    const { clock, observe, apiUrl, root } = this.#options;
    let { url } = request;
    for (let hops = 0; ; hops++) {
      const head = await attempt({ ...request, url }, { dispatcher, clock, headersMs: HEADERS_MS, signal }).catch((error: unknown) => {
        observe({ apiUrl, method: request.method, status: 0 });
        throw error;
      });
      observe({ apiUrl, method: request.method, status: head.status });
      if (head.status < 300 || head.status >= 400) {
        if (head.status !== 407) return head;
        head.body.destroy();
        throw new NoAnswer('refused', false, 'the proxy refused the request (status 407)');
      }
      head.body.destroy();
      url = redirectTarget(head, url, root, { isRead: isRead(request), hops });
    }
  }

  #ofBody(error: unknown, { request, deadline }: Call<unknown>): unknown {
    return error instanceof GitLabError ? error : noAnswerOf(error, deadline.signal, true, request.url.host);
  }

  /** A failure as callers see it. */
  #shown(failure: unknown, { request, deadline }: Call<unknown>): unknown {
    if (request.signal.aborted) return request.signal.reason;
    if (failure instanceof NoAnswer) return errorOfNoAnswer(failure, isRead(request));
    return failure === deadline.signal.reason ? late() : failure;
  }
}

interface Call<T> {
  readonly request: Sending;
  readonly deadline: Deadline;
  readonly read: (answer: OpenAnswer) => Promise<T>;
  /** The answer, if it outlives the call. */
  kept: OpenAnswer | undefined;
}

function errorOfNoAnswer({ kind, sent, message }: NoAnswer, isReading: boolean): GitLabError {
  if (kind === 'address') return new GitLabError('address_refused', FORBIDDEN_URL);
  if (sent && !isReading) return new GitLabError('outcome_unknown', 'outcome unknown; check before retrying', { hint: UNKNOWN });
  if (kind === 'aborted') return late();
  if (kind === 'timeout') return new GitLabError('timeout', message, { hint: SLOW });
  return new GitLabError('unreachable', message, { hint: UNREACHABLE });
}

function late(): GitLabError {
  return new GitLabError('timeout', `GitLab did not answer in ${CALL_MS / 1000} s`, { hint: SLOW });
}

const UNKNOWN = 'The request may have run: read what it should have changed.';
const SLOW = 'GitLab is slow or overloaded: try again later, or ask for less.';
const UNREACHABLE = 'Check that the instance is up and can be reached from here; then try again.';
