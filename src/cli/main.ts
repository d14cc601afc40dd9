import { buildProgram } from './program.ts';
import { runProgram } from './run.ts';
import type { Surroundings } from './surroundings.ts';

export interface MainOptions {
  /** Default: those of the process. */
  readonly args?: readonly string[];
  /** Laid over the environment of the process. */
  readonly env?: Readonly<Record<string, string>>;
}

/** Runs the command line as this process: its streams, its signals, its end. Does not return before the process exits. */
export async function main({ args = process.argv.slice(2), env = {} }: MainOptions = {}): Promise<void> {
  // Timers of the library never keep a process alive; while a command runs, this one does.
  const hold = setInterval(() => {}, 0x7fff_ffff);
  leaveWithParent();
  const around: Surroundings = {
    cwd: process.cwd(),
    env: { ...process.env, ...env },
    unset: (name) => {
      delete process.env[name];
    },
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    events: process,
    exit: (code) => process.exit(code),
  };
  // A reader that has gone (`turnpike list | head`) is no error of ours, and nobody is left to tell.
  for (const output of [process.stdout, process.stderr]) output.on('error', () => {});
  const code = await runProgram((state) => buildProgram(around, state), args, around);
  await Promise.all([flushed(process.stdout), flushed(process.stderr)]);
  clearInterval(hold);
  process.exit(code);
}

/** The bootstrap holds a channel to us: when it dies, by kill -9 too, nobody is left who could stop us. */
function leaveWithParent(): void {
  if (process.channel === undefined || process.channel === null) return;
  process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'));
  process.channel.unref();
}

function flushed(output: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => {
    if (output.destroyed || output.writableEnded) resolve();
    else output.write('', () => resolve());
  });
}

// The bootstrap calls `main` itself; this is for `node src/cli/main.ts`.
if (import.meta.main) await main();
