import { type ChildProcess, spawn } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';

export interface Ending {
  readonly code: number | null;
  readonly output: string;
  readonly timedOut: boolean;
}

/** Output kept for a report, in characters. */
const KEPT = 200_000;

/** A process in a group of its own, so that what it starts ends with it. */
export class Running {
  readonly child: ChildProcess;
  readonly ended: Promise<number | null>;
  output = '';

  constructor(command: string, args: readonly string[], environment: NodeJS.ProcessEnv) {
    this.child = spawn(command, args, { env: environment, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
    const keep = (chunk: Buffer): void => {
      this.output = (this.output + chunk.toString()).slice(-KEPT);
    };
    this.child.stdout?.on('data', keep);
    this.child.stderr?.on('data', keep);
    this.ended = new Promise((resolve) => {
      this.child.once('error', (error) => {
        this.output += String(error);
        resolve(null);
      });
      this.child.once('close', resolve);
    });
  }

  get alive(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null && this.child.pid !== undefined;
  }

  /** Asks the process itself to end, then kills its group. Resolves to the exit code; null if it had to be killed. */
  async stop(graceMs: number): Promise<number | null> {
    this.child.kill('SIGTERM');
    const grace = new AbortController();
    const late = delay(graceMs, 'late' as const, { signal: grace.signal }).catch(() => 'late' as const);
    const code = await Promise.race([this.ended, late]);
    grace.abort();
    this.killGroup();
    return code === 'late' ? null : code;
  }

  killGroup(): void {
    const { pid } = this.child;
    if (pid === undefined) return;
    try {
      process.kill(-pid, 'SIGKILL');
    } catch {
      // The group is empty: everything ended by itself.
    }
  }
}

/** Runs a command to its end, or kills its group after `limitMs`. */
export async function runToEnd(command: string, args: readonly string[], environment: NodeJS.ProcessEnv, limitMs: number): Promise<Ending> {
  const running = new Running(command, args, environment);
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    running.killGroup();
  }, limitMs);
  const code = await running.ended;
  clearTimeout(timer);
  return { code, output: running.output, timedOut };
}

/** Waits until `check` answers something; throws with the output if the process ends or the time is over. */
export async function waitFor<T>(running: Running, limitMs: number, check: () => Promise<T | undefined> | T | undefined): Promise<T> {
  const deadline = performance.now() + limitMs;
  for (;;) {
    const found = await check();
    if (found !== undefined) return found;
    if (!running.alive) throw new Error(`it ended (exit ${running.child.exitCode ?? running.child.signalCode}): ${running.output.slice(-2000)}`);
    if (performance.now() > deadline) throw new Error(`not ready after ${limitMs} ms: ${running.output.slice(-2000)}`);
    await delay(50);
  }
}
