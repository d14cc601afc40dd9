/**
 * `AbortController` and `AbortSignal` of our own, for what is made with every call: the built-in ones cost about 2 µs to make and
 * 1 µs for each listener, several times a call (performance.md, "Chores"; docs/adr/0015). The signal can stand wherever the
 * built-in one is only listened to; `AbortSignal.any` takes no foreign ones, so `LinkedAbort` stands in for it.
 */
export class OwnAbort {
  readonly signal: AbortSignal;
  readonly #signal = new OwnSignal();

  constructor() {
    this.signal = this.#signal;
  }

  /** Only the first one counts. */
  abort(reason: unknown = new DOMException('This operation was aborted', 'AbortError')): void {
    this.#signal.abort(reason);
  }
}

type Listener = ((event: Event) => void) | { handleEvent(event: Event): void };

class OwnSignal implements AbortSignal {
  aborted = false;
  reason: unknown = undefined;
  onabort: AbortSignal['onabort'] = null;
  /** Nearly always there is one. */
  #first: Listener | undefined;
  #others: Set<Listener> | undefined;

  throwIfAborted(): void {
    if (this.aborted) throw this.reason;
  }

  /** Every listener is called once at most, since a signal aborts once; options say nothing more. */
  addEventListener(type: string, listener: Listener | null): void {
    if (type !== 'abort' || listener === null || this.aborted || listener === this.#first) return;
    if (this.#first === undefined) this.#first = listener;
    else {
      this.#others ??= new Set();
      this.#others.add(listener);
    }
  }

  removeEventListener(type: string, listener: Listener | null): void {
    if (type !== 'abort' || listener === null) return;
    if (this.#first === listener) this.#first = undefined;
    else this.#others?.delete(listener);
  }

  dispatchEvent(event: Event): boolean {
    if (event.type === 'abort') this.#tell(event);
    return true;
  }

  abort(reason: unknown): void {
    if (this.aborted) return;
    this.aborted = true;
    this.reason = reason;
    this.#tell(abortEvent(this));
    this.#first = undefined;
    this.#others = undefined;
  }

  #tell(event: Event): void {
    const first = this.#first;
    const others = this.#others === undefined ? [] : [...this.#others];
    if (this.onabort !== null) call((heard: Event) => this.onabort?.(heard), event);
    if (first !== undefined) call(first, event);
    // One that was taken back by another listener is not called any more.
    for (const listener of others) if (this.#others?.has(listener) === true) call(listener, event);
  }
}

/** An `Event` whose target is ours: the built-in one has none before it is dispatched by the built-in target. */
function abortEvent(target: AbortSignal): Event {
  const event = new Event('abort');
  Object.defineProperty(event, 'target', { value: target });
  Object.defineProperty(event, 'currentTarget', { value: target });
  return event;
}

/** As with the built-in target, what a listener throws is nobody's answer: it is thrown where nothing of ours is under way. */
function call(listener: Listener, event: Event): void {
  try {
    if (typeof listener === 'function') listener(event);
    else listener.handleEvent(event);
  } catch (error) {
    process.nextTick(() => {
      throw error;
    });
  }
}
