import { spawn } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import type { Readable, Writable } from 'node:stream';

/** How a process ended: one of the two is set. */
export interface ExitStatus {
  readonly code: number | null;
  readonly signal: string | null;
}

export interface LaunchOptions {
  /** A program, looked up in the `PATH` of `env`; never a shell line. */
  readonly command: string;
  readonly args: readonly string[];
  /** The complete environment. */
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
}

/** A process that exists. Its id is also the id of the group that it leads. */
export interface LaunchedProcess {
  readonly pid: number;
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
}

/** The operating system as far as children need it: the seam where tests put a fake one. */
export interface ProcessHost {
  /**
   * Starts a process that leads its own session and process group. Returns `undefined` when there is no process;
   * then `onError` is or was called. `onExit` is called once, when the process was waited for.
   */
  launch(options: LaunchOptions, events: { onError: (error: Error) => void; onExit: (status: ExitStatus) => void }): LaunchedProcess | undefined;
  /** Signals every process of a group; signal 0 only looks. False when no process of the group is left. */
  signalGroup(pgid: number, signal: NodeJS.Signals | 0): boolean;
  /**
   * Whether a group that still takes signals consists of dead processes only, which nobody waited for: orphans in a
   * container whose first process does not wait for them. False where the system does not tell.
   */
  onlyZombies(pgid: number): Promise<boolean>;
}

export const systemProcesses: ProcessHost = {
  launch({ command, args, env, cwd }, { onError, onExit }) {
    let child: ReturnType<typeof spawnPiped>;
    try {
      child = spawnPiped(command, args, env, cwd);
    } catch (error) {
      // Node throws some causes and reports others as an event; here they arrive in one way.
      onError(error as Error);
      return undefined;
    }
    child.on('error', onError);
    child.once('exit', (code, signal) => onExit({ code, signal }));
    if (child.pid === undefined) return undefined;
    return { pid: child.pid, stdin: child.stdin, stdout: child.stdout, stderr: child.stderr };
  },

  signalGroup(pgid, signal) {
    // kill(-1) would reach everything we own, kill(-0) ourselves.
    if (!Number.isInteger(pgid) || pgid <= 1) throw new RangeError(`not the id of a child's group: ${pgid}`);
    try {
      return process.kill(-pgid, signal);
    } catch (error) {
      // EPERM: somebody is there and may not be signalled by us.
      return (error as NodeJS.ErrnoException).code !== 'ESRCH';
    }
  },

  async onlyZombies(pgid) {
    const names = await readdir('/proc').catch(() => []);
    let zombies = 0;
    for (const name of names) {
      if (!/^[0-9]+$/.test(name)) continue;
      const stat = await readFile(`/proc/${name}/stat`, 'latin1').catch(() => '');
      // proc(5): pid (name) state parent group …, where the name may hold blanks and parentheses.
      const [state, , group] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      if (Number(group) !== pgid) continue;
      if (state !== 'Z' && state !== 'X') return false;
      zombies++;
    }
    return zombies > 0;
  },
};

function spawnPiped(command: string, args: readonly string[], env: Readonly<Record<string, string>>, cwd: string) {
  return spawn(command, args, { cwd, env, detached: true, shell: false, stdio: ['pipe', 'pipe', 'pipe'], windowsHide: true });
}
