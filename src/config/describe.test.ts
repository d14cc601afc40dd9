import { Validator } from '@cfworker/json-schema';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { flagOptions, jsonSchema, referencePage } from './describe.ts';
import { exampleYaml } from './example.ts';
import { KEYS } from './keys.ts';
import { loadConfig } from './load.ts';

const load = (text: string, files: Readonly<Record<string, string>> = {}) =>
  loadConfig({ cwd: '/w', env: { HOME: '/h', SEARCH_KEY: 'k' }, file: '/w/t.yaml', readFile: async (path) => Buffer.from(files[path] ?? text) });

describe('the example file', () => {
  it('loads, and says the defaults', async () => {
    const { config, warnings } = await load(exampleYaml());
    const { config: bare } = await load('upstreams: []\n');
    expect(config.upstreams.map(({ type }) => type)).toEqual(['stdio', 'streamable-http', 'sse', 'gitlab']);
    expect(warnings).toEqual([]);
    expect({ ...config, upstreams: [] }).toEqual(bare);
  });

  it('loads with its examples switched on too', async () => {
    const key = Buffer.from(Array.from({ length: 32 }, (_, index) => index)).toString('base64');
    const on = exampleYaml()
      .split('\n')
      .filter((line) => !line.includes('encryptionKeyFile'))
      .map((line) => line.replace(/^(\s*)# (?=[a-z]\w*:( |$)| {2}(- \{|files: \[))/, '$1').replace('static: []', ''))
      .join('\n')
      .replace('modes: [none]', 'modes: [static]');
    const { config } = await load(on, {
      '/run/secrets/turnpike-key': key,
      '/run/secrets/ci': 'abc',
      '/run/secrets/turnpike-token': 'abc',
      '/etc/turnpike/tls.crt': 'x',
      '/etc/turnpike/tls.key': 'x',
    });
    expect(config.listen.tls).toEqual({ certFile: '/etc/turnpike/tls.crt', keyFile: '/etc/turnpike/tls.key' });
    expect(config.auth.static[0]?.name).toBe('ci');
    expect(config.store.encryptionKeys[0]?.id).toBe('k1');
    expect(config.upstreams[1]).toMatchObject({ auth: { mode: 'header' } });
    expect(config.bridge.roots).toEqual({ files: [{ uri: 'file:///srv/docs', name: 'docs' }] });
  });
});

describe('the JSON Schema', () => {
  const validator = new Validator(jsonSchema(), '2020-12');

  it('accepts the example file and references', () => {
    expect(validator.validate(parse(exampleYaml())).errors).toEqual([]);
    const reference = `$${'{env:X}'}`;
    expect(validator.validate({ listen: { port: reference, maxBodyBytes: 4096 } }).valid).toBe(true);
    expect(validator.validate({ limits: { sessionIdle: 0 } }).valid).toBe(true);
  });

  it.each([
    [{ listn: {} }],
    [{ listen: { port: '80' } }],
    [{ listen: { port: 70_000 } }],
    [{ listen: { idleTimeout: '30' } }],
    [{ listen: { idleTimeout: 30 } }],
    [{ policy: { annotations: 'no' } }],
    [{ bridge: { roots: { a: [{ name: 'b' }] } } }],
    [{ upstreams: [{ name: 'a', type: 'kubernetes' }] }],
    [{ upstreams: [{ name: 'a', type: 'stdio' }] }],
    [{ upstreams: [{ name: 'a', type: 'stdio', command: 'x', url: 'http://x' }] }],
  ])('refuses %j', (config) => {
    expect(validator.validate(config).valid).toBe(false);
  });

  it('holds nothing of ours but descriptions and types', () => {
    expect(JSON.stringify(jsonSchema())).not.toMatch(/"(kind|expected|twinOf|defaultText|mustExist|later)":/);
  });
});

describe('the reference page', () => {
  it('has every setting with its variable and flag', () => {
    const page = referencePage();
    for (const { path, variable, flag } of KEYS) {
      expect(page).toContain(`| \`${path.join('.')}\` |`);
      expect(page).toContain(`\`${variable}\``);
      if (flag !== undefined) expect(page).toContain(`\`${flag}\``);
    }
    expect(page).toContain('| `upstreams[].timeouts.connect` |');
    expect(page).toContain('| `auth.static[].tokenFile` |');
  });
});

describe('the flags', () => {
  it('are there for every setting but secrets', () => {
    const flags = flagOptions();
    expect(flags).toHaveLength(KEYS.filter(({ flag }) => flag !== undefined).length + 1);
    expect(flags.find(({ flag }) => flag === '--listen-port')).toEqual({
      flag: '--listen-port',
      path: 'listen.port',
      description: 'Port to listen on; 0 takes a free one.',
      takesValue: true,
      default: '8080',
    });
    expect(flags.find(({ flag }) => flag === '--yolo')).toMatchObject({ path: 'policy.yolo', takesValue: false });
    expect(flags.map(({ flag }) => flag)).not.toContain('--store-encryption-key');
    expect(flags.map(({ flag }) => flag)).toContain('--store-encryption-key-file');
  });
});
