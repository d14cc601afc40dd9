import { PassThrough } from 'node:stream';
import { loadConfig } from '../config/load.ts';
import { toJson } from '../core/json.ts';
import { isJsonObject, type JsonObject } from '../core/mcp.ts';
import { createGateway } from '../gateway.ts';
import { createLogger } from '../telemetry/log.ts';
import { packageVersion } from '../version.ts';
import { runScenario, SCENARIOS } from './conformance-scenarios.ts';
import { EXIT, type ExitCode } from './exit-code.ts';
import { problemText } from './problem.ts';
import { ScriptedClient } from './scripted-client.ts';
import type { Surroundings } from './surroundings.ts';

/** Milliseconds; the referee waits 30 s. */
const LIMIT = 25_000;
const LEGACY = '2025-11-25';

/**
 * `turnpike conformance-client URL` (hidden): the client role of the MCP conformance suite. What is tested is Turnpike as a
 * client of an upstream, so a whole gateway runs in this process with the test server as its one upstream, and a scripted
 * client asks it, through its stdio front, for what the scenario demands.
 */
export async function conformanceClient(url: string, around: Surroundings): Promise<ExitCode> {
  const { env, stderr } = around;
  const scenario = env.MCP_CONFORMANCE_SCENARIO ?? '';
  const revision = env.MCP_CONFORMANCE_PROTOCOL_VERSION ?? LEGACY;
  if (!Object.hasOwn(SCENARIOS, scenario)) {
    stderr.write(`turnpike: the scenario '${scenario}' (MCP_CONFORMANCE_SCENARIO) is not driven here\n`);
    return EXIT.failed;
  }
  const signal = AbortSignal.timeout(LIMIT);
  const { config } = await loadConfig({
    file: 'conformance.json',
    cwd: '/',
    env: { HOME: '/' },
    stdio: true,
    readFile: async () => toJson(settings(url)),
  });
  const logger = createLogger({ level: 'debug', format: 'json', sink: { write: (line) => stderr.write(line) } });
  const life = new AbortController();
  const gateway = await createGateway(config, { environment: env, stdio: true, logger, version: packageVersion(), terminal: false });
  const input = new PassThrough();
  const output = new PassThrough();
  const client = new ScriptedClient(input, output, revision === LEGACY ? 'legacy' : 'modern', signal);
  let serving: Promise<void> | undefined;
  try {
    await gateway.start(life.signal);
    await gateway.settled(signal);
    serving = gateway.serveStdio(input, output, life.signal);
    await runScenario(scenario, client, contextOf(env.MCP_CONFORMANCE_CONTEXT));
    return EXIT.done;
  } catch (error) {
    stderr.write(`turnpike: ${scenario}: ${problemText(error)}\n`);
    return EXIT.failed;
  } finally {
    input.end();
    await serving?.catch((error: unknown) => void stderr.write(`turnpike: ${problemText(error)}\n`));
    life.abort();
    await gateway[Symbol.asyncDispose]();
  }
}

/** One upstream under its own names, nothing held back. The era is probed, as it is for every upstream. */
function settings(url: string): JsonObject {
  return {
    store: { type: 'memory' },
    telemetry: { audit: { file: '-' } },
    policy: { yolo: true },
    upstreams: [{ name: 'referee', type: 'streamable-http', url, naming: 'passthrough' }],
  };
}

function contextOf(text: string | undefined): JsonObject {
  const parsed: unknown = text === undefined ? {} : JSON.parse(text);
  return isJsonObject(parsed) ? parsed : {};
}
