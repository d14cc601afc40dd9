import { Slots } from './slots.ts';

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

/** Whoever leaves leaves nothing behind, also in a signal that lives long (`slots.ts`). */
export class OwnSignal implements AbortSignal {
  aborted = false;
  reason: unknown = undefined;
  onabort: AbortSignal['onabort'] = null;
  /** Nearly always there are two at most. */
  #first: Listener | undefined;
  #second: Listener | undefined;
  #others: Slots<Listener> | undefined;

  throwIfAborted(): void {
    if (this.aborted) throw this.reason;
  }

  /** Every listener is called once at most, since a signal aborts once; options say nothing more. */
  addEventListener(type: string, listener: Listener | null): void {
    if (type !== 'abort' || listener === null || this.aborted || listener === this.#first || listener === this.#second) return;
    if (this.#first === undefined) this.#first = listener;
    else if (this.#second === undefined) this.#second = listener;
    else if (this.#others === undefined || this.#others.slotOf(listener) === -1) this.enlist(listener);
  }

  removeEventListener(type: string, listener: Listener | null): void {
    if (type !== 'abort' || listener === null) return;
    if (this.#first === listener) this.#first = undefined;
    else if (this.#second === listener) this.#second = undefined;
    else if (this.#others !== undefined) {
      const slot = this.#others.slotOf(listener);
      if (slot !== -1) this.#others.remove(slot);
    }
  }

  /** As `addEventListener`, for many who come and go: returns the place by which one is dismissed without a search. */
  enlist(listener: Listener): number {
    this.#others ??= new Slots();
    return this.#others.add(listener);
  }

  dismiss(slot: number): void {
    this.#others?.remove(slot);
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
    this.#second = undefined;
  }

  #tell(event: Event): void {
    if (this.onabort !== null) call((heard: Event) => this.onabort?.(heard), event);
    // One that was taken back by another listener is not called any more.
    if (this.#first !== undefined) call(this.#first, event);
    if (this.#second !== undefined) call(this.#second, event);
    for (const listener of this.#others ?? []) call(listener, event);
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
