import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { environmentOf, liveProcesses, type SeenProcess, until } from '../fixtures/processes.ts';

export const ROOT = join(import.meta.dirname, '../..');
export const MAIN = join(ROOT, 'src/cli/main.ts');

export interface Started {
  readonly child: ChildProcess;
  readonly out: () => string;
  readonly err: () => string;
  /** Exit code, or the signal that ended it. */
  readonly ended: Promise<number | string>;
  /** Resolves with what `probe` finds in both outputs. Throws when the process ends first, or after 20 s. */
  until(probe: RegExp): Promise<RegExpExecArray>;
}

export interface StartOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly command?: readonly string[];
  readonly input?: string;
  /** Leave standard input open. */
  readonly open?: boolean;
}

/** A folder for homes and files of one test file, and everything that was started, to be ended after it. */
export class Rig {
  readonly folder: string;
  readonly #started: Started[] = [];
  #homes = 0;

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async make(): Promise<Rig> {
    return new Rig(await mkdtemp(join(tmpdir(), 'turnpike-cli-')));
  }

  /** Starts the command line from the sources, with a home of its own and nothing else of our environment. */
  start(
    args: readonly string[],
    { env = {}, cwd = this.folder, command = [process.execPath, MAIN], input, open = false }: StartOptions = {},
  ): Started {
    const [program = process.execPath, ...before] = command;
    const child = spawn(program, [...before, ...args], {
      cwd,
      env: { PATH: process.env.PATH, HOME: this.folder, ...env },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    let out = '';
    let err = '';
    child.stdout?.on('data', (chunk: Buffer) => {
      out += chunk.toString();
    });
    child.stderr?.on('data', (chunk: Buffer) => {
      err += chunk.toString();
    });
    child.stdin?.on('error', () => {});
    if (input !== undefined) child.stdin?.write(input);
    if (!open) child.stdin?.end();
    const ended = new Promise<number | string>((resolve) => child.on('close', (code, signal) => resolve(code ?? signal ?? 'unknown')));
    let isOver = false;
    void ended.then(() => {
      isOver = true;
    });
    const until = async (probe: RegExp): Promise<RegExpExecArray> => {
      const deadline = performance.now() + 20_000;
      for (;;) {
        const found = probe.exec(out + err);
        if (found !== null) return found;
        if (isOver || performance.now() > deadline) throw new Error(`${probe} was not written:\n${out}\n${err}`);
        await delay(20);
      }
    };
    const started: Started = { child, out: () => out, err: () => err, ended, until };
    this.#started.push(started);
    return started;
  }

  /** A home that no other process has: children inherit it, and `leftIn` finds them by it. */
  async home(): Promise<string> {
    const home = join(this.folder, `home-${this.#homes++}`);
    await mkdir(home);
    return home;
  }

  /** Runs a command to its end. */
  async run(
    args: readonly string[],
    options: StartOptions = {},
  ): Promise<{ readonly code: number | string; readonly out: string; readonly err: string }> {
    const started = this.start(args, options);
    return { code: await started.ended, out: started.out(), err: started.err() };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { child, ended } of this.#started) {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
      await ended;
    }
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** Waits until no process lives that was started with this home; throws after 5 s. */
export async function leftIn(home: string): Promise<void> {
  await until(
    () => inHome(home),
    (left) => left.length === 0,
    5000,
  );
}

/** The processes that were started with this home. */
export async function inHome(home: string): Promise<SeenProcess[]> {
  const live = await liveProcesses();
  const own = await Promise.all(live.map(async ({ pid }) => (await environmentOf(pid)).includes(`HOME=${home}`)));
  return live.filter((_process, index) => own[index]);
}
