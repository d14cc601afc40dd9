import type { Readable } from 'node:stream';
import type { Clock } from '../../core/clock.ts';
import { settledWithin } from '../deadline.ts';
import type { ExitStatus, LaunchedProcess, LaunchOptions, ProcessHost } from './process-host.ts';

/** After stdin was closed, milliseconds until TERM (aggregator.md section 6, "Kill"). */
export const CLOSE_GRACE_MS = 2_000;
/** After TERM, milliseconds until KILL. */
export const TERM_GRACE_MS = 5_000;
/** After KILL, milliseconds until we stop waiting for what the kernel does not end. */
export const KILL_GRACE_MS = 2_000;
/** After the end, milliseconds in which what the child wrote last may still be read. */
export const LAST_WORDS_MS = 1_000;
const FIRST_POLL_MS = 20;
const LONGEST_POLL_MS = 500;
/** Looking for the dead reads all of /proc, so the first, fast looks go without. */
const ZOMBIE_POLL_MS = 100;

/** Who kills the groups when we cannot any more; `Reaper` is the real one. */
export interface GroupRegistry {
  /** Resolves when groups can be added. */
  start(): Promise<void>;
  add(pgid: number): void;
  remove(pgid: number): void;
}

export interface ChildPorts {
  readonly clock: Clock;
  readonly reaper: GroupRegistry;
  readonly host: ProcessHost;
}

/**
 * One child and everything that it started in its process group. However it ends, by `stop`, by a crash or by a
 * start that failed, the rest of the group is ended, too, and no timer stays. A process that leaves the group (its own
 * `setsid`) is out of reach; it sees the end of its pipes only.
 */
export class ChildProcess {
  readonly #ports: ChildPorts;
  #process: LaunchedProcess | undefined;
  #stopping: Promise<void> | undefined;
  readonly #exit = Promise.withResolvers<ExitStatus>();
  #status: ExitStatus | undefined;

  constructor(ports: ChildPorts) {
    this.#ports = ports;
  }

  /** Set from `start` on, also after the end. */
  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** How it ended; undefined while it runs. */
  get status(): ExitStatus | undefined {
    return this.#status;
  }

  /** Resolves when the child itself has ended and was waited for; its group may live a little longer. */
  get exited(): Promise<ExitStatus> {
    return this.#exit.promise;
  }

  /**
   * Starts the process; returns when it runs. To be called once.
   * @throws the system's error (`code` ENOENT, EACCES, …) when there is no process
   */
  async start(options: LaunchOptions): Promise<LaunchedProcess> {
    if (this.#stopping !== undefined) throw new Error('a child that was stopped is not started');
    const failed = Promise.withResolvers<never>();
    const launched = this.#ports.host.launch(options, {
      onError: failed.reject,
      onExit: (status) => {
        this.#status = status;
        this.#exit.resolve(status);
        void this.stop();
      },
    });
    // Without this the error event of a process that runs (a failed kill) would be an unhandled rejection.
    failed.promise.catch(() => {});
    if (launched === undefined) return failed.promise;
    // In the same turn as the launch: only a kill -9 between the two lines leaves a group unlisted, and such a child
    // still sees the end of its stdin.
    this.#ports.reaper.add(launched.pid);
    this.#process = launched;
    // Pipes break when a process dies; that is said by its exit, and must never be an unhandled error.
    for (const pipe of [launched.stdin, launched.stdout, launched.stderr]) pipe.on('error', () => {});
    return launched;
  }

  /**
   * Ends the child and its group: stdin is closed, TERM after 2 s, KILL after 5 s more, the exit awaited. When the
   * child itself has ended, what it left behind gets TERM at once. Never throws; idempotent.
   */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    const launched = this.#process;
    if (launched === undefined) return;
    const { reaper } = this.#ports;
    const group = launched.pid;
    launched.stdin.end();
    // A child that waits for somebody to read cannot go.
    launched.stdout.resume();
    launched.stderr.resume();
    await settledWithin(this.#ports.clock, this.exited, CLOSE_GRACE_MS);
    const gone = (await this.#groupEnds(group, 'SIGTERM', 0, TERM_GRACE_MS)) || (await this.#groupEnds(group, 'SIGKILL', 'SIGKILL', KILL_GRACE_MS));
    // A group that outlives KILL stays listed: the reaper tries again when we end.
    if (gone) reaper.remove(group);
    // The pipes may hold more than was read yet; only somebody outside the group could keep them open for longer.
    await settledWithin(this.#ports.clock, Promise.all([ended(launched.stdout), ended(launched.stderr)]), LAST_WORDS_MS);
    launched.stdin.destroy();
    launched.stdout.destroy();
    launched.stderr.destroy();
  }

  /** Whether leader and group are gone within `ms`; `first` is sent at the first look, `then` at every other one. */
  async #groupEnds(group: number, first: NodeJS.Signals, then: NodeJS.Signals | 0, ms: number): Promise<boolean> {
    const { clock, host } = this.#ports;
    const end = clock.monotonic() + ms;
    let signal: NodeJS.Signals | 0 = first;
    for (let poll = FIRST_POLL_MS; ; poll = Math.min(LONGEST_POLL_MS, poll * 2)) {
      // Once the group was seen empty its id is free for others: it is never signalled again.
      if (!host.signalGroup(group, signal)) return settledWithin(clock, this.exited, KILL_GRACE_MS);
      if (this.#status !== undefined && poll >= ZOMBIE_POLL_MS && (await host.onlyZombies(group))) return true;
      signal = then;
      const left = end - clock.monotonic();
      if (left <= 0) return false;
      await pause(clock, Math.min(poll, left));
    }
  }
}

function ended(pipe: Readable): Promise<void> {
  return new Promise((resolve) => {
    if (pipe.readableEnded || pipe.destroyed) return resolve();
    // A pipe that breaks closes without an end.
    pipe.once('end', resolve);
    pipe.once('close', resolve);
  });
}

function pause(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => clock.after(ms, resolve));
}
