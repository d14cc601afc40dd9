import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig } from './load.ts';
import { processSources, readFileBounded } from './sources.ts';

describe('readFileBounded', () => {
  let folder = '';
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'turnpike-config-'));
    await writeFile(join(folder, 'ten'), '0123456789');
    await writeFile(join(folder, 'turnpike.yaml'), 'listen: {port: 9001}\n');
    execFileSync('mkfifo', [join(folder, 'pipe')]);
  });
  afterAll(() => rm(folder, { recursive: true }));

  it('reads up to its bound and no further', async () => {
    expect(Buffer.from(await readFileBounded(join(folder, 'ten'), 10)).toString()).toBe('0123456789');
    await expect(readFileBounded(join(folder, 'ten'), 9)).rejects.toMatchObject({ code: 'EFBIG' });
  });

  it.each([
    ['absent', 'ENOENT'],
    ['.', 'EISDIR'],
    ['pipe', 'EINVAL'],
  ])('%s', async (name, code) => {
    await expect(readFileBounded(join(folder, name), 10)).rejects.toMatchObject({ code });
  });

  it('is how a configuration is read by default', async () => {
    const { config, provenance } = await loadConfig({ cwd: folder, env: { HOME: folder } });
    expect(config.listen.port).toBe(9001);
    expect(provenance.get('listen.port')).toEqual({ source: 'file', where: 'turnpike.yaml:1:16' });
  });
});

describe('processSources', () => {
  it('copies the environment', () => {
    const { cwd, env } = processSources();
    expect(cwd).toBe(process.cwd());
    expect(env).toEqual({ ...process.env });
    expect(env).not.toBe(process.env);
  });
});
