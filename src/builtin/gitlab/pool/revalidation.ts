import type { Clock } from '../../../core/clock.ts';
import { CredentialRejectedError } from './errors.ts';
import { Gate } from './gate.ts';
import { askIdentity, patiently } from './identity.ts';
import type { Member } from './member.ts';

export interface RevalidationOptions<S> {
  readonly clock: Clock;
  /** Milliseconds between two questions about one credential; 0 or less: only when something makes it suspect. */
  readonly interval: number;
  /** From 0 up to 1. */
  readonly random: () => number;
  /** The credential is not good any more, or somebody else's. */
  readonly onRejected: (member: Member<S>, error: CredentialRejectedError) => void;
  readonly onOutcome: (member: Member<S>, outcome: RevalidationOutcome, error?: unknown) => void;
}

export type RevalidationOutcome = 'succeeded' | 'failed' | 'skipped';

/** Questions at once (gitlab.md 1.3). */
const AT_ONCE = 8;
const JITTER = 0.1;
/** Part of the interval in which a credential that was just proven is not asked about. */
const FRESH = 0.1;
const MINUTE = 60_000;
/** Longest wait after questions without a verdict. */
const MAX_BACKOFF = 15 * MINUTE;

/**
 * Asks GitLab again about each credential (gitlab.md 1.3, "Revalidation"). An outage changes nothing: only a verdict does. The first
 * question about each comes somewhere within the interval, so that those that were admitted together are not asked about together.
 */
export class Revalidation<S> {
  readonly #options: RevalidationOptions<S>;
  readonly #gate = new Gate(AT_ONCE);
  readonly #members = new Set<Member<S>>();
  /** Ends what is under way. */
  #life = new AbortController();
  /** Whether questions come by themselves: lets go of the signal that ends that. */
  #started: (() => void) | undefined;

  constructor(options: RevalidationOptions<S>) {
    this.#options = options;
  }

  /** Instances of credentials about which nothing could be learned the last time. */
  get degraded(): ReadonlySet<string> {
    const instances = new Set<string>();
    for (const { unanswered, client } of this.#members) if (unanswered > 0) instances.add(client.apiUrl);
    return instances;
  }

  /** As `ServerPool.startRevalidation`. */
  start(signal: AbortSignal): void {
    if (this.#started !== undefined || signal.aborted || this.#options.interval <= 0) return;
    const onAbort = () => this.close(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    this.#started = () => signal.removeEventListener('abort', onAbort);
    for (const member of this.#members) this.#scheduleFirst(member);
  }

  /** Ends all questions, those under way included. */
  close(reason: unknown): void {
    this.#started?.();
    this.#started = undefined;
    this.#life.abort(reason);
    this.#life = new AbortController();
    for (const member of this.#members) {
      member.timer?.cancel();
      member.timer = undefined;
    }
  }

  add(member: Member<S>): void {
    this.#members.add(member);
    if (this.#started !== undefined) this.#scheduleFirst(member);
  }

  remove(member: Member<S>): void {
    member.gone = true;
    member.timer?.cancel();
    member.timer = undefined;
    this.#members.delete(member);
  }

  /** Asks now, or joins the question under way. Resolves when there is a verdict, or none can be had; never rejects. */
  ask(member: Member<S>): Promise<void> {
    if (member.gone) return Promise.resolve();
    member.timer?.cancel();
    member.timer = undefined;
    member.check ??= this.#check(member).finally(() => {
      member.check = undefined;
    });
    return member.check;
  }

  #scheduleFirst(member: Member<S>): void {
    const { interval, random } = this.#options;
    this.#schedule(member, interval * (1 - (1 - FRESH) * random()));
  }

  #schedule(member: Member<S>, wait: number): void {
    if (this.#started === undefined || member.gone) return;
    member.timer?.cancel();
    member.timer = this.#options.clock.after(wait, () => void this.ask(member));
  }

  /** Never rejects. */
  async #check(member: Member<S>): Promise<void> {
    const { clock, onOutcome, onRejected } = this.#options;
    const { signal } = this.#life;
    try {
      const { principal } = await this.#gate.run(signal, () => patiently(clock, signal, (until) => askIdentity(member.client, member.kind, until)));
      if (member.gone) return;
      const known = member.identity.principal;
      if (principal.subject !== known.subject) throw new CredentialRejectedError();
      member.unanswered = 0;
      onOutcome(member, 'succeeded');
      this.#schedule(member, this.#jittered());
    } catch (error) {
      // Whoever ends the questions gets no answer to them.
      if (signal.aborted || member.gone) return;
      if (error instanceof CredentialRejectedError) {
        onOutcome(member, 'failed', error);
        onRejected(member, error);
        return;
      }
      const wait = Math.min(MINUTE * 2 ** member.unanswered, MAX_BACKOFF);
      member.unanswered++;
      onOutcome(member, 'skipped', error);
      this.#schedule(member, wait);
    }
  }

  #jittered(): number {
    const { interval, random } = this.#options;
    return interval * (1 + JITTER * (2 * random() - 1));
  }
}
