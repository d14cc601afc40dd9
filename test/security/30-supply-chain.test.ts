import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/mcp.ts';
import { GatewayProcess } from './kit/process.ts';

/** Class 30: a launch line that fetches whatever is newest is said at the start, and refused where the operator wants that. */

const ROOT = join(import.meta.dirname, '../..');
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'turnpike-launchers-'));
  await mkdir(join(folder, 'bin'));
  // Stand-ins that fetch nothing and leave a trace when they are started.
  for (const name of ['npx', 'uvx', 'docker', 'pnpm', 'bunx', 'pipx', 'env']) {
    const file = join(folder, 'bin', name);
    await writeFile(file, `#!/bin/sh\necho "$0 $*" >> "${folder}/launched"\nexec sleep 60\n`);
    await chmod(file, 0o755);
  }
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const UNPINNED: readonly (readonly string[])[] = [
  ['npx', '-y', 'x'],
  ['npx', '@scope/x'],
  ['npx', '-y', 'x@latest'],
  ['npx', '-y', 'x@^1.2.3'],
  ['npx', '--package=x', 'run'],
  ['uvx', 'x'],
  ['uvx', '--from', 'x', 'run'],
  ['uvx', 'x@latest'],
  ['pipx', 'run', 'x'],
  ['bunx', 'x'],
  ['pnpm', 'dlx', 'x'],
  ['docker', 'run', '-i', '--rm', 'x'],
  ['docker', 'run', '-i', '--rm', 'registry.example.com:5000/x:latest'],
];
const PINNED: readonly (readonly string[])[] = [
  ['npx', '-y', 'x@1.2.3'],
  ['npx', '-y', '@scope/x@1.2.3'],
  ['uvx', 'x==1.2.3'],
  ['uvx', 'x@1.2.3'],
  ['docker', 'run', '-i', '--rm', `x@sha256:${'a'.repeat(64)}`],
];

const upstreams = (lines: readonly (readonly string[])[]): JsonObject[] =>
  lines.map(([command = '', ...args], index) => ({ name: `u${index}`, type: 'stdio', command, args, timeouts: { startup: '1s' } }));
const launched = () => (existsSync(join(folder, 'launched')) ? readFile(join(folder, 'launched'), 'utf8') : Promise.resolve(''));
const env = () => ({ PATH: `${join(folder, 'bin')}:${process.env.PATH}` });

describe('a real start', () => {
  it('says every launch line without a fixed version, and none with one', async () => {
    await using gateway = await GatewayProcess.spawn(() => ({ upstreams: upstreams([...UNPINNED, ...PINNED]) }), { env: env() });
    await gateway.says(/"upstream":"u17","state":"starting"/);
    const said = gateway.output.split('\n').filter((line) => line.includes('config/unpinned'));
    const names = said.map((line) => /"upstream":"(u\d+)"/.exec(line)?.[1]);
    expect(names.toSorted()).toEqual(UNPINNED.map((_line, index) => `u${index}`).toSorted());
    await gateway.end('SIGKILL');
    await rm(join(folder, 'launched'), { force: true });
  });

  it.each(UNPINNED.map((line) => [line.join(' '), line] as const))(
    'under policy.requirePinned refuses `%s` before anything is launched',
    async (_text, line) => {
      await using gateway = await GatewayProcess.spawn(() => ({ policy: { requirePinned: true }, upstreams: upstreams([line]) }), { env: env() });
      expect(await gateway.exited).toBe(1);
      expect(gateway.output).toContain("Refusing to start upstream 'u0'");
      expect(gateway.output).toContain('policy.requirePinned');
      expect(await launched()).toBe('');
    },
  );

  it('under policy.requirePinned starts what is pinned', async () => {
    await using gateway = await GatewayProcess.spawn(() => ({ policy: { requirePinned: true }, upstreams: upstreams(PINNED) }), { env: env() });
    await gateway.says(/"upstream":"u4","state":"starting"/);
    expect(gateway.output).not.toContain('config/unpinned');
    await gateway.end('SIGKILL');
  });
});

describe('our own packages', () => {
  it('are named by exact versions', async () => {
    const manifest = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as Record<string, Record<string, string>>;
    const all = Object.entries({ ...manifest.dependencies, ...manifest.devDependencies, ...manifest.optionalDependencies });
    expect(all.length).toBeGreaterThan(5);
    expect(all.filter(([, version]) => !/^\d+\.\d+\.\d+(-[0-9A-Za-z.]+)?$/.test(version))).toEqual([]);
  });

  it('are locked with a digest each, and none comes from anywhere but a registry', async () => {
    const lock = JSON.parse(await readFile(join(ROOT, 'package-lock.json'), 'utf8')) as {
      packages: Record<string, { integrity?: string; resolved?: string; link?: boolean; inBundle?: boolean }>;
    };
    const packages = Object.entries(lock.packages).filter(
      ([path, { link, inBundle }]) => path.includes('node_modules/') && link !== true && inBundle !== true,
    );
    expect(packages.length).toBeGreaterThan(20);
    expect(packages.filter(([, { integrity = '' }]) => !/^sha512-/.test(integrity)).map(([path]) => path)).toEqual([]);
    expect(packages.filter(([, { resolved = 'https:' }]) => !/^https:/.test(resolved)).map(([path]) => path)).toEqual([]);
  });
});
