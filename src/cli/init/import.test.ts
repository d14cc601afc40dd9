// biome-ignore-all lint/suspicious/noTemplateCurlyInString: clients and our own file write their placeholders so.
import { describe, expect, it } from 'vitest';
import { compileGlob, type Glob } from '../../catalog/globs.ts';
import type { Result } from '../../core/result.ts';
import { closingText } from './report.ts';
import { CLAUDE_CODE, CURSOR, imported, upstreamsOf, VSCODE } from './sample-import.ts';

function okOf(result: Result<Glob, string>): Glob {
  if (!result.ok) throw new Error(result.error);
  return result.value;
}

describe('servers of clients', () => {
  it('Cursor: programs and addresses, with secrets as references and everything else as it is', async () => {
    const { draft, text, loaded } = await imported([
      CURSOR,
      `{
  // mine
  "mcpServers": {
    "github": {
      "command": "npx",
      "args": ["-y", "@modelcontextprotocol/server-github@2025.4.8"],
      "env": {"GITHUB_PERSONAL_ACCESS_TOKEN": "ghp_0123456789abcdefghijABCDEFGHIJ", "LOG_LEVEL": "debug", "MAX_TOKENS": "4096"},
    },
    "linear": {"url": "https://mcp.linear.app/mcp", "headers": {"Authorization": "Bearer lin_secret_1", "X-Team": "core"}}, /* over there */
  },
}`,
    ]);
    expect(upstreamsOf(loaded)).toEqual([
      {
        name: 'github',
        type: 'stdio',
        command: 'npx',
        args: ['-y', '@modelcontextprotocol/server-github@2025.4.8'],
        env: { GITHUB_PERSONAL_ACCESS_TOKEN: 'ghp_0123456789abcdefghijABCDEFGHIJ', LOG_LEVEL: 'debug', MAX_TOKENS: '4096' },
        cwd: '/users/me/.local/state/turnpike',
      },
      {
        name: 'linear',
        type: 'streamable-http',
        url: 'https://mcp.linear.app/mcp',
        headers: { 'X-Team': 'core' },
        auth: 'Authorization: Bearer lin_secret_1',
      },
    ]);
    expect(text).not.toMatch(/ghp_|lin_secret/);
    expect(text).toContain("GITHUB_PERSONAL_ACCESS_TOKEN: '${env:GITHUB_PERSONAL_ACCESS_TOKEN}'");
    expect(text).toContain('LOG_LEVEL: debug');
    expect(text).toContain("'4096'");
    expect(draft.variables).toEqual([
      {
        name: 'GITHUB_PERSONAL_ACCESS_TOKEN',
        value: 'ghp_0123456789abcdefghijABCDEFGHIJ',
        source: 'mcpServers.github.env.GITHUB_PERSONAL_ACCESS_TOKEN in ~/.cursor/mcp.json',
      },
      { name: 'LINEAR_TOKEN', value: 'lin_secret_1', source: 'mcpServers.linear.headers.Authorization in ~/.cursor/mcp.json' },
    ]);
    expect(draft.notes).toEqual([]);
  });

  it('VS Code: servers, inputs, its placeholders, and the folder of the project', async () => {
    const { draft, loaded } = await imported([
      VSCODE,
      {
        inputs: [{ type: 'promptString', id: 'perplexity-key', description: 'Perplexity API Key', password: true }],
        servers: {
          Perplexity: {
            type: 'stdio',
            command: 'docker',
            args: ['run', '-i', '-v', '${workspaceFolder}:/x'],
            env: { KEY: '${input:perplexity-key}', E: '${env:EDITOR}' },
            envFile: '${workspaceFolder}/.env',
          },
          fetch: {
            type: 'http',
            url: 'https://x.example.com/mcp',
            headers: { 'X-Key': '${input:perplexity-key}', 'X-Plain': '${workspaceFolderBasename}' },
          },
        },
      },
    ]);
    expect(upstreamsOf(loaded)).toEqual([
      {
        name: 'Perplexity',
        type: 'stdio',
        command: 'docker',
        args: ['run', '-i', '-v', '/srv/app:/x'],
        env: { KEY: 'outside-PERPLEXITY_KEY', E: 'outside-EDITOR' },
        cwd: '/srv/app',
      },
      {
        name: 'fetch',
        type: 'streamable-http',
        url: 'https://x.example.com/mcp',
        headers: { 'X-Plain': 'app' },
        auth: 'X-Key: outside-PERPLEXITY_KEY',
      },
    ]);
    expect(draft.variables).toEqual([
      { name: 'EDITOR', source: 'your environment' },
      { name: 'PERPLEXITY_KEY', source: 'VS Code asks for it: Perplexity API Key' },
    ]);
    expect(draft.notes).toEqual([
      "'Perplexity' of VS Code (/srv/app/.vscode/mcp.json): envFile: no file of variables is read; put them into env, or into the environment of the gateway",
    ]);
  });

  it('Claude Code: variables with and without defaults', async () => {
    const { draft, loaded } = await imported([
      CLAUDE_CODE,
      {
        mcpServers: {
          api: { type: 'http', url: '${API_BASE:-https://api.example.com}/mcp', headers: { Authorization: 'Bearer ${API_KEY}' } },
          local: { command: 'node', args: ['server.js', '$HOME/x', '${EDITOR:-nano}', '${1}', 'a$$${b', '$${EDITOR}'] },
        },
      },
    ]);
    expect(upstreamsOf(loaded)).toEqual([
      { name: 'api', type: 'streamable-http', url: 'https://api.example.com/mcp', headers: {}, auth: 'Authorization: Bearer outside-API_KEY' },
      {
        name: 'local',
        type: 'stdio',
        command: 'node',
        args: ['server.js', '$HOME/x', 'outside-EDITOR', '${1}', 'a$$${b', 'outside-EDITOR'],
        env: {},
        cwd: '/srv/app',
      },
    ]);
    expect(draft.notes.map((note) => note.replace(/^.*\): /, ''))).toEqual([
      'API_BASE is not set here, so its default was written; a reference has no default',
      'the default of EDITOR is lost; a reference has none',
      "'${1}' is written as it is; nothing replaces it",
      'a $ right before a placeholder cannot be written, and is left out',
    ]);
  });

  it('Windsurf, Gemini CLI, Zed, Cline: their own words for the same', async () => {
    const { draft, loaded } = await imported(
      [{ client: 'Windsurf', file: '/w' }, { mcpServers: { a: { serverUrl: 'https://a.example.com/sse', disabledTools: ['drop'] } } }],
      [
        { client: 'Gemini CLI', file: '/g' },
        {
          mcpServers: {
            b: { httpUrl: 'https://b.example.com/sse', includeTools: ['read'], trust: true, timeout: 5000 },
            c: { command: 'c', env: { K: '$EDITOR' } },
          },
        },
      ],
      [{ client: 'Zed', file: '/z' }, { context_servers: { d: { source: 'custom', command: { path: 'd', args: ['-x'], env: { A: 'b' } } } } }],
      [
        { client: 'Cline', file: '/c' },
        {
          mcpServers: {
            e: { type: 'sse', url: 'https://e.example.com/mcp', disabled: true },
            f: { command: 'cmd', args: ['/c', 'npx', 'f@1.0.0'], autoApprove: ['x'] },
          },
        },
      ],
    );
    expect(upstreamsOf(loaded)).toMatchObject([
      { name: 'a', type: 'sse', url: 'https://a.example.com/sse' },
      { name: 'b', type: 'streamable-http', url: 'https://b.example.com/sse' },
      { name: 'c', command: 'c', env: { K: 'outside-EDITOR' } },
      { name: 'd', command: 'd', args: ['-x'], env: { A: 'b' } },
      { name: 'f', command: 'npx', args: ['f@1.0.0'] },
    ]);
    expect(loaded.config.upstreams[0]?.tools).toMatchObject({ allow: ['*'], deny: ['drop'] });
    expect(loaded.config.upstreams[1]?.tools).toMatchObject({ allow: ['read'], deny: [] });
    expect(draft.notes).toEqual([
      "'a' of Windsurf (/w): url: ends in /sse, so the type is sse; if the server speaks streamable HTTP there, write streamable-http",
      "'b' of Gemini CLI (/g): trust: approving calls is the matter of the client",
      "'b' of Gemini CLI (/g): timeout: clients count it in different units; set timeouts.call where a minute is too short",
      "'e' of Cline (/c): left out, it is switched off there",
      "'f' of Cline (/c): command: started without cmd /c, which is for Windows",
      "'f' of Cline (/c): autoApprove: approving calls is the matter of the client",
    ]);
  });

  it('Claude Code keeps servers of a project below its path, VS Code some in its settings', async () => {
    const { loaded } = await imported(
      [
        { client: 'Claude Code', file: '/users/me/.claude.json' },
        {
          mcpServers: { one: { command: 'a' } },
          projects: { '/srv/app': { mcpServers: { two: { command: 'b' } } }, '/other': { mcpServers: { three: { command: 'c' } } } },
        },
      ],
      [{ client: 'VS Code', file: '/s' }, { mcp: { servers: { four: { command: 'd' } } } }],
    );
    expect(loaded.config.upstreams.map(({ name }) => name)).toEqual(['one', 'two', 'four']);
  });

  it('names become valid and unique; the same server of two clients is one', async () => {
    const { draft, loaded } = await imported(
      [
        CURSOR,
        {
          mcpServers: {
            'GitHub Server!': { command: 'a' },
            core: { command: 'b' },
            '7zip': { command: 'c' },
            文件: { command: 'd' },
            ['n'.repeat(90)]: { command: 'e' },
          },
        },
      ],
      [{ client: 'Windsurf', file: '/w' }, { mcpServers: { other: { command: 'a' }, core: { command: 'x' } } }],
    );
    expect(loaded.config.upstreams.map(({ name }) => name)).toEqual([
      'GitHub-Server',
      'core-server',
      'zip',
      'server',
      'n'.repeat(56),
      'core-server-2',
    ]);
    expect(draft.upstreams[0]?.origins).toEqual(["'GitHub Server!' of Cursor (~/.cursor/mcp.json)", "'other' of Windsurf (/w)"]);
    expect(draft.notes).toContain("'core' of Cursor (~/.cursor/mcp.json): is called core-server here");
  });

  it('two secrets of one name stay two; one secret in two places stays one', async () => {
    const { draft, loaded } = await imported([
      CURSOR,
      {
        mcpServers: {
          a: { command: 'a', env: { API_KEY: 'first-secret', TURNPIKE_TOKEN: 'third-secret' } },
          b: { command: 'b', env: { API_KEY: 'second-secret' } },
          c: { command: 'c', env: { API_KEY: 'first-secret', OTHER_KEY: '${GITHUB_TOKEN}' } },
          d: { command: 'd', env: { GITHUB_TOKEN: 'fourth-secret' } },
        },
      },
    ]);
    expect(Object.fromEntries(draft.variables.map(({ name, value }) => [name, value]))).toEqual({
      API_KEY: 'first-secret',
      B_API_KEY: 'second-secret',
      D_GITHUB_TOKEN: 'fourth-secret',
      GITHUB_TOKEN: undefined,
      MCP_TURNPIKE_TOKEN: 'third-secret',
    });
    expect(upstreamsOf(loaded).map((one) => ('env' in one ? one.env : {}))).toEqual([
      { API_KEY: 'first-secret', TURNPIKE_TOKEN: 'third-secret' },
      { API_KEY: 'second-secret' },
      { API_KEY: 'first-secret', OTHER_KEY: 'outside-GITHUB_TOKEN' },
      { GITHUB_TOKEN: 'fourth-secret' },
    ]);
  });

  it('secrets in addresses and arguments are references, too', async () => {
    const { draft, text, loaded } = await imported([
      CURSOR,
      {
        mcpServers: {
          a: { url: 'https://user:pa%20ss@a.example.com/mcp?api_key=url-secret&x=1' },
          b: {
            command: 'b',
            args: [
              '--api-key',
              'arg-secret',
              '--token=eq-secret',
              '--header',
              'Authorization: Bearer head-secret',
              'postgres://u:db-secret@h/d',
              '--key-file',
              '/etc/key',
              '--verbose',
            ],
          },
        },
      },
    ]);
    expect(text).not.toMatch(/-secret'|pa%20ss|pa ss|(url|arg|eq|head|db)-secret/);
    expect(upstreamsOf(loaded)).toMatchObject([
      { url: 'https://a.example.com/mcp?api_key=url-secret&x=1', auth: `Authorization: Basic ${Buffer.from('user:pa ss').toString('base64')}` },
      {
        args: [
          '--api-key',
          'arg-secret',
          '--token=eq-secret',
          '--header',
          'Authorization: Bearer head-secret',
          'postgres://u:db-secret@h/d',
          '--key-file',
          '/etc/key',
          '--verbose',
        ],
      },
    ]);
    expect(draft.notes.filter((note) => note.includes('list of processes'))).toHaveLength(4);
  });

  it('what cannot be an upstream is left out with the reason, and the rest is written', async () => {
    const { draft, loaded } = await imported([
      CURSOR,
      {
        mcpServers: {
          me: { url: 'http://127.0.0.1:8080/mcp' },
          none: {},
          text: 'x',
          ws: { type: 'ws', url: 'wss://x' },
          ftp: { url: 'ftp://x/y' },
          nul: { command: 'a\0b' },
          headers: { url: 'https://x.example.com/mcp', headers: { Host: 'x', 'Bad Name': 'y', Ok: 'z', 'X-Lines': 'a\nb' } },
        },
      },
    ]);
    expect(loaded.config.upstreams.map(({ name }) => name)).toEqual(['headers']);
    expect(draft.notes.map((note) => note.replace(' of Cursor (~/.cursor/mcp.json)', ''))).toEqual([
      "'me': left out, it is this gateway",
      "'none': left out, it has neither command nor url",
      "'text': left out, it is no object",
      "'ws': left out, it has a transport that Turnpike does not speak (it speaks stdio, streamable-http and sse)",
      "'headers': headers.Host: is a header that Turnpike sets itself",
      "'headers': headers.Bad Name: is no header name",
      "'headers': headers.X-Lines: holds characters that no header may hold",
      "'ftp': left out, url: does not begin with http:// or https:// (expected an http or https URL without user name and password)",
      expect.stringMatching(/^'nul': left out, command: holds a NUL/),
    ]);
  });
});

it('names of tools are no patterns, and a list that narrows still narrows', async () => {
  const { draft, loaded } = await imported([
    CURSOR,
    {
      mcpServers: {
        a: { command: 'a', includeTools: ['get[1]', 'any*', 'o?'], excludeTools: ['*'] },
        b: { command: 'b', tools: ['*'], disabledTools: [] },
      },
    },
  ]);
  const [a, b] = loaded.config.upstreams.map(({ tools }) => tools);
  const matches = (patterns: readonly string[] = [], name = '') => patterns.some((pattern) => okOf(compileGlob(pattern)).matches(name));
  expect(['get[1]', 'any*', 'o?', 'get1', 'anything', 'or'].map((name) => matches(a?.allow, name))).toEqual([true, true, true, false, false, false]);
  expect(a?.deny).toEqual(['*']);
  expect([b?.allow, b?.deny]).toEqual([['*'], []]);
  expect(draft.notes).toEqual(["'b' of Cursor (~/.cursor/mcp.json): disabledTools: is empty, and was left out"]);
});

it('a secret beside a placeholder does not stay', async () => {
  const secret = 'ghp_0123456789abcdefghijABCDEFGHIJ';
  const { text, loaded } = await imported([
    CURSOR,
    {
      mcpServers: {
        a: { command: 'a', args: [`\${EDITOR} ${secret}`], env: { X: `${secret}\${EDITOR}` } },
        b: { url: 'https://b.example.com/mcp', headers: { 'X-Y': `\${EDITOR}${secret}` } },
      },
    },
  ]);
  expect(text).not.toContain(secret);
  expect(upstreamsOf(loaded)).toMatchObject([
    { args: [`outside-EDITOR ${secret}`], env: { X: `${secret}outside-EDITOR` } },
    { headers: {}, auth: `X-Y: outside-EDITOR${secret}` },
  ]);
});

it('foreign words stay in their comments, and send nothing to a terminal', async () => {
  const evil = '\u001b[2J\nlisten: {host: 0.0.0.0}\u2028auth: {}\r#';
  const { draft, text, loaded } = await imported([
    { client: 'Cursor', file: `/tmp/${evil}/mcp.json` },
    {
      inputs: [{ id: 'key', description: evil }],
      mcpServers: { [evil]: { command: 'a', [evil]: 1, description: evil, env: { KEY: '${input:key}', [`${evil}TOKEN`]: 'a-secret-value' } } },
    },
  ]);
  expect(loaded.config.listen.host).toBe('127.0.0.1');
  expect(loaded.config.upstreams).toHaveLength(1);
  expect(text.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Zl}]/u);
  const report = closingText({ draft, output: 'turnpike.yaml', env: {} });
  expect([...draft.notes, report].join('').replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Zl}]/u);
  expect(report.split('\n')).not.toContainEqual(expect.stringMatching(/^listen/));
});
