/** What a caller waits for. */
export interface Admission<T> {
  /** Begun only when nobody waits for one of this name yet. `signal` aborts when nobody waits any more. */
  readonly work: (signal: AbortSignal) => Promise<T>;
  /** Puts what the work made in its place. What it throws is thrown to all who wait. */
  readonly land: (made: T) => void;
  /** Ends what the work made, where it could not be put in its place, or nobody waits any more. */
  readonly discard: (made: T) => void;
}

interface Flight<T> {
  readonly controller: AbortController;
  readonly waiting: Set<Waiter<T>>;
}

interface Waiter<T> {
  readonly take: (made: T) => void;
  readonly reject: (error: unknown) => void;
  readonly leave: () => void;
}

/**
 * Admissions by name: whoever comes while one runs joins it. An abort only makes its caller leave; the last one who leaves aborts it.
 * Landing and shares are one step, so that nobody takes away what was made before those who waited for it have it. Nothing is kept of
 * a failure.
 */
export class Admissions<T> {
  readonly #flights = new Map<string, Flight<T>>();

  has(name: string): boolean {
    return this.#flights.has(name);
  }

  /** @param share what this caller gets of what was made */
  join<R>(name: string, admission: Admission<T>, share: (made: T) => R, signal: AbortSignal): Promise<R> {
    const flight = this.#flights.get(name) ?? this.#begin(name, admission);
    const { promise, resolve, reject } = Promise.withResolvers<R>();
    const onAbort = () => {
      waiter.leave();
      reject(signal.reason);
      if (flight.waiting.size === 0) this.#end(name, flight, signal.reason);
    };
    const waiter: Waiter<T> = {
      take: (made) => {
        waiter.leave();
        try {
          resolve(share(made));
        } catch (error) {
          reject(error);
        }
      },
      reject: (error) => {
        waiter.leave();
        reject(error);
      },
      leave: () => {
        signal.removeEventListener('abort', onAbort);
        flight.waiting.delete(waiter);
      },
    };
    signal.addEventListener('abort', onAbort, { once: true });
    flight.waiting.add(waiter);
    return promise;
  }

  /** Ends all of them; whoever waits gets `reason`. */
  close(reason: unknown): void {
    for (const [name, flight] of [...this.#flights]) {
      this.#end(name, flight, reason);
      for (const waiter of [...flight.waiting]) waiter.reject(reason);
    }
  }

  #begin(name: string, admission: Admission<T>): Flight<T> {
    const flight: Flight<T> = { controller: new AbortController(), waiting: new Set() };
    this.#flights.set(name, flight);
    void this.#run(name, flight, admission);
    return flight;
  }

  async #run(name: string, flight: Flight<T>, { work, land, discard }: Admission<T>): Promise<void> {
    const { signal } = flight.controller;
    try {
      const made = await work(signal);
      try {
        signal.throwIfAborted();
        land(made);
      } catch (error) {
        discard(made);
        throw error;
      }
      this.#forget(name, flight);
      for (const waiter of [...flight.waiting]) waiter.take(made);
    } catch (error) {
      this.#forget(name, flight);
      for (const waiter of [...flight.waiting]) waiter.reject(error);
    }
  }

  #end(name: string, flight: Flight<T>, reason: unknown): void {
    this.#forget(name, flight);
    flight.controller.abort(reason);
  }

  #forget(name: string, flight: Flight<T>): void {
    if (this.#flights.get(name) === flight) this.#flights.delete(name);
  }
}
