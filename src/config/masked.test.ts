import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { loadConfig } from './load.ts';
import { effectiveConfig } from './masked.ts';

const KEY = Buffer.from(Array.from({ length: 32 }, (_, index) => index)).toString('base64');
const ref = (text: string) => `$${`{${text}}`}`;

const FILE = `listen: {host: "${ref('env:HOST')}", port: 9000}
auth:
  modes: [static]
  static: [{name: ci, token: s3ntinel-1, expires: 2027-06-30}]
store: {encryptionKey: ${KEY}, dir: "${ref('env:DIR')}"}
telemetry: {metrics: {tokenFile: /ops}}
upstreams:
  - name: a
    type: stdio
    command: "${ref('env:CMD')}"
    args: [--key, "${ref('env:ARG')}"]
    env: {API: s3ntinel-2}
    description: "on"
  - name: b
    type: sse
    url: https://b.example.com/sse?key=s3ntinel-3
    headers: {X-Key: s3ntinel-4}
    proxy: http://u:s3ntinel-5@proxy:3128
    auth: {mode: header, header: {name: X-Api-Key, value: "${ref('env:VALUE')}"}}
`;

async function printed(): Promise<string> {
  const env = {
    HOME: '/h',
    HOST: 's3ntinel-a.example.com',
    DIR: '/s3ntinel-b',
    CMD: 's3ntinel-c',
    ARG: 's3ntinel-d',
    VALUE: 's3ntinel-e',
    TURNPIKE_LISTEN_IDLE_TIMEOUT: '90s',
  };
  const readFile = async (path: string) => Buffer.from(path === '/ops' ? 's3ntinel-f' : FILE);
  return effectiveConfig(await loadConfig({ cwd: '/w', env, file: 't.yaml', flags: { '--yolo': true }, readFile }));
}

describe('effectiveConfig', () => {
  it('prints no secret, no reference, no value of env, headers and auth', async () => {
    const text = await printed();
    expect(text).not.toContain('s3ntinel');
    expect(text).not.toContain(KEY);
  });

  it('is YAML of the whole configuration', async () => {
    const config = parse(await printed());
    expect(config).toMatchObject({
      listen: { host: '***', port: 9000, publicUrl: '***', idleTimeout: '90s', maxBodyBytes: '4MiB' },
      auth: { static: [{ name: 'ci', token: '***', tenant: 'default', expires: '2027-06-30T00:00:00.000Z' }] },
      store: { dir: '***', encryptionKeys: [{ id: 'default', key: '***' }] },
      telemetry: { metrics: { token: '***' } },
      upstreams: [
        { name: 'a', command: '***', args: ['--key', '***'], cwd: '***', env: { API: '***' }, description: 'on' },
        {
          endpoints: [{ url: 'https://b.example.com/sse?***' }],
          headers: { 'X-Key': '***' },
          proxy: '***',
          auth: { mode: 'header', header: { name: 'X-Api-Key', value: '***' } },
        },
      ],
    });
  });

  it('says where each value came from', async () => {
    const lines = (await printed()).split('\n');
    const lineOf = (start: string) =>
      lines
        .find((line) => line.trimStart().startsWith(start))
        ?.replace(/ {2,}#/, ' #')
        .trim();
    expect(lineOf('port:')).toBe('port: 9000 # file t.yaml:1:37');
    expect(lineOf('idleTimeout:')).toBe('idleTimeout: 90s # environment TURNPIKE_LISTEN_IDLE_TIMEOUT');
    expect(lineOf('yolo:')).toBe('yolo: true # flag --yolo');
    expect(lineOf('streaming:')).toBe('streaming: true # default');
    expect(lineOf("token: '***'")).toMatch(/# file t\.yaml:4:30$/);
    expect(lineOf("key: '***'")).toMatch(/# file t\.yaml:5:24$/);
    expect(lineOf('- url:')).toMatch(/# file t\.yaml:16:10$/);
    for (const line of lines) expect(line === '' || line.endsWith(':') || / # (default|file|environment|flag)/.test(line), line).toBe(true);
  });
});
