import type { Clock, Timer } from '../core/clock.ts';
import { member, memberSpans, objectOf, toJson } from '../core/json.ts';
import type { Answer, JsonObject } from '../core/mcp.ts';
import { cancelAnswer } from './answers.ts';
import { fittingAnswer } from './fitting-answers.ts';

interface Question {
  readonly method: string;
  readonly params: Buffer;
  readonly body: JsonObject;
  settle(answer: Answer): void;
}

export interface QuestionsOptions {
  readonly clock: Clock;
  /** Milliseconds in which further questions join the first one (`bridge.gatherWindow`). */
  readonly gatherWindow: number;
  /** The bytes of `inputResponses` of a request that answers nothing yet: answers that came before their questions. */
  readonly early?: Buffer | undefined;
}

/** Questions of one call that may wait at once (protocol.md section 10, "Limits and refusals"). */
export const MAX_PENDING = 16;
const KEY = /^[A-Za-z0-9_.-]{1,64}$/;

/**
 * The questions of one session upstream's call whose client can be asked by the answer to its request only: they are held,
 * leave together, and wait for the retry that answers them (protocol.md section 10, "ML").
 */
export class Questions {
  readonly #options: QuestionsOptions;
  readonly #open = new Map<string, Question>();
  readonly #early: ReadonlyMap<string, Buffer>;
  /** Keys that the client was shown in the present round: only these can be answered. */
  #shown: ReadonlySet<string> = new Set();
  readonly #used = new Set<string>();
  #round = 1;
  #asked = 0;
  #gathering: Timer | undefined;
  #ready = Promise.withResolvers<void>();
  #ended = false;

  constructor(options: QuestionsOptions) {
    this.#options = options;
    this.#early = options.early === undefined ? new Map() : responsesOf(options.early);
  }

  /** Questions that wait for an answer. */
  get size(): number {
    return this.#open.size;
  }

  /** Resolves when questions have been gathered; they leave with `take`. */
  gathered(): Promise<void> {
    return this.#ready.promise;
  }

  /** Holds a question until it is answered. Aborting `signal` takes it back. @param wished the key that the upstream proposes */
  ask(method: string, params: Buffer, signal: AbortSignal, wished?: unknown): Promise<Answer> {
    if (this.#ended || this.#open.size >= MAX_PENDING) return Promise.resolve(cancelAnswer(method));
    const body = JSON.parse(params.toString('utf8')) as JsonObject;
    const key = this.#keyFor(wished);
    const early = this.#early.get(key);
    const fitting = early && fittingAnswer(method, body, early);
    if (fitting !== undefined) return Promise.resolve({ kind: 'result', result: fitting });
    const { promise, resolve } = Promise.withResolvers<Answer>();
    const onAbort = () => question.settle(cancelAnswer(method));
    const question: Question = {
      method,
      params,
      body,
      settle: (answer) => {
        signal.removeEventListener('abort', onAbort);
        this.#open.delete(key);
        resolve(answer);
      },
    };
    this.#open.set(key, question);
    signal.addEventListener('abort', onAbort, { once: true });
    this.#gather();
    return promise;
  }

  /** The questions that wait, as the bytes of `inputRequests`: a new round. Undefined when all were taken back. */
  take(): Buffer | undefined {
    this.#gathering?.cancel();
    this.#gathering = undefined;
    this.#ready = Promise.withResolvers();
    if (this.#open.size === 0) return undefined;
    this.#round++;
    this.#asked = 0;
    this.#shown = new Set(this.#open.keys());
    return objectOf(Object.fromEntries([...this.#open].map(([key, { method, params }]) => [key, objectOf({ method: toJson(method), params })])));
  }

  /** Delivers the answers that fit; others are as if they had not come. @param responses the bytes of `inputResponses` */
  deliver(responses: Buffer): void {
    const answers = responsesOf(responses);
    for (const key of this.#shown) {
      const question = this.#open.get(key);
      const given = answers.get(key);
      if (question === undefined || given === undefined) continue;
      const fitting = fittingAnswer(question.method, question.body, given);
      if (fitting !== undefined) question.settle({ kind: 'result', result: fitting });
    }
  }

  /** Nobody answers any more (protocol.md section 10, "ML", step 9). Returns whether anything was waiting. */
  end(): boolean {
    this.#ended = true;
    this.#gathering?.cancel();
    const waiting = [...this.#open.values()];
    for (const question of waiting) question.settle(cancelAnswer(question.method));
    return waiting.length > 0;
  }

  #gather(): void {
    this.#gathering ??= this.#options.clock.after(this.#options.gatherWindow, () => {
      this.#gathering = undefined;
      // What was taken back meanwhile is no reason to answer.
      if (this.#open.size > 0) this.#ready.resolve();
    });
  }

  /** The key that the upstream proposes if it may have it, else our own. */
  #keyFor(wished: unknown): string {
    let key = typeof wished === 'string' && KEY.test(wished) ? wished : '';
    while (key === '' || this.#used.has(key)) key = `r${this.#round}-${++this.#asked}`;
    this.#used.add(key);
    return key;
  }
}

function responsesOf(responses: Buffer): Map<string, Buffer> {
  return new Map(memberSpans(responses).map(({ key, valueStart, end }) => [key, responses.subarray(valueStart, end)]));
}

/** The `inputResponses` of a request, if it has any. */
export function inputResponses(params: Buffer): Buffer | undefined {
  return member(params, 'inputResponses');
}
