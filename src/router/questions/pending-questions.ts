import type { Clock, Timer } from '../../core/clock.ts';
import { memberSpans, objectOf, toJson } from '../../core/json.ts';
import type { Answer, JsonObject } from '../../core/mcp.ts';
import { cancelAnswer } from './answers.ts';
import { fittingAnswer } from './fitting-answers.ts';

/** One question that waits. An object, and no functions that remember each other: thousands may wait for long. */
class Question {
  readonly method: string;
  /** Its params as text: bytes would hold what they were read in. */
  readonly params: string;
  /** The round in which the client was shown it: only then it can be answered. */
  shown = 0;
  readonly answer: Promise<Answer>;
  readonly #signal: AbortSignal;
  #resolve: (answer: Answer) => void = () => {};
  readonly #holder: Questions;

  /** @param signal takes it back */
  constructor(method: string, params: string, signal: AbortSignal, holder: Questions) {
    this.method = method;
    this.params = params;
    this.#signal = signal;
    this.#holder = holder;
    this.answer = new Promise((resolve) => {
      this.#resolve = resolve;
    });
    signal.addEventListener('abort', this, { once: true });
  }

  /** Its signal aborted. */
  handleEvent(): void {
    this.settle(cancelAnswer(this.method));
  }

  settle(answer: Answer): void {
    this.#signal.removeEventListener('abort', this);
    this.#holder.settled(this);
    this.#resolve(answer);
  }
}

/** Questions of one call that may wait at once (protocol.md section 10, "Limits and refusals"). */
export const MAX_PENDING = 16;
const KEY = /^[A-Za-z0-9_.-]{1,64}$/;

/**
 * The questions of one session upstream's call whose client can be asked by the answer to its request only: they are held,
 * leave together, and wait for the retry that answers them (protocol.md section 10, "ML").
 */
export class Questions {
  readonly #clock: Clock;
  readonly #gatherWindow: number;
  readonly #open = new Map<string, Question>();
  readonly #early: ReadonlyMap<string, Buffer> | undefined;
  /** Keys that upstreams proposed and got. */
  #proposed: Set<string> | undefined;
  #round = 1;
  #asked = 0;
  #gathering: Timer | undefined;
  /** Made when somebody waits for questions. */
  #ready: PromiseWithResolvers<void> | undefined;
  #isReady = false;
  #ended = false;

  /**
   * @param gatherWindow milliseconds in which further questions join the first one (`bridge.gatherWindow`)
   * @param early the bytes of `inputResponses` of a request that answers nothing yet: answers that came before their questions
   */
  constructor(clock: Clock, gatherWindow: number, early?: Buffer) {
    this.#clock = clock;
    this.#gatherWindow = gatherWindow;
    this.#early = early && responsesOf(early);
  }

  /** Questions that wait for an answer. */
  get size(): number {
    return this.#open.size;
  }

  /** Resolves when questions have been gathered; they leave with `take`. */
  gathered(): Promise<void> {
    if (this.#isReady) return Promise.resolve();
    this.#ready ??= Promise.withResolvers();
    return this.#ready.promise;
  }

  /** Holds a question until it is answered. Aborting `signal` takes it back. @param wished the key that the upstream proposes */
  ask(method: string, params: Buffer, signal: AbortSignal, wished?: unknown): Promise<Answer> {
    if (this.#ended || this.#open.size >= MAX_PENDING) return Promise.resolve(cancelAnswer(method));
    const text = params.toString('utf8');
    const key = this.#keyFor(wished);
    const early = this.#early?.get(key);
    const fitting = early && fittingAnswer(method, JSON.parse(text) as JsonObject, early);
    if (fitting !== undefined) return Promise.resolve({ kind: 'result', result: fitting });
    const question = new Question(method, text, signal, this);
    this.#open.set(key, question);
    this.#gather();
    return question.answer;
  }

  /** The questions that wait, as the bytes of `inputRequests`: a new round. Undefined when all were taken back. */
  take(): Buffer | undefined {
    this.#gathering?.cancel();
    this.#gathering = undefined;
    this.#isReady = false;
    this.#ready = undefined;
    if (this.#open.size === 0) return undefined;
    this.#round++;
    this.#asked = 0;
    const requests = [...this.#open].map(([key, question]) => {
      question.shown = this.#round;
      return [key, objectOf({ method: toJson(question.method), params: Buffer.from(question.params) })] as const;
    });
    return objectOf(Object.fromEntries(requests));
  }

  /** Delivers the answers that fit; others are as if they had not come. @param responses the bytes of `inputResponses` */
  deliver(responses: Buffer): void {
    const answers = responsesOf(responses);
    for (const [key, question] of [...this.#open]) {
      const given = answers.get(key);
      if (question.shown !== this.#round || given === undefined) continue;
      const fitting = fittingAnswer(question.method, JSON.parse(question.params) as JsonObject, given);
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
    this.#gathering ??= this.#clock.after(this.#gatherWindow, () => {
      this.#gathering = undefined;
      // What was taken back meanwhile is no reason to answer.
      if (this.#open.size > 0) this.wake();
    });
  }

  /** Wakes whoever waits for questions: there is something else to see. */
  wake(): void {
    this.#isReady = true;
    this.#ready?.resolve();
  }

  /** Called by a question that is over. */
  settled(over: Question): void {
    for (const [key, question] of this.#open) if (question === over) this.#open.delete(key);
  }

  /** Keys of ours are counted, not kept: of an earlier round all are as good as used. */
  #isUsed(key: string): boolean {
    const [, round, number] = OWN_KEY.exec(key) ?? [];
    const isOurs = Number(round) < this.#round || (Number(round) === this.#round && Number(number) <= this.#asked);
    return isOurs || this.#proposed?.has(key) === true;
  }

  /** The key that the upstream proposes if it may have it, else our own. */
  #keyFor(wished: unknown): string {
    if (typeof wished === 'string' && KEY.test(wished) && !this.#isUsed(wished)) {
      this.#proposed ??= new Set();
      this.#proposed.add(wished);
      return wished;
    }
    let key: string;
    do key = `r${this.#round}-${++this.#asked}`;
    while (this.#proposed?.has(key));
    return key;
  }
}

const OWN_KEY = /^r([1-9]\d{0,8})-([1-9]\d{0,8})$/;

function responsesOf(responses: Buffer): Map<string, Buffer> {
  return new Map(memberSpans(responses).map(({ key, valueStart, end }) => [key, responses.subarray(valueStart, end)]));
}
