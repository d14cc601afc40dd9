import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { openSync } from 'node:fs';
import { join } from 'node:path';

/** A process that is asked over its channel, one question at a time. Its standard error goes to a file. */
export class Child implements AsyncDisposable {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  static start(script: string, folder: string, execArgv: readonly string[] = []): Child {
    const log = openSync(join(folder, `${script}.log`), 'a');
    return new Child(fork(join(import.meta.dirname, script), { execArgv: [...execArgv], stdio: ['ignore', log, log, 'ipc'] }));
  }

  /** The next message. Throws when the process ends first. */
  async hears<T>(): Promise<T> {
    const over = new AbortController();
    try {
      const ended = once(this.#child, 'exit', { signal: over.signal }).then(([code]) => {
        throw new Error(`${this.#child.spawnfile} ended with ${code}`);
      });
      const [message] = (await Promise.race([once(this.#child, 'message', { signal: over.signal }), ended])) as [T];
      return message;
    } finally {
      over.abort();
    }
  }

  async ask<T>(question: object): Promise<T> {
    const answer = this.hears<T>();
    this.#child.send(question);
    return answer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const ended = once(this.#child, 'exit');
    if (this.#child.connected) this.#child.disconnect();
    const patience = setTimeout(() => this.#child.kill('SIGKILL'), 10_000);
    await ended;
    clearTimeout(patience);
  }
}
