import type { ProcessEvents } from './surroundings.ts';

const EVENTS = ['uncaughtException', 'unhandledRejection'];

/** Catches what nobody caught, until it is disposed of: the process ends by it, but not before its children are ended. */
export class Crash implements Disposable {
  /** Resolves with the first error. */
  readonly first: Promise<unknown>;
  readonly #events: ProcessEvents;
  readonly #listener: (error: unknown) => void;
  #happened = false;

  /** @param onSecond called for an error while the first one is being dealt with */
  constructor(events: ProcessEvents, onSecond: () => void) {
    this.#events = events;
    let resolveFirst: (error: unknown) => void = () => {};
    this.first = new Promise((resolve) => {
      resolveFirst = resolve;
    });
    this.#listener = (error) => {
      if (this.#happened) onSecond();
      this.#happened = true;
      resolveFirst(error);
    };
    for (const event of EVENTS) events.on(event, this.#listener);
  }

  get happened(): boolean {
    return this.#happened;
  }

  [Symbol.dispose](): void {
    for (const event of EVENTS) this.#events.off(event, this.#listener);
  }
}
