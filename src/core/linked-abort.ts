import { OwnAbort, OwnSignal } from './own-abort.ts';

/**
 * An abort signal that follows others until it is disposed. `AbortSignal.any` registers with its sources for as long as they
 * live: with a source as old as the gateway, every call would leave something behind. Here disposing takes the listeners back.
 */
export class LinkedAbort implements Disposable {
  readonly #abort = new OwnAbort();
  readonly #sources: readonly AbortSignal[];
  /** The place in the list of the only source. */
  #slot: number | undefined;

  constructor(...sources: readonly AbortSignal[]) {
    this.#sources = sources;
    for (const source of sources) {
      if (source.aborted) {
        this.#abort.abort(source.reason);
        return;
      }
    }
    const [only] = sources;
    if (only instanceof OwnSignal && sources.length === 1) this.#slot = only.enlist(this);
    else for (const source of sources) source.addEventListener('abort', this, { once: true });
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  abort(reason: unknown): void {
    this.#abort.abort(reason);
  }

  /** A source aborted. */
  handleEvent(event: Event): void {
    this.#abort.abort((event.target as AbortSignal).reason);
  }

  /** Stops following. The signal stays as it is. */
  [Symbol.dispose](): void {
    const [only] = this.#sources;
    if (this.#slot === undefined || !(only instanceof OwnSignal)) for (const source of this.#sources) source.removeEventListener('abort', this);
    else only.dismiss(this.#slot);
    this.#slot = undefined;
  }
}
