import { changedFiles, FileReads, type ReadMark, signatureOf } from '../config/file-reads.ts';
import { FileWatch } from '../config/file-watch.ts';
import type { Config } from '../config/schema.ts';
import { type Clock, sleep } from '../core/clock.ts';
import { TurnpikeError } from '../core/errors.ts';
import type { Gateway } from '../gateway.ts';
import type { NextConfig } from '../reload.ts';
import type { JudgedConfig } from './configuration.ts';
import { problemText } from './problem.ts';

export interface ReloadingOptions {
  readonly gateway: Pick<Gateway, 'reload'>;
  readonly clock: Clock;
  /** What the gateway was started with, and the files it came from. */
  readonly initial: { readonly judged: JudgedConfig; readonly reads: FileReads };
  /** Loads the configuration again, in the same way. Throws `config/invalid`. */
  readonly load: (reads: FileReads) => Promise<JudgedConfig>;
  readonly say: (text: string) => void;
  /** Ends waits. */
  readonly signal: AbortSignal;
}

/** One load that went well. */
interface Reading {
  readonly next: NextConfig;
  readonly judged: JudgedConfig;
  readonly marks: ReadonlyMap<string, ReadMark>;
}

/** A file that changes while it is read is read again, so often. */
const READINGS = 5;
const PAUSE_MS = 300;

/** Reads the configuration again when a file of it changes, and when somebody asks; says what is wrong with it. */
export class Reloading implements Disposable {
  /** Without what it began with: a secret of a configuration that is in force no more is to be forgotten. */
  readonly #options: Omit<ReloadingOptions, 'initial'>;
  readonly #watch: FileWatch;
  /** The files of the configuration in force. */
  #good: ReadonlyMap<string, ReadMark>;
  /** These and those of the last attempt. */
  #watched: ReadonlyMap<string, ReadMark>;
  #judged: JudgedConfig;
  #running = false;
  #again = false;

  constructor(options: ReloadingOptions) {
    const { initial, ...others } = options;
    const { clock } = others;
    this.#options = others;
    this.#good = initial.reads.marks;
    this.#watched = this.#good;
    this.#judged = initial.judged;
    this.#watch = new FileWatch({ clock, files: () => this.#watched, onChange: () => this.request() });
  }

  /** The configuration read last that was in order. */
  get config(): Config {
    return this.#judged.loaded.config;
  }

  /** Whether a reload is under way. */
  get busy(): boolean {
    return this.#running;
  }

  /** Reads the configuration again, now or after the reload under way: requests that come meanwhile are one. */
  request(): void {
    this.#again = true;
    if (!this.#running) void this.#run();
  }

  [Symbol.dispose](): void {
    this.#watch[Symbol.dispose]();
  }

  async #run(): Promise<void> {
    this.#running = true;
    while (this.#again && !this.#options.signal.aborted) {
      this.#again = false;
      await this.#reload();
    }
    this.#running = false;
  }

  /** Never rejects. */
  async #reload(): Promise<void> {
    const { gateway, say, signal } = this.#options;
    try {
      let read: Reading | undefined;
      await gateway.reload(async () => {
        read = await this.#load();
        return read.next;
      });
      if (read === undefined) return;
      // Only now: what the gateway refused is not in force, and the next reading is to be compared with what is.
      this.#judged = read.judged;
      this.#good = read.marks;
      this.#watched = read.marks;
    } catch (error) {
      if (!signal.aborted) say(`turnpike: the configuration was not reloaded; the running one stays\n${problemText(error)}\n`);
    }
  }

  async #load(): Promise<Reading> {
    const { clock, signal } = this.#options;
    for (let left = READINGS - 1; ; left--) {
      const reads = new FileReads();
      try {
        return await this.#read(reads);
      } catch (error) {
        this.#watched = new Map([...this.#good, ...reads.marks]);
        // What was half written is not worth a word, unless it stays so.
        if (left === 0 || !(await isStale(reads.marks))) throw error;
        await sleep(clock, PAUSE_MS, signal);
      }
    }
  }

  async #read(reads: FileReads): Promise<Reading> {
    const { load, say } = this.#options;
    const before = this.#judged;
    const judged = await load(reads);
    const { loaded, refused } = judged;
    const { file } = before.loaded;
    // The file by its usual name is gone: that is no wish for a gateway without upstreams.
    if (file !== undefined && loaded.file === undefined) throw new TurnpikeError('config/invalid', `${file}: the configuration file does not exist`);
    if (refused.length > 0) throw new TurnpikeError('config/refused', refused.join('\n'));
    for (const warning of loaded.warnings) if (!before.loaded.warnings.includes(warning)) say(`Warning: ${warning}\n`);
    this.#watched = new Map([...this.#good, ...reads.marks]);
    const touched = changedFiles(this.#good, reads.marks);
    return { next: { config: loaded.config, provenance: loaded.provenance, touched }, judged, marks: reads.marks };
  }
}

async function isStale(marks: ReadonlyMap<string, ReadMark>): Promise<boolean> {
  const now = await Promise.all([...marks].map(async ([path, { signature }]) => signature === (await signatureOf(path))));
  return now.includes(false);
}
