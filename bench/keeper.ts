// Runs a foreign program and ends it, with all that it started, when our parent goes, by kill -9 too: it knows nothing of our channel.
//   keeper.ts PROGRAM [ARGUMENT …]     tells its pid over the channel of the parent
import { spawn } from 'node:child_process';

/** How long it may take to end when it is asked to. Milliseconds. */
const PATIENCE = 1_500;

const [program = '', ...args] = process.argv.slice(2);
// A process group of its own, so that its children can be reached too.
const child = spawn(program, args, { detached: true, stdio: ['ignore', 'inherit', 'inherit'] });
child.once('error', (error) => fail(error.message));
child.once('exit', (code, signal) => fail(`${program} ended with ${signal ?? code}`));
process.once('disconnect', () => {
  end('SIGTERM');
  setTimeout(() => end('SIGKILL'), PATIENCE);
});
process.send?.({ pid: child.pid });

function end(signal: NodeJS.Signals): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, signal);
  } catch {
    // All of the group have ended.
  }
}

function fail(text: string): void {
  // What it started may have outlived it.
  end('SIGKILL');
  process.stderr.write(`${text}\n`);
  process.exit(1);
}
