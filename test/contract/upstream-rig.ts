import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../../src/core/clock.ts';
import { Fingerprinter } from '../../src/core/fingerprinter.ts';
import { toJson } from '../../src/core/json.ts';
import type { Answer, JsonObject } from '../../src/core/mcp.ts';
import type { Connection, UpstreamState } from '../../src/core/ports.ts';
import { arrivals } from '../../src/core/turn.ts';
import { MemoryStore } from '../../src/store/memory.ts';
import type { ConnectorPorts } from '../../src/upstream/connect.ts';
import { Connections } from '../../src/upstream/connections.ts';
import { EraMemory } from '../../src/upstream/era-memory.ts';
import { Reaper } from '../../src/upstream/process/reaper.ts';
import { Registry } from '../../src/upstream/registry.ts';
import type { UpstreamSettings } from '../../src/upstream/settings.ts';
import { freePort } from '../fixtures/free-port.ts';
import { MARK, newMark, processesWithMark, until } from '../fixtures/processes.ts';

const fixture = (era: 'modern' | 'legacy') => fileURLToPath(new URL(`../fixtures/${era}/server.ts`, import.meta.url));
const everything = createRequire(import.meta.url).resolve('@modelcontextprotocol/server-everything/dist/index.js');

/** A command line that serves over stdio. */
export function command(server: 'modern' | 'legacy' | 'everything'): readonly string[] {
  return server === 'everything' ? [everything, 'stdio'] : [fixture(server), '--stdio'];
}

/** Upstreams with everything that is real: processes, sockets, the store, the pool. */
export class UpstreamRig implements AsyncDisposable {
  readonly mark = newMark();
  readonly states: { readonly upstream: string; readonly state: UpstreamState; readonly error: string | undefined }[] = [];
  readonly dropped: string[] = [];
  readonly advice: string[] = [];
  readonly store = new MemoryStore(systemClock);
  readonly memory = new EraMemory(this.store, () => {});
  readonly registry: Registry;
  readonly connections: Connections;
  readonly #reaper = new Reaper({ clock: systemClock, environment: process.env });
  readonly #servers: ChildProcess[] = [];

  /** @param monitored whether callers' connections are told to the registry, which then connects, too */
  constructor(settings: readonly UpstreamSettings[], monitored = true) {
    const ports: ConnectorPorts = {
      arrivals: arrivals(),
      clock: systemClock,
      reaper: this.#reaper,
      environment: process.env,
      memory: this.memory,
      clientInfo: { name: 'rig', version: '1' },
      onStderr: () => {},
      onDropped: (_upstream, what) => this.dropped.push(what),
      onAdvice: (upstream, advice) => this.advice.push(`${upstream} ${advice}`),
    };
    const marked = settings.map((one) =>
      one.target.type === 'stdio' ? { ...one, target: { ...one.target, env: { ...one.target.env, [MARK]: this.mark } } } : one,
    );
    this.registry = new Registry(marked, {
      ports,
      clock: systemClock,
      profile: 'fusr',
      onState: (upstream, state, error) => this.states.push({ upstream, state, error }),
      onEvent: () => {},
    });
    this.connections = new Connections({
      clock: systemClock,
      fingerprint: new Fingerprinter(Buffer.alloc(32, 7)),
      limits: { total: 512, perPrincipal: 32, stdio: 64 },
      idleTimeout: 1_800_000,
      cleanupInterval: 300_000,
      closeDelay: 1_000,
      eraOf: (upstream) => this.registry.eraOf(upstream),
      connector: (upstream) => this.registry.connector(upstream),
      onConnect: (upstream, error) => monitored && this.registry.observed(upstream, error),
    });
  }

  /** Ends everything and waits until no process is left. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.connections.drain(AbortSignal.abort());
    await this.registry[Symbol.asyncDispose]();
    await this.#reaper.stop();
    for (const server of this.#servers) server.kill('SIGKILL');
    await until(
      () => processesWithMark(this.mark),
      (left) => left.length === 0,
      10_000,
    );
  }
}

export function stdioTarget(argv: readonly string[]): UpstreamSettings['target'] {
  return { type: 'stdio', command: process.execPath, args: argv, env: {}, cwd: '/', allowUnsafeEnv: false };
}

/** A server of its own process on a port, ended by `dispose`. */
export class HttpServerProcess implements AsyncDisposable {
  readonly port: number;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.port = port;
  }

  static async start(server: 'modern' | 'legacy' | 'streamableHttp' | 'sse', port?: number): Promise<HttpServerProcess> {
    const chosen = port ?? (await freePort());
    const argv = server === 'modern' || server === 'legacy' ? [fixture(server), '--port', String(chosen)] : [everything, server];
    const child = spawn(process.execPath, argv, { env: { ...process.env, PORT: String(chosen) }, stdio: ['ignore', 'ignore', 'pipe'] });
    const words = await new Promise<string>((resolve, reject) => {
      let text = '';
      child.stderr?.on('data', (chunk: Buffer) => {
        text += chunk.toString();
        if (/listening|running/i.test(text)) resolve(text);
      });
      child.once('exit', () => reject(new Error(`${server} did not start: ${text}`)));
    });
    return new HttpServerProcess(child, Number(/listening on (\d+)/.exec(words)?.[1] ?? chosen));
  }

  url(path: string): string {
    return `http://127.0.0.1:${this.port}${path}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill('SIGKILL');
    await once(this.#child, 'exit');
  }
}

/** Calls a tool; what it said as a result. */
export async function callTool(
  connection: Connection,
  name: string,
  args: JsonObject,
  signal: AbortSignal = AbortSignal.timeout(20_000),
): Promise<JsonObject> {
  const answer: Answer = await connection.request({
    method: 'tools/call',
    params: toJson({ name, arguments: args }),
    capabilities: {},
    progress: false,
    relay: { notification: () => {}, request: async () => Promise.reject(new Error('nobody to ask')) },
    signal,
  });
  if (answer.kind === 'error') throw new Error(answer.error.toString());
  return JSON.parse(answer.result.toString()) as JsonObject;
}
