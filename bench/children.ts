import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { type Core, pinned } from './machine.ts';

/** How long a process may take to answer, and to end. Milliseconds. */
const PATIENCE = { answer: 120_000, end: 10_000 } as const;
/** Characters of its log that are told when it fails. */
const LAST_WORDS = 2_000;

export interface ChildOptions {
  /** Path of the script. */
  readonly script: string;
  readonly args?: readonly string[];
  /** The file that its output is written to. */
  readonly log: string;
  readonly core: Core;
  readonly execArgv?: readonly string[];
  /** Laid over our own environment. */
  readonly env?: Readonly<Record<string, string>>;
}

/**
 * A Node process that is asked over its channel, one question at a time. It ends when the channel closes, so also when we are
 * killed. Its output goes to a file.
 */
export class Child implements AsyncDisposable {
  readonly log: string;
  readonly #child: ChildProcess;
  readonly #name: string;
  /** Heard before anybody listened. */
  readonly #early: unknown[] = [];
  readonly #collect = (message: unknown) => void this.#early.push(message);

  private constructor(child: ChildProcess, name: string, log: string) {
    this.#child = child;
    this.#name = name;
    this.log = log;
    child.on('message', this.#collect);
    child.on('error', () => {});
  }

  static start({ script, args = [], log, core, execArgv = [], env = {} }: ChildOptions): Child {
    const output = openSync(log, 'a');
    const [program = process.execPath, ...rest] = pinned(core, [process.execPath, ...execArgv, script, ...args]);
    // JSON has no NaN, which is what there is where nothing was measured.
    const child = spawn(program, rest, { stdio: ['ignore', output, output, 'ipc'], serialization: 'advanced', env: { ...surroundings(), ...env } });
    closeSync(output);
    return new Child(child, basename(script), log);
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error(`${this.#name} did not start`);
    return this.#child.pid;
  }

  /** The next message. Throws when the process ends first, or says nothing for two minutes. */
  async hears<T>(): Promise<T> {
    if (this.#early.length > 0) return this.#early.shift() as T;
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) throw this.#ended();
    const over = new AbortController();
    const signal = AbortSignal.any([over.signal, AbortSignal.timeout(PATIENCE.answer)]);
    this.#child.off('message', this.#collect);
    try {
      const ended = once(this.#child, 'exit', { signal }).then(() => Promise.reject(this.#ended()));
      const [message] = (await Promise.race([once(this.#child, 'message', { signal }), ended])) as [T];
      return message;
    } catch (error) {
      throw error instanceof Error && error.name === 'AbortError' ? new Error(`${this.#name} does not answer: ${this.lastWords()}`) : error;
    } finally {
      this.#child.on('message', this.#collect);
      over.abort();
    }
  }

  async ask<T>(question: object): Promise<T> {
    const answer = this.hears<T>();
    this.#child.send(question, () => {});
    return answer;
  }

  /** Throws when it has ended. */
  alive(): void {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) throw this.#ended();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.pid === undefined || this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, 'exit');
    if (this.#child.connected) this.#child.disconnect();
    const patience = setTimeout(() => this.#child.kill('SIGKILL'), PATIENCE.end);
    await ended;
    clearTimeout(patience);
  }

  /** The end of its log, which does not outlive the run. */
  lastWords(): string {
    return readFileSync(this.log, 'utf8').trim().slice(-LAST_WORDS);
  }

  #ended(): Error {
    return new Error(`${this.#name} ended with ${this.#child.signalCode ?? this.#child.exitCode}: ${this.lastWords()}`);
  }
}

/** Our environment, without what would configure a gateway of whoever runs the bench. */
function surroundings(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('TURNPIKE_')));
}
