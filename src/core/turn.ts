const CROWD = 3;
/** How many turns the average looks back on, about. */
const MEMORY = 16;

/**
 * What comes in during one turn of the event loop, taken together at its end. Between the reads and writes of sockets our code would be fetched
 * into the processor's caches anew for every message, which costs more than running it; in a row it is fetched once (docs/adr/0020). Where there is
 * no crowd there is nothing to gather: an item is taken as soon as the callback that brought it is over; what taking it adds at once is taken then, too.
 */
export class Turn<T> {
  readonly #take: (item: T) => void;
  readonly #crowd: number;
  #waiting: T[] = [];
  /** Items of this turn so far, and of the turns before on average. */
  #came = 0;
  #usual = 0;

  /**
   * @param take is given each item once, in their order, and must not throw
   * @param crowd items in a turn, on average, from which on they wait for its end; 0: always
   */
  constructor(take: (item: T) => void, crowd = CROWD) {
    this.#take = take;
    this.#crowd = crowd;
  }

  add(item: T): void {
    if (this.#came++ === 0) setImmediate(this.#over);
    if (this.#waiting.push(item) === 1 && this.#usual < this.#crowd) process.nextTick(this.#takeAll);
  }

  readonly #over = (): void => {
    this.#usual += (this.#came - this.#usual) / MEMORY;
    this.#came = 0;
    if (this.#waiting.length > 0) this.#takeAll();
  };

  readonly #takeAll = (): void => {
    const items = this.#waiting;
    this.#waiting = [];
    let taken = 0;
    try {
      while (taken < items.length) this.#take(items[taken++] as T);
    } finally {
      // One that threw after all is nobody else's misfortune.
      for (const item of items.slice(taken)) this.add(item);
    }
  };
}

/** Something that came in and waits for the end of its turn. */
export interface Arrival {
  read(): void;
}

/** Where what upstreams say waits: one for all of them, so that all of it is taken in a row. */
export function arrivals(): Turn<Arrival> {
  return new Turn((arrival) => arrival.read());
}
