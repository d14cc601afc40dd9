import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadConfig } from '../../config/load.ts';
import { sha256 } from '../../core/secret.ts';
import { sampleSurroundings } from '../sample-surroundings.ts';
import { type InitOptions, init } from './init.ts';
import type { Questions } from './questions.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'turnpike-init-'));
  await mkdir(join(folder, 'home', '.cursor'), { recursive: true });
  await mkdir(join(folder, 'app'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const CURSOR = { mcpServers: { files: { command: 'mcp-files', env: { FILES_TOKEN: "it's-a-secret" } } } };
const PROJECT = { mcpServers: { search: { url: 'https://search.example.com/mcp' } } };

async function clients(): Promise<void> {
  await writeFile(join(folder, 'home', '.cursor', 'mcp.json'), JSON.stringify(CURSOR));
  await writeFile(join(folder, 'app', '.mcp.json'), JSON.stringify(PROJECT));
}

const path = (...parts: string[]) => join(folder, 'app', ...parts);
const written = (name = 'turnpike.yaml') => readFile(path(name), 'utf8');

/** Answers in the order of the questions; what is asked is kept. A question without an answer is cancelled. */
function scripted(answers: readonly unknown[]): { readonly questions: Questions; readonly asked: string[] } {
  const left = [...answers];
  const asked: string[] = [];
  const next = (message: string): unknown => {
    asked.push(message);
    return left.shift();
  };
  const questions: Questions = {
    open: () => {},
    close: () => {},
    async several(message, choices) {
      const wanted = next(`${message}: ${choices.map(({ label }) => label).join('; ')}`) as string[] | undefined;
      return wanted && choices.filter(({ label }) => wanted.some((one) => label.startsWith(one))).map(({ value }) => value);
    },
    yes: async (message) => next(message) as boolean | undefined,
    async text(message, otherwise, problem) {
      const answer = next(message) as string | undefined;
      const taken = answer === '' ? otherwise : answer;
      if (taken !== undefined) expect(problem(taken)).toBeUndefined();
      return taken;
    },
  };
  return { questions, asked };
}

async function run(options: Partial<InitOptions> = {}, answers?: readonly unknown[]) {
  const sample = sampleSurroundings({ env: { HOME: join(folder, 'home') }, cwd: path() });
  const stdin = Object.assign(Readable.from([]), { isTTY: answers !== undefined });
  const { questions, asked } = scripted(answers ?? []);
  const all: InitOptions = { output: 'turnpike.yaml', token: false, force: false, yes: answers === undefined, platform: 'linux', ...options };
  const code = await init(all, { ...sample, stdin }, async () => questions);
  return { code, out: sample.out(), err: sample.err(), asked };
}

describe('without questions', () => {
  it('writes what is found, for its owner only, and says what to set', async () => {
    await clients();
    const { code, out, err } = await run();
    expect(code).toBe(0);
    expect((await stat(path('turnpike.yaml'))).mode & 0o777).toBe(0o600);
    const { config } = await loadConfig({ cwd: path(), env: { HOME: folder, FILES_TOKEN: 'x' } });
    expect(config.upstreams.map(({ name }) => name)).toEqual(['search', 'files']);
    expect(config.listen).toMatchObject({ host: '127.0.0.1', port: 8080 });
    expect(await written()).not.toContain('a-secret');
    expect(out).toContain(
      'Set these variables before you start, for the file refers to them:\n  FILES_TOKEN    mcpServers.files.env.FILES_TOKEN in ~/.cursor/mcp.json\n',
    );
    expect(err).toBe('Warning: turnpike.yaml holds variables in place of 1 secret of the imported servers.\n');
  });

  it('without any client there is a file to go on from', async () => {
    expect(await run()).toMatchObject({ code: 0, err: '' });
    const { config, warnings } = await loadConfig({ cwd: path(), env: { HOME: folder } });
    expect([config.upstreams, warnings]).toEqual([[], []]);
    // The examples in its comments are good ones.
    const own = await written();
    const examples = own
      .slice(own.indexOf('listen:'))
      .replace('upstreams: []\n', 'upstreams:\n')
      .replaceAll(/^#( {2}- name| {4}\w)/gm, '$1')
      .replaceAll(/^# (policy:| {2}\w)/gm, '$1');
    await writeFile(path('examples.yaml'), examples.replace('UPSTREAM:TOOL', 'files:delete'));
    const { config: shown } = await loadConfig({ file: 'examples.yaml', cwd: path(), env: { HOME: folder, FILES_API_KEY: 'x' } });
    expect(shown.upstreams.map(({ name }) => name)).toEqual(['files', 'search']);
    expect(shown.policy).toMatchObject({ nonDestructive: true, denylist: { except: ['files:delete'] } });
  });

  it('leaves a file that exists as it is, unless it is told to replace it', async () => {
    await writeFile(path('turnpike.yaml'), 'mine');
    expect(await run()).toMatchObject({
      code: 1,
      err: 'turnpike: turnpike.yaml exists and was left as it is. Replace it with --force, or name another file with --output.\n',
    });
    expect(await written()).toBe('mine');
    expect((await run({ output: 'other.yaml' })).code).toBe(0);
    expect((await run({ force: true })).code).toBe(0);
    expect(await written()).toContain('Turnpike');
  });

  it('writes secrets for a shell to read, and never over a file', async () => {
    await clients();
    await writeFile(path('taken.env'), 'mine');
    expect(await run({ secrets: 'taken.env' })).toMatchObject({
      code: 1,
      err: expect.stringContaining('taken.env exists and was left as it is, and nothing was written.'),
    });
    await expect(written()).rejects.toThrow('ENOENT');
    expect(await written('taken.env')).toBe('mine');
    const { code, out } = await run({ secrets: 'my.env' });
    expect(code).toBe(0);
    expect(await written('my.env')).toContain("FILES_TOKEN='it'\\''s-a-secret'\n");
    expect((await stat(path('my.env'))).mode & 0o777).toBe(0o600);
    expect(out).toContain('  set -a; . ./my.env; set +a; turnpike serve\n');
    expect(out).not.toContain('Set these variables');
  });

  it('makes a token that is shown once and kept as a hash', async () => {
    const { out } = await run({ token: true, port: 9000 });
    const token = /\n {2}([\w-]{43})\n/.exec(out)?.[1] ?? '';
    const { config } = await loadConfig({ cwd: path(), env: { HOME: folder } });
    expect(config.auth.static).toMatchObject([{ name: 'me', sha256: sha256(token).toString('hex') }]);
    expect(config.auth.modes).toEqual(['static']);
    expect(config.listen.port).toBe(9000);
    expect(await written()).not.toContain(token);
  });

  it('imports the files that are named, and nothing else', async () => {
    await clients();
    await run({ imports: ['.mcp.json'] });
    expect(await written()).toContain('search');
    expect(await written()).not.toContain('files');
    await run({ imports: [], force: true });
    expect(await written()).not.toContain('search.example.com\n    type');
    expect((await loadConfig({ cwd: path(), env: { HOME: folder } })).config.upstreams).toEqual([]);
  });

  it.each([
    ['none.json', undefined, 'none.json does not exist'],
    ['broken.json', '{"mcpServers": {"a": {"env": {"K": "s3cret" "x": 1}}}}', 'broken.json 1:45 is no valid JSON'],
    ['list.json', '[1]', 'list.json holds no object'],
    ['other.json', '{"a": 1}', 'other.json names no servers (expected mcpServers, servers or context_servers)'],
  ])('%s: says what is wrong, quotes nothing, writes nothing', async (name, content, problem) => {
    if (content !== undefined) await writeFile(path(name), content);
    expect(await run({ imports: [name] })).toEqual({ code: 1, out: '', err: `turnpike: ${path(name)}${problem.slice(name.length)}\n`, asked: [] });
    await expect(written()).rejects.toThrow('ENOENT');
  });

  it('passes over a broken file that nobody named', async () => {
    await clients();
    await writeFile(path('.mcp.json'), '{');
    const { code, err } = await run();
    expect([code, err]).toEqual([0, expect.stringContaining(`${path('.mcp.json')} 1:2 is no valid JSON; it was not read\n`)]);
    expect(await written()).toContain('files');
  });
});

describe('with questions', () => {
  const questions = [
    'Take over the servers of: Claude Code, 1 server; Cursor, 1 server',
    'Port to listen on, for this machine only',
    'Must clients show a token? Without one, every program on this machine may call',
    'Write the 1 secret of these servers to turnpike.env, which only you can read?',
  ];

  it('asks what there is to decide, and does as it is told', async () => {
    await clients();
    const { code, asked } = await run({}, [['Cursor'], '9001', true, true]);
    expect(asked).toEqual(questions);
    expect(code).toBe(0);
    const { config } = await loadConfig({ cwd: path(), env: { HOME: folder, FILES_TOKEN: 'x' } });
    expect(config.upstreams.map(({ name }) => name)).toEqual(['files']);
    expect([config.listen.port, config.auth.modes]).toEqual([9001, ['static']]);
    expect(await written('turnpike.env')).toContain('FILES_TOKEN=');
  });

  it('asks before it replaces a file', async () => {
    await writeFile(path('turnpike.yaml'), 'mine');
    expect(await run({}, [false])).toMatchObject({ code: 1, asked: ['turnpike.yaml exists. Replace it?'] });
    expect(await written()).toBe('mine');
    expect((await run({}, [true, '', false])).code).toBe(0);
    expect(await written()).toContain('Turnpike');
  });

  it.each([0, 1, 2, 3])('writes nothing when question %d is cancelled', async (given) => {
    await clients();
    const { code, err, asked } = await run({}, [['Cursor'], '', false, true].slice(0, given));
    expect(asked).toEqual(questions.slice(0, given + 1));
    expect([code, err]).toEqual([1, 'turnpike: cancelled; nothing was written\n']);
    await expect(written()).rejects.toThrow('ENOENT');
    await expect(written('turnpike.env')).rejects.toThrow('ENOENT');
  });

  it('asks nobody where nobody can answer', async () => {
    expect(await run({ yes: false })).toMatchObject({ code: 2, asked: [], err: expect.stringContaining('Add --yes to take the defaults') });
    await expect(written()).rejects.toThrow('ENOENT');
  });
});
