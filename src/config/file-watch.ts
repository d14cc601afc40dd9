import type { Clock, Timer } from '../core/clock.ts';
import { type ReadMark, signatureOf } from './file-reads.ts';

export interface FileWatchOptions {
  readonly clock: Clock;
  /** The files, as they were when they were read last; asked for anew at every look. */
  readonly files: () => ReadonlyMap<string, ReadMark>;
  /** Something is not what was read, and nobody has written for a moment. */
  readonly onChange: () => void;
  /** Default: asks the file system. */
  readonly signature?: (path: string) => Promise<string>;
}

/** How often files are looked at. */
const POLL_MS = 1_000;
/** A file that stayed the same for so long is written to the end: an editor or a copy needs less. */
const SETTLE_MS = 300;
/** A file that is written to all the time is read nevertheless. */
const PATIENCE_MS = 5_000;

/**
 * Looks for changes of files. They are looked at, once a second, and not subscribed to: inotify says nothing of network and many
 * container file systems, and a symbolic link swapped further up is no event of the folder; a few `stat` calls cost nothing.
 */
export class FileWatch implements Disposable {
  readonly #options: FileWatchOptions;
  readonly #signature: (path: string) => Promise<string>;
  #timer: Timer | undefined;
  #stopped = false;
  /** When the change under way was seen first, and how everything looked last. */
  #pending: { readonly since: number; readonly look: string } | undefined;

  constructor(options: FileWatchOptions) {
    this.#options = options;
    this.#signature = options.signature ?? signatureOf;
    this.#after(POLL_MS);
  }

  [Symbol.dispose](): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  #after(ms: number): void {
    if (!this.#stopped) this.#timer = this.#options.clock.after(ms, () => void this.#look());
  }

  async #look(): Promise<void> {
    const { clock, files, onChange } = this.#options;
    const marks = files();
    const now = await Promise.all([...marks.keys()].map(async (path) => [path, await this.#signature(path)] as const));
    if (this.#stopped) return;
    // Somebody has read them meanwhile: what was found is compared with the wrong reading.
    const isStale = files() !== marks;
    if (isStale || now.every(([path, signature]) => marks.get(path)?.signature === signature)) {
      this.#pending = undefined;
      return this.#after(POLL_MS);
    }
    const look = JSON.stringify(now);
    const since = this.#pending?.since ?? clock.monotonic();
    const isSettled = this.#pending?.look === look || clock.monotonic() - since >= PATIENCE_MS;
    this.#pending = isSettled ? undefined : { since, look };
    this.#after(isSettled ? POLL_MS : SETTLE_MS);
    if (isSettled) onChange();
  }
}
