import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '../../src/config/load.ts';
import { isJsonObject, type JsonObject } from '../../src/core/mcp.ts';
import { createGateway, type Gateway } from '../../src/gateway.ts';
import { silentLogger } from '../../src/telemetry/log.ts';
import { MARK, newMark, processesWithMark, until } from '../fixtures/processes.ts';

const fixtures = join(import.meta.dirname, '../fixtures');
const everything = createRequire(import.meta.url).resolve('@modelcontextprotocol/server-everything/dist/index.js');

/** Argument vectors (after `node`) of servers that can run over stdio. */
export const STDIO = {
  everything: [everything, 'stdio'],
  workshop: [join(fixtures, 'sdk-servers/server.ts'), '--stdio'],
  workshopV1: [join(fixtures, 'sdk-servers/v1/server.ts'), '--stdio'],
  modern: [join(fixtures, 'modern/server.ts'), '--stdio'],
  legacy: [join(fixtures, 'legacy/server.ts'), '--stdio'],
} as const;

const LOOPBACK = ['--import', new URL('../fixtures/sdk-servers/loopback.ts', import.meta.url).href];
/** The same over HTTP: where they listen is written on stderr. */
const HTTP = {
  everything: [...LOOPBACK, everything, 'streamableHttp'],
  sse: [...LOOPBACK, everything, 'sse'],
  workshop: [join(fixtures, 'sdk-servers/server.ts')],
  workshopSessions: [join(fixtures, 'sdk-servers/server.ts'), '--sessions'],
  workshopV1: [join(fixtures, 'sdk-servers/v1/server.ts')],
  modern: [join(fixtures, 'modern/server.ts')],
  legacy: [join(fixtures, 'legacy/server.ts')],
} as const;

export type HttpServerName = keyof typeof HTTP;

/** A server of its own process on a loopback port. */
export interface RunningServer {
  readonly port: number;
  url(path?: string): string;
  readonly child: ChildProcess;
}

/** Upstreams as processes and a gateway in this process, all with real sockets; disposed, nothing of it is left. */
export class Rig implements AsyncDisposable {
  readonly mark = newMark();
  readonly folder: string;
  readonly #servers: ChildProcess[] = [];
  #gateway: Gateway | undefined;

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async make(): Promise<Rig> {
    return new Rig(await mkdtemp(join(tmpdir(), 'turnpike-e2e-')));
  }

  /** Starts a server over HTTP and waits until it listens. */
  async serve(name: HttpServerName): Promise<RunningServer> {
    const child = spawn(process.execPath, HTTP[name], { env: this.environment, stdio: ['ignore', 'ignore', 'pipe'] });
    this.#servers.push(child);
    const port = await new Promise<number>((resolve, reject) => {
      let said = '';
      child.stderr?.on('data', (chunk: Buffer) => {
        said += chunk.toString();
        const found = /(?:listening on|loopback port) (\d+)/.exec(said);
        if (found !== null) resolve(Number(found[1]));
      });
      child.once('exit', () => reject(new Error(`${name} did not start: ${said}`)));
    });
    return { port, child, url: (path = '/mcp') => `http://127.0.0.1:${port}${path}` };
  }

  /** What children get: they are found again by the mark. */
  get environment(): Record<string, string> {
    return { PATH: process.env.PATH ?? '', HOME: this.folder, [MARK]: this.mark };
  }

  /** An upstream entry for a child process. */
  stdio(name: string, server: keyof typeof STDIO, more: JsonObject = {}): JsonObject {
    return { name, type: 'stdio', command: process.execPath, args: STDIO[server], cwd: this.folder, env: { [MARK]: this.mark }, ...more };
  }

  /** The configuration of a gateway on a free loopback port, with what tests need and `document` over it. */
  configuration(document: JsonObject): JsonObject {
    return {
      listen: { port: 0 },
      store: { type: 'memory', dir: this.folder },
      telemetry: { audit: { file: join(this.folder, 'audit.jsonl') } },
      limits: { ip: 10_000, ipBurst: 10_000, user: 10_000, userBurst: 10_000 },
      ...document,
    };
  }

  /** Starts the gateway and waits until every upstream is connected and listed, but for those named in `without`. */
  async start(document: JsonObject, overrides: Parameters<typeof createGateway>[1] = {}, without: readonly string[] = []): Promise<Gateway> {
    const bytes = Buffer.from(JSON.stringify(this.configuration(document)));
    const { config } = await loadConfig({ file: 'turnpike.json', cwd: this.folder, env: {}, readFile: async () => bytes });
    const gateway = await createGateway(config, { logger: silentLogger, environment: this.environment, ...overrides });
    this.#gateway = gateway;
    await gateway.start(AbortSignal.timeout(5_000));
    await until(
      () => gateway.status().upstreams,
      (upstreams) => upstreams.every(({ name, state }) => state === 'connected' || without.includes(name)),
      30_000,
    );
    return gateway;
  }

  get endpoint(): URL {
    if (this.#gateway === undefined) throw new Error('no gateway was started');
    return new URL(this.#gateway.endpoint);
  }

  /** What the gateway says about one upstream. */
  status(name: string) {
    return this.#gateway?.status().upstreams.find((upstream) => upstream.name === name);
  }

  /** The audit records so far. */
  async audit(): Promise<JsonObject[]> {
    const lines = (await readFile(join(this.folder, 'audit.jsonl'), 'utf8')).split('\n');
    return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as JsonObject);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#gateway?.[Symbol.asyncDispose]();
    for (const child of this.#servers) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      child.kill('SIGTERM');
      const patience = setTimeout(() => child.kill('SIGKILL'), 2_000);
      await once(child, 'exit');
      clearTimeout(patience);
    }
    await until(
      () => processesWithMark(this.mark),
      (left) => left.length === 0,
      10_000,
    );
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** What reached a fixture (`GET /log`). */
export async function logOf(server: RunningServer): Promise<readonly JsonObject[]> {
  const response = await fetch(server.url('/log'));
  const { entries } = (await response.json()) as { entries: JsonObject[] };
  return entries;
}

/** The requests among them, of one method. */
export function requestsIn(entries: readonly JsonObject[], method: string): JsonObject[] {
  return entries.flatMap(({ message }) => (isJsonObject(message) && message.method === method ? [message] : []));
}
