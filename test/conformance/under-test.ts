import { mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { GitLabDouble } from '../fixtures/gitlab/double.ts';
import type { Cell } from './cells.ts';
import { Running, waitFor } from './processes.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const READY_MS = 30_000;
const GRACE_MS = 15_000;

/** What the referee talks to. */
export interface UnderTest {
  readonly url: string;
  /** Ends it. Resolves to what was wrong with the way it ended, if anything. */
  stop(): Promise<string | undefined>;
}

const fixturePath = (cell: Cell): string => join(ROOT, 'test/fixtures', cell.fixture ?? 'modern', 'server.ts');

/** Starts the fixture and, unless it is to stand alone, Turnpike in front of it. Files go to `folder`. */
export async function startUnderTest(cell: Cell, folder: string, environment: NodeJS.ProcessEnv): Promise<UnderTest> {
  if (cell.fixture === 'gitlab') return startBuiltIn(cell, folder, environment);
  const fixture = cell.through === 'stdio' ? undefined : new Running(process.execPath, [fixturePath(cell), '--port', '0'], environment);
  try {
    const port = fixture && (await waitFor(fixture, READY_MS, () => /listening on (\d+)/.exec(fixture.output)?.[1]));
    const fixtureUrl = `http://localhost:${port}/mcp`;
    if (cell.through === 'direct') return { url: fixtureUrl, stop: async () => endingProblem('the fixture', fixture) };
    const gateway = await startGateway(cell, (state) => fixtureUpstream(cell, fixtureUrl, state), folder, environment);
    return {
      url: gateway.url,
      stop: async () => (await gateway.stop()) ?? (await endingProblem('the fixture', fixture)),
    };
  } catch (error) {
    await fixture?.stop(GRACE_MS);
    throw error;
  }
}

/** The built-in server in a gateway, with the operator's credential: the referee has none. */
async function startBuiltIn(cell: Cell, folder: string, environment: NodeJS.ProcessEnv): Promise<UnderTest> {
  const gitlab = await GitLabDouble.start({ http: true });
  try {
    const { token } = gitlab.person('referee');
    // biome-ignore lint/suspicious/noTemplateCurlyInString: a reference of our configuration.
    const header = { name: 'PRIVATE-TOKEN', value: '${env:CONFORMANCE_TOKEN}' };
    const upstream = { type: 'gitlab', gitlab: { url: gitlab.url, toolsets: ['all'], tools: ['execute_graphql'] }, auth: { mode: 'header', header } };
    const gateway = await startGateway(cell, () => upstream, folder, { ...environment, CONFORMANCE_TOKEN: token.value });
    const stop = async () => {
      const problem = await gateway.stop();
      await gitlab[Symbol.asyncDispose]();
      return problem;
    };
    return { url: gateway.url, stop };
  } catch (error) {
    await gitlab[Symbol.asyncDispose]();
    throw error;
  }
}

/** @param upstream what Turnpike stands in front of; a process of it may keep what must outlive it in `state` */
async function startGateway(cell: Cell, upstream: (state: string) => object, folder: string, environment: NodeJS.ProcessEnv): Promise<UnderTest> {
  const port = await freePort();
  const file = join(folder, `${cell.name}.yaml`);
  const log = join(folder, `${cell.name}.gateway.log`);
  const state = join(folder, `${cell.name}.state`);
  await mkdir(state);
  await writeFile(file, stringify(gatewayConfiguration(port, upstream(state))));
  const gateway = new Running(process.execPath, [join(ROOT, 'src/cli/main.ts'), 'serve', '--config', file], environment);
  const stop = async (): Promise<string | undefined> => {
    const problem = await endingProblem('Turnpike', gateway);
    await writeFile(log, gateway.output);
    return problem;
  };
  try {
    await waitFor(gateway, READY_MS, () => isReady(`http://localhost:${port}/readyz`));
  } catch (error) {
    await stop();
    throw new Error(`Turnpike: ${(error as Error).message}`);
  }
  const url = `http://localhost:${port}/mcp`;
  if (cell.revision === '2026-07-28' && cell.fixture === 'legacy' && cell.through === 'stdio') await warm(url);
  return { url, stop };
}

/**
 * Calls once with nothing declared, and once with forms: for each, a legacy upstream gets a process. `server-stateless` waits
 * 600 ms for an answer, and on a busy machine a process starts more slowly.
 */
async function warm(url: string): Promise<void> {
  const headers = {
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
    'mcp-protocol-version': '2026-07-28',
    'mcp-method': 'tools/call',
    'mcp-name': 'greet',
  };
  for (const capabilities of [{}, { elicitation: {} }]) {
    const _meta = { 'io.modelcontextprotocol/protocolVersion': '2026-07-28', 'io.modelcontextprotocol/clientCapabilities': capabilities };
    const body = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'greet', arguments: { name: 'warm' }, _meta } };
    const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body), signal: AbortSignal.timeout(READY_MS) });
    const text = await response.text();
    if (!text.includes('Hello, warm!')) throw new Error(`a first call was answered with ${response.status} ${text.slice(0, 500)}`);
  }
}

function fixtureUpstream(cell: Cell, url: string, state: string): object {
  if (cell.through !== 'stdio') return { type: 'streamable-http', url };
  // The referee changes lists by calls, and each caller has a process of its own.
  const env = { FIXTURE_STATE: state };
  return { type: 'stdio', command: process.execPath, args: [fixturePath(cell), '--stdio'], cwd: ROOT, env };
}

/** One upstream under its own names, nothing held back, no limit in the way. */
function gatewayConfiguration(port: number, reach: object): object {
  return {
    listen: { port },
    store: { type: 'memory' },
    upstreams: [{ name: 'fixture', ...reach, required: true, naming: 'passthrough', tools: { trustAnnotations: true } }],
    policy: { yolo: true },
    limits: { ip: 10_000, ipBurst: 10_000, user: 10_000, userBurst: 10_000, sessions: 10_000 },
  };
}

async function isReady(url: string): Promise<true | undefined> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(2000) });
    await response.body?.cancel();
    return response.status === 200 ? true : undefined;
  } catch {
    return undefined;
  }
}

async function endingProblem(what: string, running: Running | undefined): Promise<string | undefined> {
  if (!running) return undefined;
  if (!running.alive) return `${what} ended before it was asked to (exit ${running.child.exitCode ?? running.child.signalCode})`;
  const code = await running.stop(GRACE_MS);
  return code === 0 ? undefined : `${what} ended with ${code === null ? 'a kill' : `exit ${code}`} when it was asked to`;
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}
