import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MARK, newMark, processesWithMark, until } from '../../fixtures/processes.ts';
import { LegacyClient, ModernClient, type SessionOptions } from './clients.ts';
import { configurationText, type Sections, USERS, type User } from './gateway.ts';

const MAIN = fileURLToPath(new URL('../../../src/cli/main.ts', import.meta.url));

export interface ProcessOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Further arguments of `serve`. */
  readonly args?: readonly string[];
}

/** `turnpike serve` in a process of its own. Upstreams get the mark of the rig by `marked`, so that their processes can be counted. */
export class GatewayProcess implements AsyncDisposable {
  readonly folder: string;
  readonly mark: string;
  readonly child: ChildProcess;
  readonly #out: Buffer[] = [];
  readonly #err: Buffer[] = [];
  readonly #exited: Promise<number | string>;

  private constructor(folder: string, mark: string, child: ChildProcess) {
    this.folder = folder;
    this.mark = mark;
    this.child = child;
    child.stdout?.on('data', (chunk: Buffer) => this.#out.push(chunk));
    child.stderr?.on('data', (chunk: Buffer) => this.#err.push(chunk));
    child.stdin?.on('error', () => {});
    this.#exited = once(child, 'close').then(([code, signal]) => (code ?? signal) as number | string);
  }

  /** Starts it with what `sections` makes of folder and mark; does not wait. */
  static async spawn(sections: (folder: string, mark: string) => Sections, options: ProcessOptions = {}): Promise<GatewayProcess> {
    const folder = await mkdtemp(join(tmpdir(), 'turnpike-security-'));
    const mark = newMark();
    const file = join(folder, 'turnpike.yaml');
    await writeFile(file, configurationText(folder, sections(folder, mark)));
    const child = spawn(process.execPath, [MAIN, 'serve', '--config', file, ...(options.args ?? [])], {
      cwd: folder,
      env: { PATH: process.env.PATH, HOME: folder, ...options.env },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    return new GatewayProcess(folder, mark, child);
  }

  /** Starts it and waits until it listens and every upstream had its first attempt. */
  static async start(sections: (folder: string, mark: string) => Sections, options: ProcessOptions = {}): Promise<GatewayProcess> {
    const gateway = await GatewayProcess.spawn(sections, options);
    try {
      await gateway.says(/Connect a client/);
      return gateway;
    } catch (error) {
      await gateway[Symbol.asyncDispose]();
      throw error;
    }
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  /** Everything it wrote, both streams. */
  get output(): string {
    return Buffer.concat([...this.#out, ...this.#err]).toString('latin1');
  }

  get url(): string {
    return /https?:\/\/[^\s"]+\/mcp/.exec(this.output)?.[0] ?? '';
  }

  get port(): number {
    return Number(new URL(this.url).port);
  }

  get exited(): Promise<number | string> {
    return this.#exited;
  }

  async says(probe: RegExp, deadlineMs = 25_000): Promise<void> {
    await until(
      () => ({ said: probe.test(this.output), code: this.child.exitCode ?? this.child.signalCode, output: this.output }),
      ({ said, code, output }) => {
        if (!said && code !== null) throw new Error(`it ended with ${code}: ${output}`);
        return said;
      },
      deadlineMs,
    );
  }

  modern(user: User): ModernClient {
    return new ModernClient(this.url, USERS[user].token);
  }

  session(user: User, options: SessionOptions = {}): Promise<LegacyClient> {
    return LegacyClient.open(this.url, USERS[user].token, options);
  }

  /** Waits until as many marked processes live; throws after `deadlineMs`. */
  async processes(count: number, deadlineMs = 10_000): Promise<void> {
    await until(
      () => processesWithMark(this.mark),
      (live) => live.length === count,
      deadlineMs,
    );
  }

  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | string> {
    if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill(signal);
    return this.#exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end('SIGKILL');
    for (const { pid } of await processesWithMark(this.mark)) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It ended meanwhile.
      }
    }
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** The environment entry that marks the processes of a child. */
export function marked(mark: string): Record<string, string> {
  return { [MARK]: mark };
}
