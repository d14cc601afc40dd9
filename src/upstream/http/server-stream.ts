import { type Clock, sleep } from '../../core/clock.ts';
import { asTurnpikeError } from '../../core/errors.ts';
import { LinkedAbort } from '../../core/linked-abort.ts';
import type { Outcome } from './answer-reader.ts';

export interface ServerStreamOptions {
  readonly clock: Clock;
  /** End the stream. */
  readonly signals: readonly AbortSignal[];
  /** Makes one GET; `onOpen` when the upstream accepted it. */
  readonly connect: (lastEventId: string | undefined, signal: AbortSignal, onOpen: () => void) => Promise<Outcome>;
  /** The upstream says that the session is gone, or breaks the protocol. */
  readonly onDead: (error: Error) => void;
  /** In [0, 1), for jitter. */
  readonly random?: () => number;
}

/** Milliseconds before a stream that the server closed is opened again, when it named none. */
const RETRY_MS = 1000;
/** However short the server's `retry` is. */
const MIN_RETRY_MS = 50;
const STEADY_MS = 5000;
const MAX_BACKOFF_MS = 30_000;
const JITTER = 0.2;

/**
 * The standing GET stream of a legacy session: opened again with `Last-Event-ID` whenever it ends, after the server's
 * `retry`; failures in a row wait 1 s, 2 s, 4 s … 30 s. A server without such a stream (405 and other 4xx) is left alone.
 */
export class ServerStream {
  readonly #options: ServerStreamOptions;
  readonly #until: LinkedAbort;
  readonly #offered = Promise.withResolvers<boolean>();
  #started = false;

  constructor(options: ServerStreamOptions) {
    this.#options = options;
    this.#until = new LinkedAbort(...options.signals);
  }

  /** Resolves with whether the first attempt opened a stream. */
  open(): Promise<boolean> {
    if (!this.#started) {
      this.#started = true;
      const over = () => {
        this.#until[Symbol.dispose]();
        this.#offered.resolve(false);
      };
      // Only the end of the signal makes it fail.
      this.#run().then(over, over);
    }
    return this.#offered.promise;
  }

  stop(): void {
    this.#until.abort(undefined);
  }

  async #run(): Promise<void> {
    const { connect, onDead, clock } = this.#options;
    const { signal } = this.#until;
    let lastEventId: string | undefined;
    let retry: number | undefined;
    let opened = false;
    let failures = 0;
    const onOpen = () => {
      opened = true;
      this.#offered.resolve(true);
    };
    while (!signal.aborted) {
      const since = clock.monotonic();
      const outcome = await connect(lastEventId, signal, onOpen);
      if (signal.aborted || outcome.kind === 'aborted') return;
      if (outcome.kind === 'cut') {
        // A stream that ends at once and says nothing is a failure; a `retry` is how a server asks to be polled.
        const useful = outcome.lastEventId !== lastEventId || outcome.retry !== undefined || clock.monotonic() - since >= STEADY_MS;
        failures = useful ? 0 : failures + 1;
        lastEventId = outcome.lastEventId ?? lastEventId;
        retry = outcome.retry ?? retry;
      } else if (outcome.kind === 'failed') {
        const error = asTurnpikeError(outcome.error);
        const refused = outcome.status !== undefined && outcome.status < 500 && outcome.status !== 408 && outcome.status !== 429;
        if (refused || error.code === 'upstream/protocol') {
          if (opened && (error.code === 'upstream/session' || error.code === 'upstream/protocol')) onDead(error);
          return;
        }
        failures++;
        this.#offered.resolve(false);
      }
      await sleep(clock, Math.max(retry ?? RETRY_MS, this.#backoff(failures)), signal);
    }
  }

  #backoff(failures: number): number {
    if (failures === 0) return MIN_RETRY_MS;
    const { random = Math.random } = this.#options;
    return Math.min(MAX_BACKOFF_MS, RETRY_MS * 2 ** (failures - 1)) * (1 - JITTER + 2 * JITTER * random());
  }
}
