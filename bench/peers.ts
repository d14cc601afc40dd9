// Other gateways of npm in front of the same servers. Each is started as its own documentation says, in the way that costs it least.
import { existsSync, realpathSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { openClient } from './load/loops.ts';
import type { LoadPlan } from './load/plan.ts';
import { Script } from './load/script.ts';
import { CORE } from './machine.ts';
import type { Run } from './run.ts';
import { STDIO_SERVER, type Target, target } from './stage.ts';

const FOLDER = join(import.meta.dirname, 'peers');
/** Milliseconds. */
const START = { deadline: 30_000, look: 250 } as const;

export type Road = 'shared child' | 'child per session' | 'http' | 'http by sse';

export interface Peer {
  readonly name: string;
  /** What it is compared with in the gateway: what would serve the same clients with the same server in its place. */
  readonly like: Road;
  /** The road that it takes itself, where it has none as good: told beside it, not judged (docs/adr/0026). */
  readonly own?: Road;
  readonly tool: string;
  readonly transport: LoadPlan['transport'];
  readonly command: (port: number, hub: string) => readonly string[];
}

const stdio = [process.execPath, STDIO_SERVER];

export const PEERS: readonly Peer[] = [
  {
    name: 'mcp-proxy, HTTP → stdio',
    like: 'shared child',
    tool: 'echo',
    transport: 'http',
    command: (port) => ['mcp-proxy', '--port', String(port), '--host', '127.0.0.1', '--server', 'stream', '--', ...stdio],
  },
  {
    name: 'mcp-proxy without sessions and event store, HTTP → stdio',
    like: 'shared child',
    tool: 'echo',
    transport: 'http',
    command: (port) => [
      'mcp-proxy',
      '--port',
      String(port),
      '--host',
      '127.0.0.1',
      '--server',
      'stream',
      '--stateless',
      '--no-eventStore',
      '--',
      ...stdio,
    ],
  },
  {
    name: 'supergateway, HTTP → stdio',
    like: 'shared child',
    own: 'child per session',
    tool: 'echo',
    transport: 'http',
    command: (port) => [
      'supergateway',
      '--stdio',
      stdio.join(' '),
      '--outputTransport',
      'streamableHttp',
      '--stateful',
      '--port',
      String(port),
      '--logLevel',
      'none',
    ],
  },
  {
    name: 'mcp-hub, SSE → HTTP',
    like: 'http',
    own: 'http by sse',
    tool: 'be1__echo',
    transport: 'sse',
    command: (port, hub) => ['mcp-hub', '--port', String(port), '--config', hub],
  },
];

/** Starts a peer and waits until it answers a call. Throws when it is not installed, ends, or takes longer than 30 s. */
export async function started(run: Run, peer: Peer, upstream: Target, plan: (target: Target) => LoadPlan): Promise<Target> {
  const home = join(run.folder, 'peers');
  await mkdir(home, { recursive: true });
  const hub = join(home, 'hub.json');
  await writeFile(hub, JSON.stringify({ mcpServers: { be1: { url: upstream.url } } }));
  const port = await freePort();
  const [name = '', ...args] = peer.command(port, hub);
  // Some keep state in the home directory: they get one of this run.
  const env = { HOME: home, XDG_STATE_HOME: home, XDG_DATA_HOME: home, XDG_CACHE_HOME: home, XDG_CONFIG_HOME: home };
  const keeper = run.start({
    script: join(import.meta.dirname, 'keeper.ts'),
    args: [process.execPath, programOf(name), ...args],
    core: CORE.subject,
    env,
  });
  const { pid } = await keeper.hears<{ pid: number }>();
  const found = { ...target(keeper, `http://127.0.0.1:${port}/mcp`, peer.tool), pid };
  const deadline = performance.now() + START.deadline;
  for (;;) {
    keeper.alive();
    try {
      const client = await openClient(new Script(plan(found)));
      await client.call().finally(() => client.close());
      return found;
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await pause(START.look);
    }
  }
}

function programOf(name: string): string {
  const program = join(FOLDER, 'node_modules/.bin', name);
  if (!existsSync(program)) throw new Error('the peers are not installed: npm ci --prefix bench/peers');
  return realpathSync(program);
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
