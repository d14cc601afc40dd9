import type { View } from '../catalog/view.ts';
import type { Clock, Timer } from '../core/clock.ts';

/** What clients are told about; `resources` stands for resources and templates. */
export const CHANGE_KINDS = ['tools', 'prompts', 'resources'] as const;
export type ChangeKind = (typeof CHANGE_KINDS)[number];

/** A client hears of changes of one kind once a second at most, at the first and after the last. */
const EVERY_MS = 1_000;

export interface WatchOptions {
  readonly clock: Clock;
  /** The watcher's view now. */
  readonly view: () => View;
  readonly onChange: (kind: ChangeKind) => void;
  /** Subscribes to changes of the catalog (`Catalog.onChange`). */
  readonly source: (listener: () => void) => () => void;
}

/** Tells one client of changes of its own view, and of no others (protocol.md section 6). Dispose it when the client goes. */
export class ViewWatch implements Disposable {
  readonly #options: WatchOptions;
  readonly #stop: () => void;
  readonly #known = new Map<ChangeKind, string>();
  readonly #quiet = new Map<ChangeKind, Timer>();

  constructor(options: WatchOptions) {
    this.#options = options;
    for (const kind of CHANGE_KINDS) this.#known.set(kind, this.#fingerprint(kind));
    this.#stop = options.source(() => this.#check());
  }

  [Symbol.dispose](): void {
    this.#stop();
    for (const timer of this.#quiet.values()) timer.cancel();
    this.#quiet.clear();
  }

  #check(): void {
    for (const kind of CHANGE_KINDS) if (!this.#quiet.has(kind)) this.#tell(kind);
  }

  #tell(kind: ChangeKind): void {
    const now = this.#fingerprint(kind);
    if (now === this.#known.get(kind)) return;
    this.#known.set(kind, now);
    this.#quiet.set(
      kind,
      this.#options.clock.after(EVERY_MS, () => {
        this.#quiet.delete(kind);
        this.#tell(kind);
      }),
    );
    this.#options.onChange(kind);
  }

  /** Undefined while the toolset of its client names an upstream or a tool that is not there. */
  #view(): View | undefined {
    try {
      return this.#options.view();
    } catch {
      return undefined;
    }
  }

  #fingerprint(kind: ChangeKind): string {
    const view = this.#view();
    if (view === undefined) return '';
    return kind === 'resources' ? `${view.fingerprint('resources')} ${view.fingerprint('templates')}` : view.fingerprint(kind);
  }
}
