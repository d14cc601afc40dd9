import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Clock } from '../../src/core/clock.ts';
import { type ConfigDocument, type Connection, configFrom, Launcher } from '../../src/launcher/index.ts';
import { MARK, newMark, processesWithMark, until } from '../fixtures/processes.ts';

const LEGACY = fileURLToPath(new URL('../fixtures/legacy/server.ts', import.meta.url));
const GRANDCHILD = fileURLToPath(new URL('../security/kit/with-grandchild.ts', import.meta.url));

type Upstream = NonNullable<ConfigDocument['upstreams']>[number];

/** A launcher as a program of somebody's has it, with real children that are counted. */
export class LauncherRig implements AsyncDisposable {
  readonly launcher: Launcher;
  readonly folder: string;
  readonly mark: string;

  private constructor(launcher: Launcher, folder: string, mark: string) {
    this.launcher = launcher;
    this.folder = folder;
    this.mark = mark;
  }

  /** `make` gives the upstreams; `child` makes one that is found again. */
  static async start(
    make: (child: (name: string, more?: object) => Upstream) => readonly Upstream[],
    more: {
      readonly pool?: ConfigDocument['pool'];
      readonly clock?: Clock;
      readonly environment?: NodeJS.ProcessEnv;
      readonly signal?: AbortSignal;
    } = {},
  ): Promise<LauncherRig> {
    const folder = await mkdtemp(join(tmpdir(), 'turnpike-launcher-'));
    const mark = newMark();
    const child = (name: string, settings: object = {}): Upstream => ({
      name,
      type: 'stdio',
      command: process.execPath,
      args: [LEGACY, '--stdio'],
      env: { [MARK]: mark, FIXTURE_LOG: join(folder, 'log') },
      protocol: '2025-11-25',
      ...settings,
    });
    const { pool, ...options } = more;
    const config = await configFrom({ upstreams: [...make(child)], ...(pool === undefined ? {} : { pool }) }, { cwd: folder });
    return new LauncherRig(new Launcher({ config, ...options }), folder, mark);
  }

  /** Children that live. */
  async children(): Promise<number> {
    return (await processesWithMark(this.mark)).length;
  }

  /** Waits until so many live. */
  async until(count: number): Promise<void> {
    await until(
      () => this.children(),
      (live) => live === count,
      10_000,
    );
  }

  /** Events that the children's log holds. */
  async events(name: string): Promise<number> {
    const text = await readFile(join(this.folder, 'log'), 'utf8').catch(() => '');
    return text.split('\n').filter((line) => line !== '' && (JSON.parse(line) as { name?: string }).name === name).length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.launcher.close();
    await this.until(0);
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** A server with a helper; both ignore TERM and the end of their input. */
export const DEAF = { args: [GRANDCHILD, 'deaf', '--stdio'] };
/** A program that runs and never says anything. */
export const SILENT = { args: ['-e', 'setInterval(() => {}, 1e6)'] };

/** How often this child was called on this connection, this call included. */
export async function count(connection: Connection): Promise<unknown> {
  const { structuredContent } = await connection.callTool('counter');
  return (structuredContent as { connection: number }).connection;
}
