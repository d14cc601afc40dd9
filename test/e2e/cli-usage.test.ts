import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Rig, ROOT } from './cli-rig.ts';

let rig: Rig;
beforeAll(async () => {
  rig = await Rig.make();
});
afterAll(async () => {
  await rig[Symbol.asyncDispose]();
});

const EXIT_CODES = /0 {2}done\n {2}1 {2}failed, or refused to start\n {2}2 {2}wrong usage\n {2}3 {2}not authenticated, or not allowed\n/;

describe('usage', () => {
  it('version', async () => {
    const { version } = (await import(join(ROOT, 'package.json'), { with: { type: 'json' } })).default as { version: string };
    for (const args of [['version'], ['--version']]) {
      expect(await rig.run(args)).toEqual({ code: 0, out: `${version}\n`, err: '' });
    }
  });

  it('help lists commands, flags of every setting, and exit codes; the hidden command stays hidden', async () => {
    const main = await rig.run(['--help']);
    expect(main).toMatchObject({ code: 0, err: '' });
    expect(main.out).toMatch(EXIT_CODES);
    expect([...main.out.matchAll(/^ {2}([a-z-]+) /gm)].map((match) => match[1])).toEqual([
      'init',
      'serve',
      'check',
      'explain',
      'list',
      'call',
      'top',
      'gitlab',
      'completion',
      'version',
      'help',
    ]);
    const serve = await rig.run(['serve', '--help']);
    expect(serve.out).toMatch(EXIT_CODES);
    for (const flag of ['--config <file>', '--stdio', '--yolo', '--listen-port <value>', '--telemetry-audit-on-error <value>']) {
      expect(serve.out).toContain(flag);
    }
    expect(serve.out).not.toContain('--telemetry-metrics-token ');
  });

  it.each<[string[], string]>([
    [[], 'Usage: turnpike'],
    [['srve'], "unknown command 'srve'\n(Did you mean serve?)"],
    [['start'], "unknown command 'start'\n(Did you mean serve?)"],
    [['serve', '--lisen-port', '1'], "unknown option '--lisen-port'\n(Did you mean --listen-port?)"],
    [['serve', 'file.yaml'], 'too many arguments'],
    [['serve', '--listen-port'], "option '--listen-port <value>' argument missing"],
    [['check'], "missing required argument 'file'"],
    [['call'], "missing required argument 'tool'"],
    [['list', '--timeout', '5'], 'It is no duration such as 30s or 5m.'],
  ])('%j is wrong usage', async (args, text) => {
    const { code, out, err } = await rig.run(args);
    expect([code, out]).toEqual([2, '']);
    expect(err).toContain(text);
  });
});

describe('check', () => {
  const SENTINELS = ['sentinel-env-1', 'sentinel-header-2', 'sentinel-token-3', 'sentinel-reference-4', 'sentinel-query-5', 'sentinel-file-6'];
  const CONFIG = `auth:
  modes: [static]
  static:
    - {name: ci, token: sentinel-token-3}
    - {name: file, tokenFile: token}
upstreams:
  - {name: a, type: stdio, command: a, env: {KEY: sentinel-env-1}}
  - {name: b, type: streamable-http, url: "http://b/mcp?key=sentinel-query-5", headers: {X-Key: sentinel-header-2}, description: "\${env:REFERRED}"}
`;

  it('prints what is in force and where it came from, and no secret', async () => {
    await writeFile(join(rig.folder, 'token'), 'sentinel-file-6\n');
    await writeFile(join(rig.folder, 'c.yaml'), CONFIG);
    const env = { REFERRED: 'sentinel-reference-4', TURNPIKE_LIMITS_IP: '7' };
    const { code, out, err } = await rig.run(['check', 'c.yaml', '--listen-port=9000'], { env });
    expect(code).toBe(0);
    expect(err).toMatch(/^Warning: c\.yaml:4:25 auth\.static\[0\]\.token: is a secret in the file itself; [^\n]+\n$/);
    expect(out).toMatch(/^ {2}port: 9000 +# flag --listen-port$/m);
    expect(out).toMatch(/^ {2}ip: 7 +# environment TURNPIKE_LIMITS_IP$/m);
    expect(out).toMatch(/^ {2}modes: \[static\] +# file c\.yaml:2:10$/m);
    expect(out).toMatch(/^ {2}user: 100 +# default$/m);
    for (const sentinel of SENTINELS) expect(out + err).not.toContain(sentinel);
  });

  it('lists every problem with its place, and no value', async () => {
    await writeFile(join(rig.folder, 'bad.yaml'), 'lisen: {}\nstore: {type: sentinel-value-7}\n');
    expect(await rig.run(['check', 'bad.yaml'])).toEqual({
      code: 1,
      out: '',
      err: 'bad.yaml:1:1 lisen: unknown key; did you mean "listen"?\nbad.yaml:2:15 store.type: is none of the choices (expected sqlite or memory)\n',
    });
  });

  it('says what serve would refuse', async () => {
    await writeFile(join(rig.folder, 'open.yaml'), 'listen: {host: 0.0.0.0}\n');
    const { code, out, err } = await rig.run(['check', 'open.yaml']);
    expect(code).toBe(1);
    expect(out).toContain('host: 0.0.0.0');
    expect(err).toContain('Refusing to listen on 0.0.0.0:8080 without authentication. Set auth.modes, or listen.host to 127.0.0.1.\n');
    expect((await rig.run(['check', 'open.yaml', '--stdio'])).code).toBe(0);
  });

  it.each([
    ['toolsets: [nope]', 'Unknown toolset "nope" in gitlab.toolsets'],
    ['deniedTools: "(a+)+"', 'nests quantifiers'],
    ['dynamicUrl: {enabled: true, allowedHosts: ["a@b"]}', "upstream 'lab': "],
  ])('says what a GitLab upstream would refuse: %s', async (setting, expected) => {
    await writeFile(join(rig.folder, 'lab.yaml'), `upstreams:\n  - {name: lab, type: gitlab, gitlab: {url: "https://git.test", ${setting}}}\n`);
    const { code, out, err } = await rig.run(['check', 'lab.yaml']);
    expect([code, out]).toEqual([1, '']);
    expect(err).toContain(expected);
  });

  it('a file that is not there', async () => {
    expect(await rig.run(['check', 'none.yaml'])).toEqual({ code: 1, out: '', err: 'none.yaml: the configuration file does not exist\n' });
  });
});
