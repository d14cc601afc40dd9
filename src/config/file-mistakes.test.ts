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
    ['t.yaml:1:15 auth.modes: has at place 1 what is not available in this version (expected a list of none, static or gitlab)'],
  ],
  [
    'later type',
    'upstreams: [{name: a, type: kubernetes}]\n',
    ['t.yaml:1:29 upstreams[0].type: is not available in this version (expected stdio, streamable-http, sse or gitlab)'],
  ],
  ['later store', 'store: {type: redis}\n', ['t.yaml:1:15 store.type: is not available in this version (expected sqlite or memory)']],
  ['later block', upstream('url: "http://x", kubernetes: {}'), ['t.yaml:2:43 upstreams[0].kubernetes: unknown key; not available in this version']],
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
    ['t.yaml:1:15 auth.modes: has at place 2 what it has already (expected a list of none, static or gitlab)'],
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
  [
    'roots of nobody',
    `bridge: {roots: {fils: [{uri: file:///srv}]}}\n${upstream('url: "http://x"').replace('name: a', 'name: files')}`,
    [`t.yaml:1:24 bridge.roots.fils: names 'fils' (expected the name of an upstream); did you mean "files"?`],
  ],
  [
    'roots that are none',
    `bridge: {roots: {a: [{uri: https://x/y}, {uri: "file:///a b"}, {uri: "file:///a#b"}, {uri: "file://"}, {}, {uri: file:///a, title: b}]}}\n${upstream('url: "http://x"')}`,
    [
      't.yaml:1:28 bridge.roots.a[0].uri: does not begin with file:// (expected a file URI such as file:///srv/docs)',
      't.yaml:1:48 bridge.roots.a[1].uri: holds a blank or backslash (expected a file URI such as file:///srv/docs)',
      't.yaml:1:70 bridge.roots.a[2].uri: holds a query or fragment (expected a file URI such as file:///srv/docs)',
      't.yaml:1:92 bridge.roots.a[3].uri: is no file URI (expected a file URI such as file:///srv/docs)',
      't.yaml:1:104 bridge.roots.a[4].uri: is missing (expected a file URI such as file:///srv/docs)',
      't.yaml:1:125 bridge.roots.a[5].title: unknown key',
    ],
  ],
  [
    'one root twice',
    `bridge: {roots: {a: [{uri: file:///a}, {uri: file:///a, name: b}]}}\n${upstream('url: "http://x"')}`,
    ["t.yaml:1:46 bridge.roots.a[1].uri: is 'file:///a', as entry 1 is already (expected a uri of its own)"],
  ],
  [
    'bounds of the bridge',
    'bridge: {maxRounds: 0, roundTimeout: 999ms, gatherWindow: 1001ms, replayWindow: 61m, blockSecretForms: no, park: {perPrincipal: 0, total: 1.5}}\n',
    [
      't.yaml:1:21 bridge.maxRounds: is too small (expected an integer from 1 to 100)',
      't.yaml:1:38 bridge.roundTimeout: is too small (expected a duration such as 250ms, 30s, 5m, 1h, 90d, of at least 1s)',
      't.yaml:1:59 bridge.gatherWindow: is too large (expected a duration such as 250ms, 30s, 5m, 1h, 90d, from 0ms to 1s)',
      't.yaml:1:81 bridge.replayWindow: is too large (expected a duration such as 250ms, 30s, 5m, 1h, 90d, from 0ms to 1h)',
      't.yaml:1:104 bridge.blockSecretForms: is a string (expected true or false)',
      't.yaml:1:129 bridge.park.perPrincipal: is too small (expected an integer of at least 1)',
      't.yaml:1:139 bridge.park.total: is no integer (expected an integer of at least 1)',
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
