import { describe, expect, it } from 'vitest';
import { TurnpikeError } from '../core/errors.ts';
import { type LoadInput, loadConfig } from './load.ts';

const ENV = { HOME: '/users/u' };

/** A file system of texts and bytes. */
function filesOf(files: Readonly<Record<string, string | Uint8Array | Error>>): NonNullable<LoadInput['readFile']> {
  return async (path) => {
    const found = files[path];
    if (found instanceof Error) throw found;
    if (found === undefined) throw Object.assign(new Error('absent'), { code: 'ENOENT' });
    return typeof found === 'string' ? Buffer.from(found) : found;
  };
}

function load(text: string | Uint8Array, more: Partial<LoadInput> & { readonly files?: Readonly<Record<string, string>> } = {}) {
  const { files = {}, file = 't.yaml', ...input } = more;
  return loadConfig({ cwd: '/w', env: ENV, ...input, file, readFile: filesOf({ ...files, [`/w/${file}`]: text }) });
}

async function problems(promise: Promise<unknown>): Promise<string[]> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof TurnpikeError) || error.code !== 'config/invalid') throw error ?? new Error('it was accepted');
  return error.message.split('\n');
}

/** `${…}`, which the linter takes for a forgotten template. */
const ref = (text: string) => `$${`{${text}}`}`;
const upstream = (fields: string, type = 'sse') => `upstreams:\n  - {name: a, type: ${type}, ${fields}}\n`;
const KEY = Buffer.from(Array.from({ length: 32 }, (_, index) => index)).toString('base64');

describe('which file', () => {
  const input = (files: Parameters<typeof filesOf>[0], more: Partial<LoadInput> = {}) =>
    loadConfig({ cwd: '/w', env: ENV, ...more, readFile: filesOf(files) });

  it('none is fine', async () => {
    const loaded = await input({});
    expect(loaded.file).toBeUndefined();
    expect(loaded.config.listen.host).toBe('127.0.0.1');
    expect(loaded.config.upstreams).toEqual([]);
  });

  it('turnpike.yaml in the working directory, or the variable, or the argument', async () => {
    const files = { '/w/turnpike.yaml': 'listen: {port: 1}', '/e.yaml': 'listen: {port: 2}', '/w/a.yaml': 'listen: {port: 3}' };
    expect(await input(files)).toMatchObject({ file: 'turnpike.yaml', config: { listen: { port: 1 } } });
    const env = { ...ENV, TURNPIKE_CONFIG: '/e.yaml' };
    expect(await input(files, { env })).toMatchObject({ file: '/e.yaml', config: { listen: { port: 2 } } });
    expect(await input(files, { env, file: 'a.yaml' })).toMatchObject({ file: 'a.yaml', config: { listen: { port: 3 } } });
  });

  it.each([
    ['ENOENT', 'does not exist'],
    ['EACCES', 'may not be read by this user'],
    ['EISDIR', 'is a folder'],
    ['EFBIG', 'is larger than 4 MiB'],
    ['EIO', 'cannot be read (EIO)'],
  ])('a named one that fails with %s', async (code, text) => {
    const readFile = filesOf({ '/w/x.yaml': Object.assign(new Error('no'), { code }) });
    expect(await problems(loadConfig({ cwd: '/w', env: ENV, file: 'x.yaml', readFile }))).toEqual([`x.yaml: the configuration file ${text}`]);
  });

  it('an unreadable default one is not passed over', async () => {
    const readFile = filesOf({ '/w/turnpike.yaml': Object.assign(new Error('no'), { code: 'EACCES' }) });
    expect(await problems(loadConfig({ cwd: '/w', env: ENV, readFile }))).toEqual([
      'turnpike.yaml: the configuration file may not be read by this user',
    ]);
  });
});

describe('variables and flags', () => {
  it('are stronger than the file, flags strongest, and are named as origins', async () => {
    const env = { ...ENV, TURNPIKE_LISTEN_PORT: '2', TURNPIKE_LISTEN_MAX_BODY_BYTES: '2KiB' };
    const { config, provenance } = await load('listen: {port: 1, maxBodyBytes: 1KiB, hsts: true}\n', {
      env,
      flags: { '--listen-port': '3', '--yolo': true },
    });
    expect(config.listen).toMatchObject({ port: 3, maxBodyBytes: 2048, hsts: true });
    expect(provenance.get('listen.port')).toEqual({ source: 'flag', where: '--listen-port' });
    expect(provenance.get('listen.maxBodyBytes')).toEqual({ source: 'environment', where: 'TURNPIKE_LISTEN_MAX_BODY_BYTES' });
    expect(provenance.get('listen.hsts')).toEqual({ source: 'file', where: 't.yaml:1:45' });
    expect(provenance.get('policy.yolo')).toEqual({ source: 'flag', where: '--yolo' });
    expect(provenance.get('listen.host')).toEqual({ source: 'default' });
  });

  it.each([
    [{ TURNPIKE_LISTEN_PROT: '1' }, {}, ['TURNPIKE_LISTEN_PROT: unknown variable; did you mean "TURNPIKE_LISTEN_PORT"?']],
    [{ TURNPIKE_AUTH_OAUTH_DEX_ISSUER_URL: '1' }, {}, ['TURNPIKE_AUTH_OAUTH_DEX_ISSUER_URL: unknown variable; not available in this version']],
    [{ TURNPIKE_UPSTREAMS: '[]' }, {}, ['TURNPIKE_UPSTREAMS: unknown variable']],
    [{ TURNPIKE_LISTEN_PORT: '80a' }, {}, ['TURNPIKE_LISTEN_PORT listen.port: is a text (expected an integer from 0 to 65535)']],
    [{ TURNPIKE_LISTEN_PORT: '70000' }, {}, ['TURNPIKE_LISTEN_PORT listen.port: is too large (expected an integer from 0 to 65535)']],
    [{ TURNPIKE_POLICY_YOLO: '1' }, {}, ['TURNPIKE_POLICY_YOLO policy.yolo: is a text (expected true or false)']],
    [{}, { '--listen-hots': 'x' }, ['--listen-hots: unknown flag; did you mean "--listen-host"?']],
    [{}, { '--listen-port': true }, ['--listen-port: has no value (expected an integer from 0 to 65535)']],
    [{}, { '--telemetry-metrics-token': 'x' }, ['--telemetry-metrics-token: unknown flag; did you mean "--telemetry-metrics-token-file"?']],
    [
      { TURNPIKE_STORE_ENCRYPTION_KEY_FILE: '/nope' },
      {},
      ['TURNPIKE_STORE_ENCRYPTION_KEY_FILE store.encryptionKeyFile: names a file that does not exist'],
    ],
  ])('%j %j', async (variables, flags, expected) => {
    expect(await problems(load('listen: {}\n', { env: { ...ENV, ...variables }, flags: flags as Record<string, string | boolean> }))).toEqual(
      expected,
    );
  });

  it('leaves the variables of the command line and of service links alone', async () => {
    const env = {
      ...ENV,
      TURNPIKE_URL: 'x',
      TURNPIKE_TOKEN: 'x',
      TURNPIKE_SERVICE_HOST: '10.0.0.1',
      TURNPIKE_SERVICE_PORT_HTTP: '80',
      TURNPIKE_PORT: 'tcp://10.0.0.1:80',
      TURNPIKE_PORT_80_TCP_ADDR: '10.0.0.1',
    };
    await load('listen: {}\n', { env });
    expect(await problems(load('listen: {}\n', { env: { ...ENV, TURNPIKE_PORT: '80' } }))).toEqual(['TURNPIKE_PORT: unknown variable']);
  });

  it('a stronger file of a secret replaces the weaker secret', async () => {
    const env = { ...ENV, TURNPIKE_TELEMETRY_METRICS_TOKEN_FILE: '/run/ops' };
    const { config, provenance } = await load('telemetry: {metrics: {token: fromfile}}\n', { env, files: { '/run/ops': 'fromenv\n' } });
    expect(config.telemetry.metrics.token?.reveal()).toBe('fromenv');
    expect(provenance.get('telemetry.metrics.token')).toEqual({ source: 'environment', where: 'TURNPIKE_TELEMETRY_METRICS_TOKEN_FILE' });
  });
});

describe('references and paths', () => {
  it('expands variables and files, cuts one last newline, and keeps literals', async () => {
    const text = upstream(`command: x, args: ["${ref('env:A')}-${ref('file:/f')}", "$${ref('env:A')}", "$x"]`, 'stdio');
    const loaded = await load(text, { env: { ...ENV, A: `${ref('env:HOME')}` }, files: { '/f': 'one\n\n' } });
    const [first] = loaded.config.upstreams;
    expect(first?.type === 'stdio' && first.args).toEqual([`${ref('env:HOME')}-one\n`, ref('env:A'), '$x']);
    expect([...loaded.referenced]).toEqual(['upstreams[0].args[0]']);
  });

  it('reads numbers and switches from references', async () => {
    const text = `listen: {port: "${ref('env:PORT')}", hsts: "${ref('env:HSTS')}"}\n`;
    expect((await load(text, { env: { ...ENV, PORT: '9', HSTS: 'true' } })).config.listen).toMatchObject({ port: 9, hsts: true });
    expect(await problems(load(text, { env: { ...ENV, PORT: 'x', HSTS: 'true' } }))).toEqual([
      't.yaml:1:16 listen.port: is a text (expected an integer from 0 to 65535)',
    ]);
  });

  it('reads secrets from their files, relative to the configuration', async () => {
    const text = 'auth: {modes: [static], static: [{name: ci, tokenFile: tokens/ci}]}\nstore: {dir: data}\n';
    const { config, provenance, warnings } = await load(text, { file: 'etc/t.yaml', files: { '/w/etc/tokens/ci': 'abc\r\n' } });
    expect(config.auth.static[0]?.token?.reveal()).toBe('abc');
    expect(config.auth.static[0]).not.toHaveProperty('tokenFile');
    expect(config.store.dir).toBe('/w/etc/data');
    expect(provenance.get('auth.static[0].token')).toEqual({ source: 'file', where: 'etc/t.yaml:1:56' });
    expect(warnings).toEqual([]);
  });

  it('tells what is wrong with the content of such a file at the file', async () => {
    const text = 'telemetry: {metrics: {tokenFile: /f}}\n';
    expect(await problems(load(text, { files: { '/f': '\n' } }))).toEqual([
      't.yaml:1:34 telemetry.metrics.tokenFile: is empty (expected a Bearer token: letters, digits and -._~+/ (RFC 6750))',
    ]);
  });

  it('warns of secrets written into the file', async () => {
    const { warnings } = await load('telemetry: {metrics: {token: abc}}\n');
    expect(warnings).toEqual([
      `t.yaml:1:30 telemetry.metrics.token: is a secret in the file itself; a reference such as ${ref('env:NAME')} or ${ref('file:/path')} keeps it out`,
    ]);
  });

  it('takes no proxy for such a secret', async () => {
    expect((await load(upstream('url: "http://x", proxy: "http://p:1"'))).warnings).toEqual([]);
  });

  it('warns of listening everywhere under no name', async () => {
    const tokens = `auth: {modes: [static], static: [{name: a, sha256: ${'a'.repeat(64)}}]}\n`;
    const warnings = async (text: string) => (await load(`${tokens}${text}`)).warnings;
    expect(await warnings('listen: {host: 0.0.0.0}\n')).toEqual([
      't.yaml:2:16 listen.host: is every address, but only loopback names are allowed hosts; set listen.publicUrl',
    ]);
    expect(await warnings('listen: {host: "::", allowedHosts: [a]}\n')).toEqual([]);
    expect(await warnings('listen: {host: 10.0.0.1}\n')).toEqual([]);
  });

  it('takes the short form of the encryption key', async () => {
    const { config } = await load(`store: {encryptionKey: ${KEY}}\n`);
    expect(config.store.encryptionKeys.map(({ id, key }) => [id, key.reveal()])).toEqual([['default', KEY]]);
    expect(config.store).not.toHaveProperty('encryptionKey');
  });
});

describe('computed defaults', () => {
  const listen = async (text: string) => (await load(text)).config.listen;

  it('store.dir', async () => {
    const dir = async (env: Record<string, string>) => (await load('listen: {}\n', { env })).config.store.dir;
    expect(await dir({ HOME: '/h' })).toBe('/h/.local/state/turnpike');
    expect(await dir({ HOME: '/h', XDG_STATE_HOME: '/s' })).toBe('/s/turnpike');
    expect(await dir({ HOME: '/h', XDG_STATE_HOME: 'relative' })).toBe('/h/.local/state/turnpike');
    expect(await problems(load('listen: {}\n', { env: {} }))).toEqual([
      't.yaml:1:1 store.dir: has no default, as neither HOME nor XDG_STATE_HOME is set (expected a path)',
    ]);
    expect((await load('store: {dir: ~/x}\n')).config.store.dir).toBe('/users/u/x');
  });

  it('store.type with --stdio, unless it is set', async () => {
    expect(await load('listen: {}\n', { stdio: true })).toMatchObject({ config: { store: { type: 'memory' } } });
    expect(await load('store: {type: sqlite}\n', { stdio: true })).toMatchObject({ config: { store: { type: 'sqlite' } } });
    expect((await load('listen: {}\n', { stdio: true })).provenance.get('store.type')).toEqual({ source: 'default' });
  });

  it('publicUrl and allowedHosts', async () => {
    expect(await listen('listen: {port: 81}\n')).toMatchObject({
      publicUrl: 'http://127.0.0.1:81',
      allowedHosts: ['127.0.0.1', 'localhost', '[::1]'],
    });
    expect(await listen('listen: {host: "::1"}\n')).toMatchObject({
      publicUrl: 'http://[::1]:8080',
      allowedHosts: ['[::1]', 'localhost', '127.0.0.1'],
    });
    expect(await listen('listen: {host: 10.0.0.1, publicUrl: "https://MCP.example.com/x/"}\n')).toMatchObject({
      publicUrl: 'https://MCP.example.com/x',
      allowedHosts: ['mcp.example.com'],
    });
    expect((await listen('listen: {host: 0.0.0.0, publicUrl: "https://m.example.com"}\n')).allowedHosts).toEqual([
      'm.example.com',
      'localhost',
      '127.0.0.1',
      '[::1]',
    ]);
    expect((await listen('listen: {allowedHosts: [A.example.com]}\n')).allowedHosts).toEqual(['a.example.com']);
  });

  it('upstreams of one family say so each for themselves', async () => {
    const text =
      'upstreams:\n  - {name: a, type: stdio, command: x, family: {name: f-1, instanceArg: region_2}}\n  - {name: b, type: sse, url: "http://x", family: {name: f-1, instanceArg: other}}\n';
    const { config, provenance } = await load(text);
    expect(config.upstreams.map(({ family, toolPrefix }) => [family, toolPrefix])).toEqual([
      [{ name: 'f-1', instanceArg: 'region_2' }, 'a'],
      [{ name: 'f-1', instanceArg: 'other' }, 'b'],
    ]);
    expect(provenance.get('upstreams[1].family.instanceArg')?.source).toBe('file');
  });

  it('upstreams take prefix, folder, pool and endpoint from around them', async () => {
    const text =
      'pool: {idleTimeout: 1m, limits: {perUpstream: 7}}\nupstreams:\n  - {name: a, type: stdio, command: x, pool: {closeDelay: 1s}}\n  - {name: b, type: sse, url: "http://x"}\n';
    const { config, provenance } = await load(text);
    expect(config.upstreams[0]).toMatchObject({
      toolPrefix: 'a',
      cwd: '/users/u/.local/state/turnpike',
      pool: { idleTimeout: 60_000, maxErrorCount: 10, closeDelay: 1000, maxConnections: 7 },
    });
    expect(config.upstreams[1]).toMatchObject({ endpoints: [{ url: 'http://x', type: 'sse', priority: 0, weight: 1 }] });
    expect(config.upstreams[1]).not.toHaveProperty('url');
    expect(provenance.get('upstreams[1].endpoints[0].url')).toEqual({ source: 'file', where: 't.yaml:4:31' });
  });
});
