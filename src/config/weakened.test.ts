import { describe, expect, it } from 'vitest';
import { configSchema } from './schema.ts';
import { unpinnedLaunches } from './unpinned.ts';
import { refusals, weakenedSettings } from './weakened.ts';

const launch = (line: string) => {
  const [command, ...args] = line.split(' ');
  return { name: 'a', type: 'stdio', command, args };
};
const token = { name: 'ci', token: 'abc' };

describe('weakenedSettings', () => {
  it('names every setting in use that takes a protection away', () => {
    const config = configSchema.parse({
      policy: { yolo: true, annotations: 'ignore' },
      bridge: { blockSecretForms: false },
      upstreams: [
        { name: 'a', type: 'stdio', command: 'x', allowUnsafeEnv: true, sharing: 'shared' },
        { name: 'b', type: 'sse', url: 'https://x', tls: { insecureSkipVerify: true } },
        { name: 'c', type: 'gitlab', gitlab: { dynamicUrl: { enabled: true, allowedHosts: ['*'], allowPrivateHosts: ['git.corp'] } } },
        { name: 'd', type: 'gitlab', gitlab: { dynamicUrl: { enabled: false, allowedHosts: ['*'] } } },
      ],
    });
    const settings = weakenedSettings(config).map(({ setting }) => setting);
    expect(settings).toEqual([
      'auth.modes: none',
      'policy.yolo',
      'policy.annotations: ignore',
      'bridge.blockSecretForms: false',
      'upstreams[0].sharing: shared',
      'upstreams[0].allowUnsafeEnv',
      'upstreams[1].tls.insecureSkipVerify',
      'upstreams[2].gitlab.dynamicUrl.allowedHosts: *',
      'upstreams[2].gitlab.dynamicUrl.allowPrivateHosts',
    ]);
    expect(weakenedSettings(config, { stdio: true }).map(({ setting }) => setting)).not.toContain('auth.modes: none');
  });

  it('is empty for a careful one', () => {
    expect(weakenedSettings(configSchema.parse({ auth: { modes: ['static'], static: [token] } }))).toEqual([]);
  });
});

describe('refusals', () => {
  const of = (listen: object, auth: object = {}) => refusals(configSchema.parse({ listen, auth }));

  it.each(['127.0.0.1', '127.8.0.1', '::1', 'localhost'])('lets %s be without authentication', (host) => {
    expect(of({ host })).toEqual([]);
  });

  it.each([
    ['0.0.0.0', '0.0.0.0:8080'],
    ['::', '[::]:8080'],
    ['10.0.0.1', '10.0.0.1:8080'],
    ['128.0.0.1', '128.0.0.1:8080'],
    ['::ffff:127.0.0.1', '[::ffff:127.0.0.1]:8080'],
    ['localhost.example.com', 'localhost.example.com:8080'],
  ])('refuses %s without', (host, where) => {
    expect(of({ host })).toEqual([`Refusing to listen on ${where} without authentication. Set auth.modes, or listen.host to 127.0.0.1.`]);
    expect(of({ host }, { modes: ['static', 'none'], static: [token] })).toHaveLength(1);
    expect(of({ host }, { modes: ['static'], static: [token] })).toEqual([]);
    expect(refusals(configSchema.parse({ listen: { host } }), { stdio: true })).toEqual([]);
  });

  it('refuses unpinned launch lines only when asked to', () => {
    const upstreams = [launch('npx -y foo')];
    expect(refusals(configSchema.parse({ upstreams }))).toEqual([]);
    expect(refusals(configSchema.parse({ upstreams, policy: { requirePinned: true } }))).toEqual([
      "Refusing to start upstream 'a': 'npx foo' fetches foo without a fixed version, and policy.requirePinned is set.",
    ]);
  });
});

describe('unpinnedLaunches', () => {
  const packages = (upstream: object) => unpinnedLaunches(configSchema.parse({ upstreams: [upstream] })).map((found) => found.package);
  const digest = `@sha256:${'a'.repeat(64)}`;

  it.each([
    ['npx foo', 'foo'],
    ['npx -y foo', 'foo'],
    ['npx --yes foo@latest arg', 'foo@latest'],
    ['npx -y @s/foo', '@s/foo'],
    ['npx -y @s/foo@^1.2.3', '@s/foo@^1.2.3'],
    ['npx -y foo@1', 'foo@1'],
    ['npx -p foo bar', 'foo'],
    ['npx --package=foo bar', 'foo'],
    ['npx --registry http://r foo', 'foo'],
    ['npx -y github:o/r', 'github:o/r'],
    ['npx -y o/r', 'o/r'],
    ['/usr/bin/npx -y foo', 'foo'],
    ['npx.cmd -y foo', 'foo'],
    ['env A=b npx -y foo', 'foo'],
    ['cmd /c npx -y foo', 'foo'],
    ['npm exec -- foo', 'foo'],
    ['npm exec -y foo', 'foo'],
    ['bunx foo', 'foo'],
    ['bun x foo', 'foo'],
    ['pnpm dlx foo', 'foo'],
    ['yarn dlx foo', 'foo'],
    ['uvx foo', 'foo'],
    ['uvx foo@latest', 'foo@latest'],
    ['uvx --from foo>=1 bar', 'foo>=1'],
    ['uvx --python 3.12 foo', 'foo'],
    ['uvx --with dep==1.0 foo', 'foo'],
    ['uv tool run foo', 'foo'],
    ['pipx run foo', 'foo'],
    ['docker run image', 'image'],
    ['docker run -i --rm -e KEY image:latest', 'image:latest'],
    ['docker run --rm --env-file f host:5000/image', 'host:5000/image'],
    ['podman container run -it image', 'image'],
  ])('%s', (line, name) => {
    expect(packages(launch(line))).toEqual([name]);
  });

  it.each([
    'npx foo@1.2.3',
    'npx -y @s/foo@1.2.3-rc.1',
    'npx --no-install foo',
    'npx ./local',
    `npx -y github:o/r#${'a'.repeat(40)}`,
    'npx -p foo@1.2.3 bar',
    'uvx foo==1.2.3',
    'uvx foo@1.2.3',
    'uvx --from foo[x]==1.2.3 bar',
    'uvx --with dep==1.0 foo==1.0',
    'docker run -i image:1.2',
    `docker run -i image:latest${digest}`,
    'docker ps',
    'npm start',
    'uv run server.py',
    'node server.js npx foo',
    'mcp-files --root npx',
  ])('%s is pinned or fetches nothing', (line) => {
    expect(packages(launch(line))).toEqual([]);
  });

  it('looks into shell lines', () => {
    expect(packages({ name: 'a', type: 'stdio', command: 'sh', args: ['-c', 'cd /srv && exec npx -y foo'] })).toEqual(['foo']);
    expect(packages({ name: 'a', type: 'stdio', command: 'bash', args: ['-lc', 'uvx "foo"; true'] })).toEqual(['foo']);
  });

  it('says nothing of the other arguments', () => {
    const config = configSchema.parse({ upstreams: [launch('docker run -e KEY=s3ntinel image')] });
    expect(JSON.stringify(unpinnedLaunches(config))).not.toContain('s3ntinel');
  });
});
