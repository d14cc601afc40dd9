import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { anchorsOf, blocksOf, linksOf, markdownFiles, ROOT, read } from './markdown.ts';

const FILES = markdownFiles();
const PAGE = '/etc/turnpike/turnpike.yaml';

/** What is wrong with the relative links of a page. */
function brokenLinks(name: string): string[] {
  return linksOf(read(name)).flatMap(({ target, line }) => {
    if (/^[a-z][a-z0-9+.-]*:/i.test(target)) return [];
    const [path = '', anchor] = target.split('#');
    const file = path === '' ? name : normalize(join(dirname(name), path));
    if (file.startsWith('..') || !existsSync(join(ROOT, file))) return [`${name}:${line} ${target}: no such file`];
    if (anchor !== undefined && !anchorsOf(read(file)).has(anchor)) return [`${name}:${line} ${target}: no such heading`];
    return [];
  });
}

/** Loads a configuration of a page: its variables are set and its files exist. Files hold what is a token as well as a key. */
async function load(text: string): Promise<void> {
  const value = (name: string) => createHash('sha256').update(name).digest('base64');
  const env = Object.fromEntries([...text.matchAll(/\$\{env:(\w+)\}/g)].map(([, name = '']) => [name, value(name)]));
  const readFile = async (path: string) => Buffer.from(path === PAGE ? text : `${value(path)}\n`);
  await loadConfig({ file: PAGE, cwd: '/', env: { HOME: '/home/turnpike', ...env }, readFile });
}

describe('Markdown', () => {
  it('is found', () => {
    expect(FILES).toEqual(expect.arrayContaining(['README.md', 'src/README.md', 'docs/guides/configuration.md', 'CHANGELOG.md', 'SECURITY.md']));
  });

  it.each(FILES)('%s: every relative link leads somewhere', (name) => {
    expect(brokenLinks(name)).toEqual([]);
  });

  it.each(FILES)('%s: every YAML block is marked as a configuration, and loads', async (name) => {
    for (const { language, mark, text, line } of blocksOf(read(name))) {
      if (language !== 'yaml') continue;
      expect(mark, `${name}:${line}`).toBe('turnpike');
      await expect(load(text), `${name}:${line}`).resolves.toBeUndefined();
    }
  });

  it.each(FILES)('%s: every JSON block parses', (name) => {
    for (const { language, text, line } of blocksOf(read(name))) {
      if (language === 'json') expect(() => JSON.parse(text), `${name}:${line}`).not.toThrow();
    }
  });

  it('knows what is broken', async () => {
    expect(linksOf('a [b](c.md#d) `[x](y)`\n```\n[e](f)\n```\n[g](h)')).toEqual([
      { target: 'c.md#d', line: 1 },
      { target: 'h', line: 5 },
    ]);
    expect([...anchorsOf('# What is *relayed*\n```\n# no\n```\n## `a/b` now')]).toEqual(['what-is-relayed', 'ab-now']);
    await expect(load('upstreams: [{name: a, type: stdio, comand: x}]\n')).rejects.toThrow('unknown key; did you mean "command"?');
  });
});
