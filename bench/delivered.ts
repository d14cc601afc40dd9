// The gateway as it is delivered, in a process of its own.
import { spawnSync } from 'node:child_process';
import { hash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import type { Child } from './children.ts';
import { CORE } from './machine.ts';
import type { Options } from './options.ts';
import type { Run } from './run.ts';
import { type Target, TOKEN, target } from './stage.ts';

const root = join(import.meta.dirname, '..');
/** Milliseconds. */
const START = { deadline: 30_000, look: 25 } as const;

/** For `execArgv`: the process can then be asked as probe.ts says. */
export const PROBED: readonly string[] = ['--expose-gc', '--import', pathToFileURL(join(import.meta.dirname, 'probe.ts')).href];

/** Which program is started, and whether it writes a profile. */
export type Program = Pick<Options, 'gateway' | 'profile'>;

export interface GatewayOptions {
  readonly upstreams: readonly object[];
  /** Laid over the configuration, section by section. */
  readonly settings?: Readonly<Record<string, object>>;
  readonly execArgv?: readonly string[];
}

/** The gateway by its command line, with guard, authentication, policy, metrics, audit and log on, once its upstreams are connected. */
export async function gateway(run: Run, program: Program, { upstreams, settings = {}, execArgv = [] }: GatewayOptions) {
  const home = join(run.folder, `gateway-${Date.now()}`);
  await mkdir(home, { mode: 0o700 });
  const document: Record<string, object> = {
    listen: { port: 0, shutdownTimeout: '1s' },
    store: { type: 'memory', dir: home },
    telemetry: { log: { level: 'info', format: 'json' }, audit: { file: join(home, 'audit.jsonl') } },
    auth: { modes: ['static'], static: [{ name: 'bench', sha256: hash('sha256', TOKEN) }] },
    limits: { ip: 1e6, ipBurst: 1e6, user: 1e6, userBurst: 1e6 },
    // Every client of the load is the same principal, with sessions of its own.
    pool: { limits: { total: 2_000, perUpstream: 2_000, perPrincipal: 2_000 } },
    upstreams: upstreams.map((each) => ({ required: true, ...each })),
  };
  for (const [section, more] of Object.entries(settings)) document[section] = { ...document[section], ...more };
  const file = join(home, 'turnpike.json');
  await writeFile(file, JSON.stringify(document));
  const script = program.gateway === undefined ? build() : resolve(program.gateway);
  const profiling = program.profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${resolve(program.profile)}`];
  const child = run.start({ script, args: ['serve', '--config', file], core: CORE.subject, execArgv: [...profiling, ...execArgv] });
  const url = await ready(child);
  return {
    child,
    pid: child.pid,
    url,
    token: TOKEN,
    /** The tool `echo` of the upstream of this name. */
    at: (name: string): Target => target(child, url, `x_${name}_echo`),
    [Symbol.asyncDispose]: () => child[Symbol.asyncDispose](),
  };
}

/** Waits until every upstream is connected. Throws when the process ends, or after 30 s. Returns the endpoint. */
async function ready(child: Child): Promise<string> {
  const deadline = performance.now() + START.deadline;
  while (performance.now() < deadline) {
    child.alive();
    const url = /http:\/\/127\.0\.0\.1:\d+\/mcp/.exec(readFileSync(child.log, 'utf8'))?.[0];
    if (url !== undefined && (await fetch(new URL('/readyz', url))).ok) return url;
    await pause(START.look);
  }
  throw new Error(`the gateway is not ready after ${START.deadline / 1000} s: ${child.lastWords()}`);
}

/** The script of our build, which is made anew when something in `src` is newer. Throws when that fails. */
function build(): string {
  const script = join(root, 'bin/turnpike.cjs');
  const built = join(root, 'dist/cli/main.js');
  if (existsSync(built) && newest(join(root, 'src')) <= statSync(built).mtimeMs) return script;
  const { status, stdout } = spawnSync(process.execPath, [join(root, 'scripts/prepare.cjs')], {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (status !== 0) throw new Error(`the sources do not build (--gateway src/cli/main.ts runs them as they are):\n${stdout}`);
  return script;
}

function newest(folder: string): number {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((file) => file.isFile());
  return Math.max(...files.map((file) => statSync(join(file.parentPath, file.name)).mtimeMs));
}
