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

/** Every kind of mistake in an upstream, and the exact lines that answer it. */
const MISTAKES: readonly (readonly [string, string, readonly string[]])[] = [
  ['no type', 'upstreams: [{name: a}]\n', ['t.yaml:1:13 upstreams[0].type: is missing (expected stdio, streamable-http, sse or gitlab)']],
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
  ['no address', upstream('headers: {}'), ['t.yaml:2:5 upstreams[0]: has neither url nor endpoints (expected exactly one of url and endpoints)']],
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
    'passthrough with family',
    upstream('url: "http://x", naming: passthrough, family: {name: f, instanceArg: i}'),
    ['t.yaml:2:72 upstreams[0].family: has no use with naming passthrough (expected one or the other)'],
  ],
  [
    'half a family',
    upstream('url: "http://x", family: {name: f}'),
    ['t.yaml:2:43 upstreams[0].family.instanceArg: is missing (expected a letter, then letters, digits and _)'],
  ],
  [
    'names of a family',
    upstream('url: "http://x", family: {name: "1f", instanceArg: in-stance, of: b}'),
    [
      't.yaml:2:58 upstreams[0].family.name: is no name of a family (expected a letter, then letters, digits, _ and -)',
      't.yaml:2:77 upstreams[0].family.instanceArg: is no name of an argument (expected a letter, then letters, digits and _)',
      't.yaml:2:88 upstreams[0].family.of: unknown key',
    ],
  ],
  ['a family by name', upstream('url: "http://x", family: f'), ['t.yaml:2:51 upstreams[0].family: is a string (expected a mapping)']],
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
];

describe('a mistake in an upstream', () => {
  it.each(MISTAKES)('%s', async (_, text, expected) => {
    expect(await problems(load(text))).toEqual(expected);
  });
});
