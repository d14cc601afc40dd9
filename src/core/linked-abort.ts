/**
 * An abort signal that follows others until it is disposed. `AbortSignal.any` registers with its sources for as long as they
 * live: with a source as old as the gateway, every call would leave something behind. Here disposing takes the listeners back.
 */
export class LinkedAbort implements Disposable {
  readonly #controller = new AbortController();
  readonly #sources: readonly AbortSignal[];
  readonly #follow = (event: Event) => this.#controller.abort((event.target as AbortSignal).reason);

  constructor(...sources: readonly AbortSignal[]) {
    this.#sources = sources;
    for (const source of sources) {
      if (source.aborted) {
        this.#controller.abort(source.reason);
        return;
      }
    }
    for (const source of sources) source.addEventListener('abort', this.#follow, { once: true });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  abort(reason: unknown): void {
    this.#controller.abort(reason);
  }

  /** Stops following. The signal stays as it is. */
  [Symbol.dispose](): void {
    for (const source of this.#sources) source.removeEventListener('abort', this.#follow);
  }
}
