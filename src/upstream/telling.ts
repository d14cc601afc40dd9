import type { Clock } from '../core/clock.ts';
import { asTurnpikeError, TurnpikeError } from '../core/errors.ts';
import type { Transport } from '../core/ports.ts';
import { within } from './deadline.ts';

export interface TellingOptions {
  readonly transport: Transport;
  readonly clock: Clock;
  readonly onDropped: (what: string) => void;
}

/** What goes to an upstream and nobody waits for: answers and cancels. They go out although the call that they are about is over. */
export class Telling {
  readonly #options: TellingOptions;
  readonly #under = new Set<Promise<void>>();

  constructor(options: TellingOptions) {
    this.#options = options;
  }

  /** @param ms how long the transport may take. @param about its method, unless it is an answer */
  tell(message: Buffer, ms: number, about: { readonly method?: string }): void {
    const telling = this.#say(message, ms, about).finally(() => this.#under.delete(telling));
    this.#under.add(telling);
  }

  /** Resolves when what is being told has been taken by the transport or has failed. */
  async over(): Promise<void> {
    await Promise.all(this.#under);
  }

  async #say(message: Buffer, ms: number, { method }: { readonly method?: string }): Promise<void> {
    const { transport, clock, onDropped } = this.#options;
    const late = () => new TurnpikeError('upstream/timeout', 'it was not taken in time');
    const options = { expectsAnswer: false, ...(method === undefined ? {} : { method }) };
    try {
      await within({ clock, ms, late, signals: [] }, (signal) => transport.send(message, { ...options, signal }));
    } catch (error) {
      onDropped(`${method ?? 'an answer'} of ours: ${asTurnpikeError(error).message}`);
    }
  }
}
