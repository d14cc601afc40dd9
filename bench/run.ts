import { mkdtemp, rm } from 'node:fs/promises';
import { constants, tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { Child, type ChildOptions } from './children.ts';

/** What one run holds: a folder, and processes. Nothing of either outlives it. */
export class Run implements AsyncDisposable {
  readonly folder: string;
  isLeaving = false;
  readonly #children = new Set<Child>();

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async open(): Promise<Run> {
    return new Run(await mkdtemp(join(tmpdir(), 'turnpike-bench-')));
  }

  /** Clears away and ends when we are told to end. `isLeaving` says so to whoever is interrupted by it. */
  leaveOnSignals(): void {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.once(signal, async () => {
        this.isLeaving = true;
        await this[Symbol.asyncDispose]();
        process.exit(128 + constants.signals[signal]);
      });
    }
  }

  start(options: Omit<ChildOptions, 'log'>): Child {
    const log = join(this.folder, `${this.#children.size}-${basename(options.script)}.log`);
    const child = Child.start({ ...options, log });
    this.#children.add(child);
    return child;
  }

  /** May be called while sets still run: what they wait for then fails. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#children].map((child) => child[Symbol.asyncDispose]()));
    await rm(this.folder, { recursive: true, force: true });
  }
}
