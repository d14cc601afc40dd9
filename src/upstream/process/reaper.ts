import { type ChildProcess, spawn } from 'node:child_process';
import type { Clock, Timer } from '../../core/clock.ts';
import { TurnpikeError } from '../../core/errors.ts';
import { settledWithin } from '../deadline.ts';
import type { GroupRegistry } from './child.ts';

/** Longest time that a closing reaper takes: three looks a second apart, KILL, and some air. In milliseconds. */
const STOP_MS = 8_000;
/** A reaper that was killed is replaced after this many milliseconds. */
const RESTART_MS = 1_000;

/**
 * The reaper: reads `+PGID` and `-PGID` from the pipe until it ends, then ends the groups that are listed. It ignores
 * the signals of a terminal, for it must outlive us; it needs `sleep` and `kill` and nothing else.
 */
const SCRIPT = `
trap '' HUP INT QUIT TERM PIPE USR1 USR2
groups=' '
while IFS= read -r line; do
  group=\${line#?}
  case $line in
    +*) groups="$groups$group " ;;
    -*) case $groups in *" $group "*) groups="\${groups%%" $group "*} \${groups#*" $group "}" ;; esac ;;
  esac
done
signal() {
  left=
  for group in $groups; do kill -s "$1" -- "-$group" 2>/dev/null && left=1; done
  test -n "$left"
}
signal TERM || exit 0
for second in 1 2 3; do
  sleep 1
  signal 0 || exit 0
done
signal KILL
`;

export interface ReaperOptions {
  readonly clock: Clock;
  /** Our own environment; the reaper gets `PATH` of it. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Called when the reaper could not be started or ended before we did; it is started again. */
  readonly onFailure?: (error: Error) => void;
}

/**
 * Kills the process groups of our children when we die without doing it (security.md class 24). One per gateway: a
 * small shell in a session of its own that holds the other end of a pipe to us. While groups are listed it keeps the
 * event loop alive, so that a stop in progress is finished; else it does not.
 */
export class Reaper implements GroupRegistry, AsyncDisposable {
  readonly #options: ReaperOptions;
  readonly #groups = new Set<number>();
  #shell: ChildProcess | undefined;
  #starting: Promise<void> | undefined;
  #exited: Promise<void> = Promise.resolve();
  #restart: Timer | undefined;
  #stopping: Promise<void> | undefined;

  constructor(options: ReaperOptions) {
    this.#options = options;
  }

  /** Process id of the shell, while there is one. */
  get pid(): number | undefined {
    return this.#shell?.pid;
  }

  /** The groups that are listed now. */
  get groups(): ReadonlySet<number> {
    return this.#groups;
  }

  /**
   * Starts the shell unless it runs.
   * @throws TurnpikeError `upstream/down` when there is no shell to start, or after `stop`
   */
  start(): Promise<void> {
    if (this.#stopping !== undefined) return Promise.reject(new TurnpikeError('upstream/down', 'the gateway is shutting down', { retryable: true }));
    this.#starting ??= this.#launch();
    return this.#starting;
  }

  /** Lists a group; the line is in the pipe when this returns, unless the pipe is full. */
  add(pgid: number): void {
    this.#groups.add(pgid);
    this.#write(`+${pgid}\n`);
    this.#hold();
  }

  /** Takes a group off the list. To be called as soon as the group is gone, for its id may come back as another's. */
  remove(pgid: number): void {
    if (!this.#groups.delete(pgid)) return;
    this.#write(`-${pgid}\n`);
    this.#hold();
  }

  /** Ends the shell, which ends the groups that are still listed. Awaits its exit. Never throws; idempotent. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  #launch(): Promise<void> {
    const started = Promise.withResolvers<void>();
    const { PATH } = this.#options.environment;
    const shell = spawn('/bin/sh', ['-c', SCRIPT, 'turnpike-reaper'], {
      cwd: '/',
      env: PATH === undefined ? {} : { PATH },
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    const ended = Promise.withResolvers<void>();
    this.#shell = shell;
    this.#exited = ended.promise;
    const gone = (error: Error) => {
      ended.resolve();
      started.reject(
        new TurnpikeError('upstream/down', 'the process reaper could not be started', { reason: error.message, cause: error, retryable: true }),
      );
      if (this.#shell === shell) this.#lost(error);
    };
    shell.once('spawn', () => started.resolve());
    shell.once('error', gone);
    shell.once('exit', (code, signal) => gone(new Error(`the process reaper ended with ${signal ?? `code ${code}`}`)));
    // A broken pipe is said by `exit`.
    shell.stdin.on('error', () => {});
    for (const group of this.#groups) this.#write(`+${group}\n`);
    this.#hold();
    return started.promise;
  }

  #lost(error: Error): void {
    this.#shell = undefined;
    this.#starting = undefined;
    if (this.#stopping !== undefined) return;
    this.#options.onFailure?.(error);
    // Without groups the next `start` is soon enough.
    if (this.#groups.size === 0 || this.#restart !== undefined) return;
    this.#restart = this.#options.clock.after(RESTART_MS, () => {
      this.#restart = undefined;
      this.start().catch(() => {});
    });
  }

  #write(line: string): void {
    if (this.#shell?.stdin?.writable) this.#shell.stdin.write(line);
  }

  #hold(): void {
    const change = this.#groups.size > 0 || this.#stopping !== undefined ? 'ref' : 'unref';
    this.#shell?.[change]();
    // The pipe is a socket, which the types do not say.
    (this.#shell?.stdin as { ref?(): void; unref?(): void } | null | undefined)?.[change]?.();
  }

  async #stop(): Promise<void> {
    await Promise.resolve();
    this.#restart?.cancel();
    const shell = this.#shell;
    if (shell === undefined) return;
    this.#hold();
    shell.stdin?.end();
    if (await settledWithin(this.#options.clock, this.#exited, STOP_MS)) return;
    shell.kill('SIGKILL');
    await settledWithin(this.#options.clock, this.#exited, STOP_MS);
  }
}
