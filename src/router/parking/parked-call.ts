import type { Timer } from '../../core/clock.ts';
import { asTurnpikeError, TurnpikeError } from '../../core/errors.ts';
import type { Exchange } from '../../core/exchange.ts';
import { canonicalJson } from '../../core/json.ts';
import type { Answer } from '../../core/mcp.ts';
import { lengthOf } from '../../core/pieced-result.ts';
import { sha256 } from '../../core/secret.ts';
import type { Call } from '../attempt.ts';
import { invalidState } from '../carried-state.ts';
import { finish, inputRequired } from '../finish.ts';
import type { Questions } from '../questions/pending-questions.ts';
import { sealState } from '../request-state.ts';
import { type Played, tooManyRounds } from '../rounds.ts';
import type { Parked, ParkingLot } from './parking-lot.ts';

/** One round of questions: answered by one set of answers; the same set again gets the same answer (security class 18). */
interface Round {
  digest?: string;
  answer?: Promise<Answer>;
}

type Outcome = { readonly played: Played } | { readonly error: unknown };

interface Visitor {
  readonly exchange: Exchange;
  readonly onAbort: () => void;
}

export interface ParkedCallOptions {
  readonly call: Call;
  readonly questions: Questions;
  readonly lot: ParkingLot;
  /** The call, begun; its `life` ends with it. */
  readonly playing: Promise<Played>;
  /** As of `finish`. */
  readonly recalls: number;
}

const NO_RESPONSES = Buffer.from('{}');

/**
 * A call that a stateless client makes at a session upstream. It begins as any other; when the upstream asks, the client's
 * request is answered `input_required` and the call stays open without one, until a retry continues it (protocol.md
 * section 10, "ML").
 */
export class ParkedCall implements Parked {
  readonly #call: Call;
  readonly #questions: Questions;
  readonly #lot: ParkingLot;
  readonly #recalls: number;
  /** Resolves when the call is over, well or not. */
  readonly #running: Promise<void>;
  /** By their numbers, the first one at 1. */
  #rounds: readonly (Round | undefined)[] = [];
  /** The requests that wait for it. */
  #visitors: readonly Visitor[] = [];
  #id: string | undefined;
  #round = 0;
  #patience: Timer | undefined;
  #outcome: Outcome | undefined;

  constructor({ call, questions, lot, playing, recalls }: ParkedCallOptions) {
    this.#call = call;
    this.#questions = questions;
    this.#lot = lot;
    this.#recalls = recalls;
    this.#running = playing.then(
      (played) => this.#ended({ played }),
      (error: unknown) => this.#ended({ error }),
    );
  }

  /** Of its handles: 128 random bits, drawn when the first one is made. */
  get id(): string {
    this.#id ??= this.#lot.newId();
    return this.#id;
  }

  get upstream(): string {
    return this.#call.request.upstream;
  }

  get caller(): Exchange['caller'] {
    return this.#call.exchange.caller;
  }

  /** The first request. Throws as `send`; `upstream/capacity` when too many calls wait, `bridge/rounds`. */
  begin(exchange: Exchange): Promise<Answer> {
    // The relay knows it already.
    this.#enter(exchange);
    return this.#visit(exchange);
  }

  /**
   * A retry. The same one twice gets the same answer; answers other than those a handle was used with, or a handle that was
   * used too long ago: `state/invalid`. Otherwise as `begin`.
   * @param responses the bytes of `inputResponses`
   */
  async resume(exchange: Exchange, number: number, responses = NO_RESPONSES): Promise<Answer> {
    const round = this.#rounds[number];
    const digest = digestOf(responses);
    if (round === undefined || (round.digest !== undefined && round.digest !== digest)) throw invalidState();
    // One that nobody waits for uses nothing up, and ends nothing that waits for another.
    if (exchange.signal.aborted) throw asTurnpikeError(exchange.signal.reason);
    this.#call.relay.join(exchange);
    this.#enter(exchange);
    if (round.answer === undefined) {
      round.digest = digest;
      round.answer = this.#continued(exchange, number, responses);
      // Kept for whoever repeats the request.
      round.answer.catch(() => {});
      return round.answer;
    }
    try {
      return await round.answer;
    } finally {
      this.#leave(exchange);
    }
  }

  /** Nobody comes back: what was asked is answered in the client's stead, then the call is cancelled. */
  async end(reason: unknown = new TurnpikeError('request/cancelled')): Promise<void> {
    this.#rounds = [];
    this.#forget();
    this.#stop(reason);
    await this.#running;
  }

  #ended(outcome: Outcome): void {
    const { relay, life } = this.#call;
    this.#outcome = outcome;
    relay.end();
    life[Symbol.dispose]();
    this.#questions.wake();
    this.#forgetIfSpent();
  }

  #stop(reason: unknown): void {
    const { services, life } = this.#call;
    this.#patience?.cancel();
    const cancel = () => life.abort(reason);
    // The upstream hears these answers before it hears that they do not matter any more.
    if (this.#questions.end()) services.clock.after(0, cancel);
    else cancel();
  }

  async #continued(exchange: Exchange, number: number, responses: Buffer): Promise<Answer> {
    const { services, life } = this.#call;
    this.#patience?.cancel();
    life.deadline.resume();
    if (this.#outcome === undefined) this.#questions.deliver(responses);
    let bytes = 0;
    try {
      const answer = await this.#visit(exchange);
      bytes = lengthOf(answer);
      return answer;
    } finally {
      const drop = this.#lot.keep(exchange.caller, bytes, () => {
        this.#rounds = this.#rounds.map((round, at) => (at === number ? undefined : round));
        this.#forgetIfSpent();
      });
      services.clock.after(services.settings.bridge.replayWindow, drop);
    }
  }

  /** Until the upstream has answered, or has asked. */
  async #visit(exchange: Exchange): Promise<Answer> {
    try {
      for (;;) {
        // What was not answered, or was asked meanwhile, is asked (again) at once.
        if (this.#outcome === undefined && this.#questions.size === 0) await this.#questions.gathered();
        if (this.#outcome !== undefined) return this.#finished(exchange, this.#outcome);
        const requests = this.#questions.take();
        if (requests !== undefined) return this.#park(exchange, requests);
      }
    } finally {
      this.#leave(exchange);
    }
  }

  #finished(exchange: Exchange, outcome: Outcome): Answer {
    this.#lot.leave(this);
    if ('error' in outcome) throw outcome.error;
    return finish(this.#call, exchange, outcome.played, this.#recalls);
  }

  #park(exchange: Exchange, requests: Buffer): Answer {
    const { services, request, life } = this.#call;
    const { bridge } = services.settings;
    if (this.#round >= bridge.maxRounds) {
      this.#giveUp();
      throw tooManyRounds(this.#call);
    }
    if (!this.#lot.admit(this)) {
      this.#giveUp();
      services.instruments.bridgeRefused('parked').add();
      throw new TurnpikeError('upstream/capacity', 'Too many calls are waiting for input.', { upstream: request.upstream });
    }
    services.instruments.bridgeRounds('modern', 'legacy').add();
    this.#round++;
    // Small and of exactly this size: thousands of calls may wait.
    this.#rounds = this.#round === 1 ? [undefined, {}] : [...this.#rounds, {}];
    // No time of the call is spent while nobody waits for it.
    life.deadline.pause();
    this.#patience = services.clock.after(bridge.stateTtl, () => {
      services.instruments.bridgeRefused('expired').add();
      void this.end();
    });
    const state = sealState(services, exchange, request, { kind: 'park', node: this.#lot.node, id: this.id, round: this.#round });
    return inputRequired(this.#call, requests, state);
  }

  /** The call ends; what its retries were answered stays for whoever repeats them. */
  #giveUp(): void {
    this.#lot.leave(this);
    this.#stop(new TurnpikeError('request/cancelled'));
  }

  /** Nobody can come any more: no round waits, and none is kept. */
  #forgetIfSpent(): void {
    if (this.#outcome !== undefined && this.#rounds.every((round) => round === undefined)) this.#forget();
  }

  /** One that never waited was never written down. */
  #forget(): void {
    if (this.#id !== undefined) this.#lot.forget(this);
  }

  #enter(exchange: Exchange): void {
    const onAbort = () => {
      this.#leave(exchange);
      // One who repeats a request may have lost the connection of the first: only the last one to leave cancels.
      if (this.#visitors.length === 0) void this.end(exchange.signal.reason);
    };
    this.#visitors = [...this.#visitors, { exchange, onAbort }];
    if (exchange.signal.aborted) onAbort();
    else exchange.signal.addEventListener('abort', onAbort, { once: true });
  }

  #leave(exchange: Exchange): void {
    for (const visitor of this.#visitors) if (visitor.exchange === exchange) exchange.signal.removeEventListener('abort', visitor.onAbort);
    this.#visitors = this.#visitors.filter((visitor) => visitor.exchange !== exchange);
    this.#call.relay.leave(exchange);
  }
}

/** Equal answers are the same answers, however they are written. */
function digestOf(responses: Buffer): string {
  try {
    return sha256(canonicalJson(responses)).toString('base64url');
  } catch {
    return sha256(responses).toString('base64url');
  }
}
