import { describe, expect, it } from 'vitest';
import { TurnpikeError } from '../core/errors.ts';
import { type LoadInput, loadConfig } from './load.ts';

const ENV = { HOME: '/home/u' };

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

/** Every kind of mistake, and the exact lines that answer it. */
const MISTAKES: readonly (readonly [string, string | Uint8Array, readonly string[]])[] = [
  ['empty', '', ['t.yaml:1:1 the file is empty (expected a mapping of sections)']],
  ['comments only', '# nothing\n', ['t.yaml:1:1 the file is empty (expected a mapping of sections)']],
  ['a list', '- a\n', ['t.yaml:1:1 the file holds no mapping (expected a mapping of sections)']],
  ['a word', 'hello\n', ['t.yaml:1:1 the file holds no mapping (expected a mapping of sections)']],
  ['UTF-16', Buffer.from('\ufefflisten: {}', 'utf16le'), ['t.yaml:1:1 the file is not valid UTF-8']],
  ['NUL', 'listen:\n  host: a\0b\n', ['t.yaml:2:10 the file holds a NUL character']],
  ['huge', Buffer.alloc(4 * 1024 * 1024 + 1, 32), ['t.yaml the file is larger than 4 MiB']],
  ['syntax', 'listen: {port: 1\n', ['t.yaml:2:1 flow map in block collection must be sufficiently indented and end with a }']],
  ['tab', 'listen:\n\tport: 1\n', ['t.yaml:2:1 tabs are not allowed as indentation']],
  ['duplicate key', 'listen: {port: 1, port: 2}\n', ['t.yaml:1:19 map keys must be unique']],
  ['two documents', 'listen: {}\n---\nlisten: {}\n', ['t.yaml:2:1 the file holds several documents (expected one)']],
  ['unknown tag', 'listen: !x {}\n', ['t.yaml:1:9 unresolved tag']],
  ['unknown alias', 'listen: *x\n', ['t.yaml:1:9 an alias names no anchor before it']],
  ['key of no text', 'listen: {[a]: 1}\n', ['t.yaml:1:10 listen: has a key that is no text']],
  ['unknown section', 'listn: {}\n', ['t.yaml:1:1 listn: unknown key; did you mean "listen"?']],
  ['unknown key', 'listen:\n  prot: 1\n', ['t.yaml:2:3 listen.prot: unknown key; did you mean "port"?']],
  ['unlike anything', 'listen: {zzzzzzzz: 1}\n', ['t.yaml:1:10 listen.zzzzzzzz: unknown key']],
  [
    'prototype',
    '__proto__: {a: 1}\nlisten: {constructor: 1}\n',
    ['t.yaml:1:1 __proto__: unknown key', 't.yaml:2:10 listen.constructor: unknown key'],
  ],
  ['later section', 'admin: {}\n', ['t.yaml:1:1 admin: unknown key; not available in this version']],
  ['later key', 'auth: {oauth: {}}\n', ['t.yaml:1:8 auth.oauth: unknown key; not available in this version']],
  [
    'later mode',
    'auth: {modes: [jwt]}\n',
    ['t.yaml:1:15 auth.modes: has at place 1 what is not available in this version (expected a list of none or static)'],
  ],
  [
    'later type',
    'upstreams: [{name: a, type: gitlab}]\n',
    ['t.yaml:1:29 upstreams[0].type: is not available in this version (expected stdio, streamable-http or sse)'],
  ],
  ['later store', 'store: {type: redis}\n', ['t.yaml:1:15 store.type: is not available in this version (expected sqlite or memory)']],
  ['later block', upstream('url: "http://x", family: {}'), ['t.yaml:2:43 upstreams[0].family: unknown key; not available in this version']],
  ['section of no mapping', 'listen: 8080\n', ['t.yaml:1:9 listen: is a number (expected a mapping)']],
  ['section of nothing', 'listen:\n', ['t.yaml:1:8 listen: has no value (expected a mapping)']],
  ['list of no list', 'upstreams: {}\n', ['t.yaml:1:12 upstreams: is a mapping (expected a list)']],
  ['text for a number', 'listen: {port: "80"}\n', ['t.yaml:1:16 listen.port: is a string (expected an integer from 0 to 65535)']],
  ['fraction', 'listen: {port: 1.5}\n', ['t.yaml:1:16 listen.port: is no integer (expected an integer from 0 to 65535)']],
  ['beyond', 'listen: {port: 70000}\n', ['t.yaml:1:16 listen.port: is too large (expected an integer from 0 to 65535)']],
  ['not a switch', 'policy: {yolo: "yes"}\n', ['t.yaml:1:16 policy.yolo: is a string (expected true or false)']],
  ['a switch of YAML 1.1', 'policy: {yolo: yes}\n', ['t.yaml:1:16 policy.yolo: is a string (expected true or false)']],
  [
    'duration without unit',
    'limits: {sessionIdle: 30}\n',
    ['t.yaml:1:23 limits.sessionIdle: has no unit (expected a duration such as 250ms, 30s, 5m, 1h, 90d, of at least 1s)'],
  ],
  [
    'size',
    'listen: {maxBodyBytes: 4MB}\n',
    ['t.yaml:1:24 listen.maxBodyBytes: is no size (expected a size such as 1048576 or 4MiB, from 1KiB to 256MiB)'],
  ],
  [
    'choice',
    'policy: {annotations: ignor}\n',
    ['t.yaml:1:23 policy.annotations: is none of the choices (expected enforce or ignore); did you mean "ignore"?'],
  ],
  [
    'any origin',
    'listen: {allowedOrigins: ["*"]}\n',
    [
      't.yaml:1:26 listen.allowedOrigins: has at place 1 what holds a *: origins are exact (expected a list of exact origins such as https://app.example.com)',
    ],
  ],
  [
    'proxy',
    'listen: {trustedProxies: [10.0.0.0/33]}\n',
    ['t.yaml:1:26 listen.trustedProxies: has at place 1 what is no address or network (expected a list of addresses or networks such as 10.0.0.0/8)'],
  ],
  [
    'a word twice',
    'auth: {modes: [none, none]}\n',
    ['t.yaml:1:15 auth.modes: has at place 2 what it has already (expected a list of none or static)'],
  ],
  ['mistyped address', 'listen: {host: 127.0.0.256}\n', ['t.yaml:1:16 listen.host: is no address or host name (expected an address or host name)']],
  [
    'half of TLS',
    'listen: {tls: {certFile: /c}}\n',
    ['t.yaml:1:10 listen.tls.keyFile: is missing (expected a path)', 't.yaml:1:26 listen.tls.certFile: names a file that does not exist'],
  ],
  [
    'static without tokens',
    'auth: {modes: [static]}\n',
    ['t.yaml:1:1 auth.static: is empty, so that nobody could come in by mode static (expected at least one token)'],
  ],
  [
    'tokens without static',
    `auth: {static: [{name: a, token: x}]}\n`,
    ['t.yaml:1:16 auth.static: holds tokens that nobody checks (expected static in auth.modes)'],
  ],
  [
    'no token',
    'auth: {modes: [static], static: [{name: a}]}\n',
    ['t.yaml:1:34 auth.static[0]: has no token (expected exactly one of token, tokenFile and sha256)'],
  ],
  [
    'no Bearer',
    'auth: {modes: [static], static: [{name: a, token: "x y"}]}\n',
    ['t.yaml:1:51 auth.static[0].token: cannot be sent as a Bearer token (expected a Bearer token: letters, digits and -._~+/ (RFC 6750))'],
  ],
  [
    'no such day',
    'auth: {modes: [static], static: [{name: a, token: x, expires: 2027-02-30}]}\n',
    ['t.yaml:1:63 auth.static[0].expires: is no date (expected a date such as 2027-06-30 or 2027-06-30T12:00:00Z)'],
  ],
  [
    'weak key',
    `store: {encryptionKey: ${Buffer.alloc(32).toString('base64')}}\n`,
    ['t.yaml:1:24 store.encryptionKey: is too weak or malformed: encryption key must be 32 random bytes (expected 32 random bytes in base64)'],
  ],
  [
    'two forms of keys',
    `store: {encryptionKey: ${KEY}, encryptionKeys: [{id: a, key: ${KEY}}]}\n`,
    ['t.yaml:1:8 store: has encryptionKeys and encryptionKey (expected one of them)'],
  ],
  ['no type', 'upstreams: [{name: a}]\n', ['t.yaml:1:13 upstreams[0].type: is missing (expected stdio, streamable-http or sse)']],
  [
    'reserved name',
    'upstreams: [{name: core, type: sse, url: "http://x"}]\n',
    [`t.yaml:1:20 upstreams[0].name: is 'core', which is reserved (expected a letter, then up to 62 letters, digits, _ and -)`],
  ],
  [
    'bad name',
    'upstreams: [{name: 1a, type: sse, url: "http://x"}]\n',
    ['t.yaml:1:20 upstreams[0].name: is no name (expected a letter, then up to 62 letters, digits, _ and -)'],
  ],
  ['no command', 'upstreams: [{name: a, type: stdio}]\n', ['t.yaml:1:13 upstreams[0].command: is missing (expected a program)']],
  [
    'field of another type',
    upstream('command: x, url: "http://x"', 'stdio'),
    ['t.yaml:2:40 upstreams[0].url: unknown key for this type; it belongs to streamable-http and sse'],
  ],
  ['stdio field', upstream('url: "http://x", command: x'), ['t.yaml:2:43 upstreams[0].command: unknown key for this type; it belongs to stdio']],
  ['no address', upstream('labels: {}'), ['t.yaml:2:5 upstreams[0]: has neither url nor endpoints (expected exactly one of url and endpoints)']],
  [
    'two addresses',
    upstream('url: "http://x", endpoints: [{url: "http://y"}]'),
    ['t.yaml:2:5 upstreams[0]: has url and endpoints (expected exactly one of url and endpoints)'],
  ],
  ['no endpoint', upstream('endpoints: []'), ['t.yaml:2:37 upstreams[0].endpoints: is an empty list (expected at least one entry)']],
  [
    'user info',
    upstream('url: "http://u:p@x"'),
    ['t.yaml:2:31 upstreams[0].url: holds a user name or password (expected an http or https URL without user name and password)'],
  ],
  [
    'empty user info',
    upstream('url: "http://@x"'),
    ['t.yaml:2:31 upstreams[0].url: holds a user name or password (expected an http or https URL without user name and password)'],
  ],
  [
    'scheme',
    upstream('url: "file:///x"'),
    ['t.yaml:2:31 upstreams[0].url: does not begin with http:// or https:// (expected an http or https URL without user name and password)'],
  ],
  [
    'authorization',
    upstream('url: "http://x", headers: {AUTHORIZATION: x}'),
    ['t.yaml:2:68 upstreams[0].headers.AUTHORIZATION: is not allowed here (expected the credential in auth, mode header)'],
  ],
  [
    'hop-by-hop',
    upstream('url: "http://x", headers: {Connection: x}'),
    ['t.yaml:2:65 upstreams[0].headers.Connection: is a hop-by-hop header (expected another header)'],
  ],
  [
    'ours',
    upstream('url: "http://x", headers: {Mcp-Session-Id: x}'),
    ['t.yaml:2:69 upstreams[0].headers.Mcp-Session-Id: is a header that Turnpike sets itself (expected another header)'],
  ],
  [
    'header injection',
    upstream('url: "http://x", headers: {X-A: "a\\r\\nb"}'),
    ['t.yaml:2:58 upstreams[0].headers.X-A: holds characters that no header may hold (expected a header value of printable characters)'],
  ],
  [
    'unsafe variable',
    upstream('command: x, env: {LD_PRELOAD: /x}', 'stdio'),
    ['t.yaml:2:58 upstreams[0].env.LD_PRELOAD: makes a process run foreign code (expected allowUnsafeEnv: true if that is wanted)'],
  ],
  [
    'number in env',
    upstream('command: x, env: {PORT: 8}', 'stdio'),
    ['t.yaml:2:52 upstreams[0].env.PORT: is a number (expected a text without NUL, in quotes if it looks like a number)'],
  ],
  [
    'literal credential',
    upstream('url: "http://x", auth: {mode: header, header: {name: X-A, value: abc}}'),
    [`t.yaml:2:91 upstreams[0].auth.header.value: is written down (expected a reference such as ${ref('env:NAME')} or ${ref('file:/path')})`],
  ],
  [
    'block of another mode',
    upstream(`url: "http://x", auth: {mode: none, header: {name: X-A, value: "${ref('env:HOME')}"}}`),
    ['t.yaml:2:70 upstreams[0].auth.header: is the block of another mode (expected mode: header, or no block)'],
  ],
  [
    'block of a later mode',
    upstream('url: "http://x", auth: {mode: mint, mint: {audience: b}}'),
    [
      't.yaml:2:56 upstreams[0].auth.mode: is not available in this version (expected none or header)',
      't.yaml:2:62 upstreams[0].auth.mint: unknown key; not available in this version',
    ],
  ],
  [
    'mode without block',
    upstream('url: "http://x", auth: {mode: header}'),
    ['t.yaml:2:43 upstreams[0].auth.header: is missing (expected name and value of the header)'],
  ],
  [
    'passthrough with prefix',
    upstream('url: "http://x", naming: passthrough, toolPrefix: b'),
    ['t.yaml:2:76 upstreams[0].toolPrefix: has no use with naming passthrough (expected one or the other)'],
  ],
  [
    'connect below',
    upstream('url: "http://x", timeouts: {connect: 500ms}'),
    ['t.yaml:2:63 upstreams[0].timeouts.connect: is too small (expected a duration such as 250ms, 30s, 5m, 1h, 90d, from 1s to 5m)'],
  ],
  [
    'connect above',
    upstream('url: "http://x", timeouts: {connect: 301s}'),
    ['t.yaml:2:63 upstreams[0].timeouts.connect: is too large (expected a duration such as 250ms, 30s, 5m, 1h, 90d, from 1s to 5m)'],
  ],
  [
    'callMax below call',
    upstream('url: "http://x", timeouts: {call: 2h}'),
    ['t.yaml:2:43 upstreams[0].timeouts.callMax: is shorter than timeouts.call (expected at least that)'],
  ],
  [
    'long pattern',
    upstream(`url: "http://x", tools: {deny: [${'a'.repeat(201)}]}`),
    [
      't.yaml:2:57 upstreams[0].tools.deny: has at place 1 what is longer than 200 characters (expected a list of patterns of *, ? and [a-z], up to 200 characters each)',
    ],
  ],
  [
    'open pattern',
    upstream('url: "http://x", tools: {deny: ["[a"]}'),
    [
      't.yaml:2:57 upstreams[0].tools.deny: has at place 1 what has a [ without its ] (expected a list of patterns of *, ? and [a-z], up to 200 characters each)',
    ],
  ],
  [
    'long description',
    upstream(`url: "http://x", description: ${'a'.repeat(501)}`),
    ['t.yaml:2:56 upstreams[0].description: is longer than 500 characters (expected a text of up to 500 characters)'],
  ],
  [
    'half of a client certificate',
    upstream('url: "http://x", tls: {serverName: x, certFile: ""}'),
    [
      't.yaml:2:48 upstreams[0].tls: has one of certFile and keyFile (expected both or none)',
      't.yaml:2:74 upstreams[0].tls.certFile: is empty (expected a path)',
    ],
  ],
  [
    'exception for nobody',
    `policy: {denylist: {except: ["fils:x"]}}\n${upstream('url: "http://x"').replace('name: a', 'name: files')}`,
    [`t.yaml:1:29 policy.denylist.except: names 'fils' (expected the name of an upstream); did you mean "files"?`],
  ],
  ['unset variable', `listen: {host: "${ref('env:NOPE')}"}\n`, ['t.yaml:1:16 listen.host: refers to the variable NOPE, which is not set']],
  ['absent file', `listen: {host: "${ref('file:/nope')}"}\n`, ['t.yaml:1:16 listen.host: refers to the file /nope, which does not exist']],
  [
    'relative file',
    `listen: {host: "${ref('file:nope')}"}\n`,
    [`t.yaml:1:16 listen.host: refers to a file by no absolute path (expected ${ref('file:/path')})`],
  ],
  [
    'unknown reference',
    `listen: {host: "${ref('HOME')}"}\n`,
    [
      `t.yaml:1:16 listen.host: has a reference of no known kind (expected ${ref('env:NAME')}, ${ref('file:/path')}, or $${'$'}{ for the characters themselves)`,
    ],
  ],
  [
    'absent twin',
    'auth: {modes: [static], static: [{name: a, tokenFile: nope}]}\n',
    ['t.yaml:1:55 auth.static[0].tokenFile: names a file that does not exist'],
  ],
];

describe('a mistake in the file', () => {
  it.each(MISTAKES)('%s', async (_, text, expected) => {
    expect(await problems(load(text))).toEqual(expected);
  });

  it('is told with all others, in the order of the file', async () => {
    const text = 'listen:\n  prot: 1\n  host: 5\nauth:\n  modes: [statc]\nupstreams:\n  - {name: a, type: stdio}\n  - {name: a, type: sse}\n';
    expect((await problems(load(text))).map((line) => line.split(' ').slice(0, 2).join(' '))).toEqual([
      't.yaml:2:3 listen.prot:',
      't.yaml:3:9 listen.host:',
      't.yaml:5:10 auth.modes:',
      't.yaml:7:5 upstreams[0].command:',
      't.yaml:8:5 upstreams[1]:',
      't.yaml:8:12 upstreams[1].name:',
    ]);
  });

  it('two passthrough upstreams are one too many', async () => {
    const two =
      'upstreams:\n  - {name: a, type: sse, url: "http://x", naming: passthrough}\n  - {name: b, type: sse, url: "http://x", naming: passthrough}\n';
    expect(await problems(load(two))).toEqual([
      't.yaml:3:51 upstreams[1].naming: is passthrough, as that of another upstream is already (expected one at most)',
    ]);
  });

  it('an alias bomb is cut short', async () => {
    const levels = Array.from({ length: 9 }, (_, index) => `  l${index + 1}: &l${index + 1} [${Array(9).fill(`*l${index}`).join(', ')}]`);
    const lines = await problems(load(`listen:\n  l0: &l0 [x]\n${levels.join('\n')}\n`));
    expect(lines).toEqual([expect.stringMatching(/^t\.yaml:\d+:\d+ the file follows more than 100 aliases$/)]);
  });

  it('an alias of itself ends', async () => {
    expect(await problems(load('listen: &a {x: *a}\n'))).toEqual([expect.stringMatching(/aliases|nested too deeply/)]);
  });

  it('deep nesting ends', async () => {
    expect(await problems(load(`listen: ${'['.repeat(50_000)}${']'.repeat(50_000)}`))).toEqual([
      expect.stringContaining('the file is nested too deeply'),
    ]);
    expect(await problems(load(`listen: ${'['.repeat(100)}${']'.repeat(100)}\n`))).toEqual([
      expect.stringContaining('the file is nested too deeply'),
    ]);
  });

  it('quotes no value, misplaced secrets being values too', async () => {
    const text =
      'listen: {port: s3ntinel, host: "s3ntinel s3ntinel", maxBodyBytes: s3ntinel}\nauth: {modes: s3ntinel}\nstore: {encryptionKey: s3ntinel}\npolicy: {annotations: s3ntinel}\n';
    expect((await problems(load(text))).join('\n')).not.toContain('s3ntinel');
    expect((await problems(load('listen: {port: "s3ntinel\n'))).join('\n')).not.toContain('s3ntinel');
    expect((await problems(load('{"listen": s3ntinel}', { file: 't.json' }))).join('\n')).not.toContain('s3ntinel');
  });
});

describe('a JSON file', () => {
  it('is read, tabs and byte order mark included', async () => {
    const { config } = await load('\ufeff{\n\t"listen": {\n\t\t"port": 9000\n\t}\n}\n', { file: 't.json' });
    expect(config.listen.port).toBe(9000);
  });

  it.each([
    ['empty', ' ', ['t.json:1:1 the file is empty (expected an object of sections)']],
    ['syntax', '{\n  "listen": {,}\n}', ['t.json:2:14 the file is not valid JSON from here on']],
    ['cut off', '{"listen": {', ['t.json:1:13 the file is not valid JSON from here on']],
    ['YAML in it', 'listen: {}\n', ['t.json:1:1 the file is not valid JSON from here on']],
    ['duplicate key', '{"listen": {}, "listen": {}}', ['t.json:1:16 map keys must be unique']],
    ['unknown key', '{\n\t"listen": {\n\t\t"prot": 1\n\t}\n}', ['t.json:3:3 listen.prot: unknown key; did you mean "port"?']],
  ])('%s', async (_, text, expected) => {
    expect(await problems(load(text, { file: 't.json' }))).toEqual(expected);
  });
});

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
    const static_ = 'auth: {modes: [static], static: [{name: a, sha256: ' + 'a'.repeat(64) + '}]}\n';
    const warnings = async (text: string) => (await load(`${static_}${text}`)).warnings;
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
    expect((await load('store: {dir: ~/x}\n')).config.store.dir).toBe('/home/u/x');
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

  it('upstreams take prefix, folder, pool and endpoint from around them', async () => {
    const text =
      'pool: {idleTimeout: 1m, limits: {perUpstream: 7}}\nupstreams:\n  - {name: a, type: stdio, command: x, pool: {closeDelay: 1s}}\n  - {name: b, type: sse, url: "http://x"}\n';
    const { config, provenance } = await load(text);
    expect(config.upstreams[0]).toMatchObject({
      toolPrefix: 'a',
      cwd: '/home/u/.local/state/turnpike',
      pool: { idleTimeout: 60_000, maxErrorCount: 10, closeDelay: 1000, maxConnections: 7 },
    });
    expect(config.upstreams[1]).toMatchObject({ endpoints: [{ url: 'http://x', type: 'sse', priority: 0, weight: 1 }] });
    expect(config.upstreams[1]).not.toHaveProperty('url');
    expect(provenance.get('upstreams[1].endpoints[0].url')).toEqual({ source: 'file', where: 't.yaml:4:31' });
  });
});
