/**
 * `npm start`: the quick start. Runs the published reference server over HTTP beside the gateway, and the gateway with
 * `turnpike.quickstart.yaml`; further arguments are flags of `turnpike serve`.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { main } from '../src/cli/main.ts';

const root = join(import.meta.dirname, '..');
/** Milliseconds. */
const STARTUP = 20_000;
const PARENT_CHECK = 1_000;

/** Starts the reference server on a free loopback port. It ends by itself when this process does, by kill -9 too. */
async function startEverything(): Promise<string> {
  // A process group of its own: Ctrl-C reaches the gateway alone, whose running calls may need the server.
  const server = fork(join(import.meta.dirname, 'everything-http.ts'), { detached: true, stdio: ['ignore', 'ignore', 'ignore', 'ipc'] });
  const failed = once(server, 'exit').then(() => Promise.reject(new Error('the reference server (server-everything over HTTP) did not start')));
  const [message] = await Promise.race([once(server, 'message', { signal: AbortSignal.timeout(STARTUP) }), failed]);
  failed.catch(() => {});
  return `http://127.0.0.1:${(message as { port: number }).port}/mcp`;
}

/** npm passes signals on, but it cannot when it is killed by kill -9: then nobody is left who could stop us. */
function leaveWithParent(): void {
  const parent = process.ppid;
  setInterval(() => {
    if (process.ppid !== parent) process.kill(process.pid, 'SIGTERM');
  }, PARENT_CHECK).unref();
}

leaveWithParent();
const url = await startEverything().catch((error: unknown) => {
  process.stderr.write(`npm start: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
});
await main({
  args: ['serve', '--config', join(root, 'turnpike.quickstart.yaml'), ...process.argv.slice(2)],
  env: {
    QUICKSTART_NODE: process.execPath,
    QUICKSTART_SERVER: join(root, 'node_modules/@modelcontextprotocol/server-everything/dist/index.js'),
    QUICKSTART_URL: url,
  },
});
