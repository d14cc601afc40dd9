import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { loadConfig } from '../../../src/config/load.ts';
import type { JsonObject } from '../../../src/core/mcp.ts';
import { createGateway, type Gateway } from '../../../src/gateway.ts';
import { createLogger } from '../../../src/telemetry/log.ts';
import { LegacyClient, ModernClient, type SessionOptions } from './clients.ts';
import { get } from './http.ts';

/** Three people: two share a tenant, none shares a token. */
export const USERS = {
  alice: { token: 'tok-alice-5d1c9a', tenant: 'red' },
  bob: { token: 'tok-bob-77e2f0', tenant: 'blue' },
  carol: { token: 'tok-carol-0b6634', tenant: 'red' },
} as const;
export type User = keyof typeof USERS;

/** `auth` with a static token for each of them, and no failure limit in the way. */
export const STATIC_AUTH = {
  modes: ['static'],
  failures: { max: 1_000_000 },
  static: Object.entries(USERS).map(([name, { token, tenant }]) => ({ name, token, tenant })),
};
/** Limits that no test meets by accident. */
export const WIDE_LIMITS = { ip: 1_000_000, ipBurst: 1_000_000, user: 1_000_000, userBurst: 1_000_000 };

/** Sections of `turnpike.yaml`; what is not given is open to the three users on any free port. */
export type Sections = Readonly<Record<string, unknown>>;

export function configurationText(folder: string, sections: Sections): string {
  const { listen, limits, telemetry, ...others } = sections as Record<string, object | undefined>;
  return stringify({
    listen: { port: 0, ...listen },
    auth: STATIC_AUTH,
    store: { type: 'memory', dir: folder },
    limits: { ...WIDE_LIMITS, ...limits },
    telemetry: { log: { level: 'debug', format: 'json' }, audit: { file: join(folder, 'audit.jsonl') }, ...telemetry },
    ...others,
  });
}

/** A gateway in this process, on a real socket, with everything it says kept. */
export class GatewayRig implements AsyncDisposable {
  readonly gateway: Gateway;
  readonly folder: string;
  readonly lines: string[];

  private constructor(gateway: Gateway, folder: string, lines: string[]) {
    this.gateway = gateway;
    this.folder = folder;
    this.lines = lines;
  }

  /** Starts it and waits for the first attempt of every upstream. */
  static async start(sections: Sections): Promise<GatewayRig> {
    const folder = await mkdtemp(join(tmpdir(), 'turnpike-security-'));
    try {
      const file = join(folder, 'turnpike.yaml');
      await writeFile(file, configurationText(folder, sections));
      const { config } = await loadConfig({ file, cwd: folder, env: { HOME: folder } });
      const lines: string[] = [];
      const logger = createLogger({ ...config.telemetry.log, sink: { write: (line) => lines.push(line) }, terminal: false });
      const gateway = await createGateway(config, { environment: process.env, logger });
      await gateway.start(AbortSignal.timeout(20_000));
      await gateway.settled(AbortSignal.timeout(20_000));
      return new GatewayRig(gateway, folder, lines);
    } catch (error) {
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
  }

  get url(): string {
    return this.gateway.endpoint;
  }

  get port(): number {
    return Number(new URL(this.url).port);
  }

  /** A stateless client; without a user, without a credential. */
  modern(user?: User): ModernClient {
    return new ModernClient(this.url, user && USERS[user].token);
  }

  /** A session client after its handshake. */
  session(user: User, options: SessionOptions = {}): Promise<LegacyClient> {
    return LegacyClient.open(this.url, USERS[user].token, options);
  }

  /** The audit records so far, once there are at least `least`; of one decision, if it is named. */
  async audit(least = 0, decision?: string): Promise<JsonObject[]> {
    for (const end = performance.now() + 5000; ; ) {
      const text = await readFile(join(this.folder, 'audit.jsonl'), 'utf8').catch(() => '');
      const lines = text.split('\n').filter((line) => line !== '');
      const records = lines.map((line) => JSON.parse(line) as JsonObject).filter((record) => decision === undefined || record.decision === decision);
      if (records.length >= least || performance.now() > end) return records;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  async metrics(): Promise<string> {
    return (await get(this.url.replace(/mcp$/, 'metrics'))).text;
  }

  /** The value of one sample, named with its labels as the exposition writes them; 0 if there is none. */
  async metric(sample: string): Promise<number> {
    const line = (await this.metrics()).split('\n').find((one) => one.startsWith(`${sample} `));
    return line === undefined ? 0 : Number(line.slice(sample.length + 1));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.gateway[Symbol.asyncDispose]();
    await rm(this.folder, { recursive: true, force: true });
  }
}
