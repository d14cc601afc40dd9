import { PassThrough, Writable } from 'node:stream';
import { type ConfigDocument, configFrom } from '../config-from.ts';
import type { Clock } from '../core/clock.ts';
import { systemClock } from '../core/clock.ts';
import type { JsonObject } from '../core/mcp.ts';
import { createGateway, type Gateway } from '../gateway.ts';
import { type Logger, silentLogger } from '../telemetry/log.ts';
import type { FakeUpstream } from './fake-upstream.ts';
import { TestClient, type TestClientOptions } from './test-client.ts';

export interface TestGatewayOptions {
  /** Its upstreams, under their names. */
  readonly upstreams?: readonly FakeUpstream[];
  /** Settings of single upstreams, by name: `{ tools: { deny: ['drop_*'] } }`. */
  readonly settings?: Readonly<Record<string, object>>;
  /** The rest of the configuration. `upstreams` in it are real ones, which are not replaced. */
  readonly config?: ConfigDocument;
  readonly clock?: Clock;
  /** Default: silent. */
  readonly logger?: Logger;
}

/** A gateway without listener, file and process, with what tests look at. */
export interface TestGateway extends AsyncDisposable {
  /** The same gateway that `createGateway` gives. */
  readonly gateway: Gateway;
  /** Audit records so far, oldest first. One is written a moment after its answer. */
  readonly audit: readonly JsonObject[];
  /** A client on a pipe of its own, after its handshake. Ends with the gateway, if not before. */
  client(options?: TestClientOptions): Promise<TestClient>;
}

/** How long the first attempt of the upstreams may take, for a test that waits for it. Milliseconds. */
const PATIENCE_MS = 10_000;

/**
 * The whole gateway in memory: real configuration, catalog, policy, pool, router and audit, between clients on pipes in this
 * process and `FakeUpstream`s. Resolves when every upstream was tried. Throws as `configFrom` and `createGateway`.
 */
export async function createTestGateway(options: TestGatewayOptions = {}): Promise<TestGateway> {
  const { upstreams = [], settings = {}, config: document = {}, clock = systemClock, logger = silentLogger } = options;
  const fakes = new Map(upstreams.map((upstream) => [upstream.name, upstream]));
  // Never launched: the transport is the fake's. With a folder of its own no state directory is made for it.
  const entries = upstreams.map(({ name }) => ({ name, type: 'stdio' as const, command: name, cwd: '/', ...settings[name] }));
  const { telemetry, upstreams: real = [], ...others } = document;
  const config = await configFrom({ ...others, upstreams: [...entries, ...real], telemetry: { audit: { file: '-' }, ...telemetry } });
  const audit: JsonObject[] = [];
  const gateway = await createGateway(config, {
    clock,
    logger,
    listener: false,
    auditStream: linesInto(audit),
    transport: ({ name }) => fakes.get(name)?.transport(),
  });
  try {
    await gateway.start(AbortSignal.timeout(PATIENCE_MS));
    await gateway.settled(AbortSignal.timeout(PATIENCE_MS));
  } catch (error) {
    await gateway[Symbol.asyncDispose]();
    throw error;
  }
  const pipes = new AbortController();
  return {
    gateway,
    audit,
    async client(clientOptions) {
      const [toGateway, fromGateway] = [new PassThrough(), new PassThrough()];
      const over = gateway.serveStdio(toGateway, fromGateway, pipes.signal).finally(() => fromGateway.end());
      const client = new TestClient({ output: toGateway, input: fromGateway, over }, clientOptions);
      await client.initialize();
      return client;
    },
    async [Symbol.asyncDispose]() {
      pipes.abort();
      await gateway[Symbol.asyncDispose]();
    },
  };
}

function linesInto(records: JsonObject[]): Writable {
  let rest = '';
  return new Writable({
    write(chunk: Buffer, _encoding, done) {
      const lines = (rest + chunk.toString('utf8')).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) records.push(JSON.parse(line) as JsonObject);
      done();
    },
  });
}
