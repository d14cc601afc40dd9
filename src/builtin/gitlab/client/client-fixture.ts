import type { ServerResponse } from 'node:http';
import { expect } from 'vitest';
import { type Clock, systemClock } from '../../../core/clock.ts';
import { Secret } from '../../../core/secret.ts';
import { type Handler, TestServer } from '../../../net/server-fixture.ts';
import type { CredentialKind } from './api.ts';
import { GitLabClient } from './gitlab-client.ts';
import { GitLabClientPool, type GitLabClientPoolOptions } from './instance-pool.ts';

export const TOKEN = 'glpat-abcdefghijklmnopqrst';
export const never = new AbortController().signal;

export async function collect<T>(values: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const value of values) all.push(value);
  return all;
}

/** Answers as GitLab does. */
export function json(response: ServerResponse, body: unknown, status = 200, headers: Record<string, string> = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
}

/** A server, a pool that may reach it, and clients of it. */
export class Rig implements AsyncDisposable {
  readonly server: TestServer;
  readonly pool: GitLabClientPool;
  readonly clock: Clock;
  readonly seen: string[] = [];
  readonly url: string;

  private constructor(server: TestServer, clock: Clock, prefix: string, pool: GitLabClientPoolOptions) {
    this.server = server;
    this.clock = clock;
    this.url = `http://127.0.0.1:${server.port}${prefix}`;
    this.pool = new GitLabClientPool({ clock, allowsPrivate: () => true, ...pool });
  }

  static async start(
    handler: Handler,
    { clock = systemClock, prefix = '', ...pool }: GitLabClientPoolOptions & { prefix?: string } = {},
  ): Promise<Rig> {
    return new Rig(await TestServer.start(handler), clock, prefix, pool);
  }

  client({ kind = 'private-token', random = 0, token = TOKEN }: { kind?: CredentialKind; random?: number; token?: string } = {}): GitLabClient {
    return new GitLabClient({
      apiUrl: this.url,
      credential: { kind, token: new Secret(token) },
      instances: this.pool,
      clock: this.clock,
      version: '1.2.3',
      random: () => random,
      observe: ({ method, status }) => this.seen.push(`${method} ${status}`),
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.pool.close();
    await this.server[Symbol.asyncDispose]();
  }
}

/** Resolves when the answer to the `count`th request was read, and its sender waits or is done. */
export async function resting(rig: Rig, count: number): Promise<void> {
  await expect.poll(() => [rig.server.requests.length, rig.pool.stats().active]).toEqual([count, 0]);
}
