import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, cp, mkdir, readdir, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import manifest from '../../package.json' with { type: 'json' };
import { blocksOf, read } from '../docs/markdown.ts';
import { freePort } from '../fixtures/free-port.ts';
import { isAlive, until } from '../fixtures/processes.ts';
import { Rig, ROOT } from './cli-rig.ts';

const exec = promisify(execFile);
/** An install may have to fetch packages. Milliseconds. */
const SLOW = 300_000;

/** `turnpike/gitlab` by the table of gitlab.md 1.3 and by 2.5: who writes by the page has these types. */
const GITLAB = `
import type { IncomingMessage } from 'node:http';
import {
  AuthRateLimiter, CredentialRejectedError, DEFAULT_REVALIDATE_INTERVAL, extractCredential, extractToken, GitLabClient, GitLabClientPool, InvalidUrlError,
  MalformedCredentialError, type Metrics, PoolCapacityError, type Credential, type ServerFactory, ServerPool, type Snapshot, UpstreamUnavailableError,
} from 'turnpike/gitlab';

class Server {
  readonly client: GitLabClient;
  constructor(client: GitLabClient) {
    this.client = client;
  }
}
const factory: ServerFactory<Server> = (client: GitLabClient) => new Server(client);
const slow: ServerFactory<string> = async (client) => client.apiUrl;
export const texts = new ServerPool({}, slow);
const config = { gitlabUrl: 'https://gitlab.com', skipTlsVerify: false, caFile: undefined, proxy: undefined };
const pool: ServerPool<Server> = new ServerPool<Server>(config, factory, { maxSize: 100, revalidateInterval: DEFAULT_REVALIDATE_INTERVAL });
export async function use(request: Request, headers: Headers, incoming: IncomingMessage, signal: AbortSignal): Promise<Snapshot> {
  const token: string = extractToken(request) || extractToken(headers) || extractToken(incoming);
  const credential: Credential | undefined = extractCredential(request) ?? extractCredential(headers) ?? extractCredential(incoming);
  const server: Server = await pool.getOrCreate(token);
  const other: Server = await pool.getOrCreate(token, { gitlabUrl: 'https://git.example.com', kind: credential?.kind ?? 'job-token', signal });
  pool.startRevalidation(signal);
  const { hits, misses, evictions, revalidationsFailed, revalidationsSucceeded }: Metrics = pool.metrics;
  const size: number = pool.size() + hits + misses + evictions + revalidationsFailed + revalidationsSucceeded;
  const { current_size, max_size, revalidations_failed, revalidations_succeeded } = pool.stats();
  const created: string = pool.stats().created_at;
  console.log(server.client === other.client, size, current_size, max_size, revalidations_failed, revalidations_succeeded, created);
  await pool.close();
  return pool.stats();
}
export function blocked(ip: string): boolean {
  const limiter = new AuthRateLimiter(10, 60_000);
  limiter.recordFailure(ip);
  limiter.cleanup();
  return limiter.isBlocked(ip);
}
export async function connect(): Promise<number> {
  const settings = { maxSize: 1, idleTimeout: 1_000, cleanupInterval: 1_000, httpProxy: undefined, httpsProxy: undefined, noProxy: undefined };
  const instances = new GitLabClientPool({ ...settings, rejectUnauthorized: true, caCertPath: undefined });
  const lease = await instances.getOrCreate('https://gitlab.com');
  lease.release('ok');
  const known: boolean = instances.get('https://gitlab.com') !== undefined;
  await instances.close();
  return instances.size() + instances.stats().hits + Number(known);
}
export const errors = [MalformedCredentialError, CredentialRejectedError, UpstreamUnavailableError, InvalidUrlError, PoolCapacityError];
`;

let rig: Rig;
let installed = '';

/** A Node below 24, as newcomers have it. */
async function oldNode(): Promise<string | undefined> {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    const node = join(folder, 'node');
    if (folder === '' || !existsSync(node)) continue;
    const { stdout } = await exec(node, ['--version']).catch(() => ({ stdout: '' }));
    if (/^v\d+/.test(stdout) && Number.parseInt(stdout.slice(1), 10) < 24) return node;
  }
  return undefined;
}
const old = await oldNode();

// Once for all: packing builds, installing resolves every dependency.
beforeAll(async () => {
  rig = await Rig.make();
  const packed = join(rig.folder, 'packed');
  await mkdir(packed);
  // A copy, because packing builds anew and other tests may be using the build of the clone.
  const clone = join(rig.folder, 'clone');
  const left = new Set(['node_modules', '.git', 'dist', 'results', 'coverage']);
  await mkdir(clone);
  for (const name of await readdir(ROOT)) if (!left.has(name)) await cp(join(ROOT, name), join(clone, name), { recursive: true });
  await exec('ln', ['-s', join(ROOT, 'node_modules'), join(clone, 'node_modules')]);
  await exec('npm', ['pack', '--pack-destination', packed], { cwd: clone });
  const [tarball = ''] = await readdir(packed);
  installed = join(rig.folder, 'user');
  await mkdir(installed);
  await writeFile(join(installed, 'package.json'), '{"private": true}');
  await exec('npm', ['install', '--omit=dev', '--prefer-offline', '--no-audit', '--no-fund', join(packed, tarball)], { cwd: installed });
}, SLOW);
afterAll(async () => {
  await rig[Symbol.asyncDispose]();
});

const bin = () => join(installed, 'node_modules/turnpike/bin/turnpike.cjs');

describe('the package, installed elsewhere', () => {
  it('has a command that knows its version', async () => {
    const { stdout } = await exec('npx', ['--no', 'turnpike', 'version'], { cwd: installed });
    expect(stdout).toBe(`${manifest.version}\n`);
  });

  it('holds what it needs and nothing else', async () => {
    const names = await readdir(join(installed, 'node_modules/turnpike'));
    expect(names).toEqual(expect.arrayContaining(['bin', 'dist', 'package.json', 'turnpike.schema.json']));
    expect(names).not.toEqual(expect.arrayContaining(['src']));
    const built = await readdir(join(installed, 'node_modules/turnpike/dist'), { recursive: true });
    expect(built.filter((name) => name.includes('.test.'))).toEqual([]);
    expect(existsSync(join(installed, 'node_modules/vitest'))).toBe(false);
  });

  it('every export can be imported', async () => {
    const paths = Object.keys(manifest.exports).filter((path) => !path.endsWith('.json'));
    const script = paths.map((path) => `await import(${JSON.stringify(`turnpike${path.slice(1)}`)});`).join('');
    await exec(process.execPath, ['--input-type=module', '-e', script], { cwd: installed });
  });
});

describe('as a library', () => {
  const pages = ['docs/guides/library.md', 'docs/guides/gitlab-library.md', 'docs/migration/gitlab-server-pool.md'];
  const blocks = pages.flatMap((page) => blocksOf(read(page))).filter(({ language }) => language === 'ts');

  it('every example of the guides has its types, and so has every import', async () => {
    const folder = join(installed, 'examples');
    await mkdir(folder);
    for (const [index, { text }] of blocks.entries()) await writeFile(join(folder, `example-${index}.mts`), text);
    const all = Object.keys(manifest.exports).flatMap((path, index) =>
      path.endsWith('.json') ? [] : [`import * as m${index} from 'turnpike${path.slice(1)}';`, `export const n${index}: object = m${index};`],
    );
    await writeFile(join(folder, 'all.mts'), all.join('\n'));
    await writeFile(join(folder, 'gitlab.mts'), GITLAB);
    // A name that is not there must fail: types that resolve to nothing would take everything.
    await writeFile(join(folder, 'wrong.mts'), "// @ts-expect-error\nimport { noSuchName } from 'turnpike/launcher';\nexport default noSuchName;\n");
    const compilerOptions = {
      ...{ target: 'es2024', lib: ['es2024', 'esnext.disposable'], module: 'nodenext', strict: true, exactOptionalPropertyTypes: true },
      ...{ noEmit: true, skipLibCheck: false, types: ['node'], typeRoots: [join(ROOT, 'node_modules/@types')] },
    };
    await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['*.mts'] }));
    const { stdout } = await exec(join(ROOT, 'node_modules/.bin/tsc'), ['-p', folder]).catch((error: { stdout: string }) => error);
    expect(stdout).toBe('');
    expect(blocks.length).toBeGreaterThanOrEqual(5);
  });

  it('the examples that are programs run', async () => {
    const programs = [...blocks.entries()].filter(([, { mark }]) => mark === 'program');
    expect(programs).toHaveLength(4);
    for (const [index] of programs)
      await exec(process.execPath, [join(installed, 'examples', `example-${index}.mts`)], { cwd: installed, timeout: 30_000 });
  });
});

describe('the bootstrap', () => {
  it('is not built: one line, 1', async () => {
    const folder = join(rig.folder, 'bare');
    await mkdir(join(folder, 'bin'), { recursive: true });
    await cp(join(ROOT, 'bin/turnpike.cjs'), join(folder, 'bin/turnpike.cjs'));
    const ended = await rig.run(['version'], { command: [process.execPath, join(folder, 'bin/turnpike.cjs')] });
    expect(ended).toEqual({ code: 1, out: '', err: `turnpike: is not built. Run npm run build in ${folder}.\n` });
  });

  const onOld = old === undefined ? it.skip : it;
  if (old === undefined) process.stderr.write('skipped: the bootstrap on an old Node (no Node below 24 in PATH)\n');

  onOld('an old Node without a bundled one says what is needed in one line', async () => {
    const ended = await rig.run(['version'], { command: [old ?? '', join(rig.folder, 'bare/bin/turnpike.cjs')] });
    expect([ended.code, ended.out]).toEqual([1, '']);
    expect(ended.err).toMatch(/^turnpike: needs Node 24 or newer; this is Node \d+\.\d+\.\d+\. Install one from https:\/\/nodejs\.org\.\n$/);
  });

  onOld('an old Node hands over, and passes on arguments, streams and exit codes', async () => {
    const command = [old ?? '', bin()];
    expect(await rig.run(['version'], { command })).toEqual({ code: 0, out: `${manifest.version}\n`, err: '' });
    expect((await rig.run(['srve'], { command })).code).toBe(2);
    expect((await rig.run(['check', 'none.yaml'], { command })).code).toBe(1);
  });

  onOld('an old Node passes signals on: one asks, the next one ends', async () => {
    const port = await freePort();
    const gateway = rig.start(['serve', `--listen-port=${port}`, '--store-type=memory'], { command: [old ?? '', bin()] });
    await gateway.until(/lists every setting/);
    gateway.child.kill('SIGTERM');
    expect(await gateway.ended).toBe(0);
    expect(gateway.err()).toContain('Stopping');
  });

  onOld('kill -9 of the bootstrap ends the gateway', async () => {
    const port = await freePort();
    const gateway = rig.start(['serve', `--listen-port=${port}`, '--store-type=memory'], { command: [old ?? '', bin()] });
    await gateway.until(/lists every setting/);
    const { stdout } = await exec('ps', ['-o', 'pid=', '--ppid', String(gateway.child.pid)]);
    const real = Number.parseInt(stdout, 10);
    expect(await isAlive(real)).toBe(true);
    gateway.child.kill('SIGKILL');
    await until(
      () => isAlive(real),
      (alive) => !alive,
      10_000,
    );
  });

  onOld('dies by the signal that killed the gateway', async () => {
    const port = await freePort();
    const gateway = rig.start(['serve', `--listen-port=${port}`, '--store-type=memory'], { command: [old ?? '', bin()] });
    await gateway.until(/lists every setting/);
    const { stdout } = await exec('ps', ['-o', 'pid=', '--ppid', String(gateway.child.pid)]);
    process.kill(Number.parseInt(stdout, 10), 'SIGKILL');
    expect(await gateway.ended).toBe('SIGKILL');
  });
});

describe('prepare', () => {
  it('passes where the compiler is absent', async () => {
    const folder = join(rig.folder, 'no-compiler');
    await mkdir(join(folder, 'scripts'), { recursive: true });
    await cp(join(ROOT, 'scripts/prepare.cjs'), join(folder, 'scripts/prepare.cjs'));
    await chmod(join(folder, 'scripts/prepare.cjs'), 0o644);
    const command = [process.execPath, join(folder, 'scripts/prepare.cjs')];
    expect(await rig.run([], { command })).toEqual({ code: 0, out: 'prepare: no TypeScript here; nothing was built.\n', err: '' });
    await mkdir(join(folder, 'dist/cli'), { recursive: true });
    await writeFile(join(folder, 'dist/cli/main.js'), '');
    expect(await rig.run([], { command })).toEqual({ code: 0, out: 'prepare: no TypeScript here; the build in dist is used.\n', err: '' });
    expect(existsSync(join(folder, 'dist/cli/main.js'))).toBe(true);
  });
});
