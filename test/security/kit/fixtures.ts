import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { JsonObject } from '../../../src/core/mcp.ts';
import { get, send } from './http.ts';

export type Fixture = 'modern' | 'legacy';

export function fixturePath(era: Fixture): string {
  return fileURLToPath(new URL(`../../fixtures/${era}/server.ts`, import.meta.url));
}

/** `type`, `command`, `args` of an upstream entry that runs a fixture on a pipe. `log` is its request log. */
export function stdioFixture(era: Fixture, log?: string): JsonObject {
  return {
    type: 'stdio',
    command: process.execPath,
    args: [fixturePath(era), '--stdio'],
    ...(log === undefined ? {} : { env: { FIXTURE_LOG: log } }),
  };
}

/** A message that reached a fixture. */
export interface Logged {
  readonly kind: 'message' | 'event';
  readonly name?: string;
  readonly message?: JsonObject;
  readonly headers?: Readonly<Record<string, string>>;
  readonly [member: string]: unknown;
}

/** A fixture in a process of its own, over HTTP, with its request log. */
export class HttpFixture implements AsyncDisposable {
  readonly port: number;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.port = port;
  }

  static async start(era: Fixture): Promise<HttpFixture> {
    const child = spawn(process.execPath, [fixturePath(era), '--port', '0'], { stdio: ['ignore', 'ignore', 'pipe'] });
    const port = await new Promise<number>((resolve, reject) => {
      let words = '';
      child.stderr?.on('data', (chunk: Buffer) => {
        words += chunk.toString();
        const found = /listening on (\d+)/.exec(words);
        if (found !== null) resolve(Number(found[1]));
      });
      child.once('exit', () => reject(new Error(`the ${era} fixture did not start: ${words}`)));
    });
    return new HttpFixture(child, port);
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/mcp`;
  }

  async log(): Promise<Logged[]> {
    const { text } = await get(`http://127.0.0.1:${this.port}/log`);
    return (JSON.parse(text) as { entries: Logged[] }).entries;
  }

  /** Messages of one method. */
  async logged(method: string): Promise<Logged[]> {
    return (await this.log()).filter(({ message }) => message?.method === method);
  }

  async clear(): Promise<void> {
    await send(`http://127.0.0.1:${this.port}/log`, 'DELETE');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill('SIGKILL');
    await once(this.#child, 'exit');
  }
}
