interface Flight<V> {
  readonly promise: Promise<V>;
  readonly controller: AbortController;
  waiting: number;
}

/**
 * Runs one piece of work per key at a time; everybody who asks meanwhile joins it.
 * A caller who aborts only leaves; the work itself is aborted when the last one has left.
 */
export class SingleFlight<K, V> {
  readonly #flights = new Map<K, Flight<V>>();

  /** Number of pieces of work in the air. */
  get size(): number {
    return this.#flights.size;
  }

  run(key: K, signal: AbortSignal, work: (signal: AbortSignal) => Promise<V>): Promise<V> {
    if (signal.aborted) return Promise.reject(signal.reason);
    let flight = this.#flights.get(key);
    if (flight === undefined) {
      flight = this.#start(key, work);
    }
    const joined = flight;
    joined.waiting++;
    return new Promise<V>((resolve, reject) => {
      const leave = () => {
        signal.removeEventListener('abort', onAbort);
        joined.waiting--;
      };
      const onAbort = () => {
        leave();
        if (joined.waiting === 0) {
          this.#forget(key, joined);
          joined.controller.abort(signal.reason);
        }
        reject(signal.reason);
      };
      signal.addEventListener('abort', onAbort, { once: true });
      joined.promise.then(
        (value) => {
          leave();
          resolve(value);
        },
        (error) => {
          leave();
          reject(error);
        },
      );
    });
  }

  #start(key: K, work: (signal: AbortSignal) => Promise<V>): Flight<V> {
    const controller = new AbortController();
    const promise = (async () => work(controller.signal))();
    const flight: Flight<V> = { promise, controller, waiting: 0 };
    this.#flights.set(key, flight);
    const done = () => this.#forget(key, flight);
    promise.then(done, done);
    return flight;
  }

  #forget(key: K, flight: Flight<V>): void {
    if (this.#flights.get(key) === flight) this.#flights.delete(key);
  }
}
