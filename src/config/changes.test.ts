import { describe, expect, it } from 'vitest';
import { Secret } from '../core/secret.ts';
import { mergeConfig, sameValue } from './changes.ts';
import { loadConfig } from './load.ts';

async function load(document: object, env: Record<string, string> = {}) {
  const bytes = Buffer.from(JSON.stringify(document));
  return loadConfig({ file: 'turnpike.json', cwd: '/w', env: { HOME: '/home/u', ...env }, readFile: async () => bytes });
}

async function merged(before: object, after: object) {
  const running = await load(before);
  const next = await load(after);
  const isDefault = (path: string) => (next.provenance.get(path)?.source ?? 'default') === 'default';
  return { ...mergeConfig(running.config, next.config, isDefault), running: running.config, next: next.config };
}

describe('mergeConfig', () => {
  it('of two that are the same changes nothing', async () => {
    const document = { limits: { ip: 3 }, auth: { modes: ['static'], static: [{ name: 'ci', token: 'abcdef' }] } };
    const { config, changed, needsRestart, running } = await merged(document, document);
    expect([changed, needsRestart]).toEqual([[], []]);
    expect(config).toEqual(running);
  });

  it('takes over what reloads, and names it', async () => {
    const { config, changed, needsRestart } = await merged(
      { limits: { ip: 3 } },
      { limits: { ip: 4, sessions: 5 }, policy: { denylist: { extra: ['a'] } }, telemetry: { log: { level: 'debug' }, metrics: { token: 'abc' } } },
    );
    expect(changed).toEqual(['limits.ip', 'limits.sessions', 'policy.denylist.extra', 'telemetry.log.level', 'telemetry.metrics.token']);
    expect(needsRestart).toEqual([]);
    expect([config.limits.ip, config.limits.sessions, config.policy.denylist.extra, config.telemetry.log.level]).toEqual([4, 5, ['a'], 'debug']);
    expect(config.telemetry.metrics.token?.matches('abc')).toBe(true);
  });

  it('leaves what needs a restart as it is, and names it', async () => {
    const { config, changed, needsRestart, running } = await merged(
      {},
      {
        listen: { port: 9, idleTimeout: '1s' },
        store: { type: 'memory', dir: '/elsewhere' },
        bridge: { interactive: ['f'] },
        pool: { limits: { total: 3 } },
        telemetry: { log: { format: 'json' }, audit: { file: '-' } },
      },
    );
    expect(changed).toEqual([]);
    expect(needsRestart).toEqual([
      'listen.port',
      'listen.idleTimeout',
      'store.type',
      'store.dir',
      'pool.limits.total',
      'bridge.interactive',
      'telemetry.log.format',
      'telemetry.audit.file',
    ]);
    expect(config).toEqual(running);
  });

  it('a default that is made from a setting that stays, stays, too', async () => {
    const moved = await merged({}, { listen: { publicUrl: 'https://mcp.example.com' } });
    expect(moved.next.listen.allowedHosts).toContain('mcp.example.com');
    expect([moved.config.listen.allowedHosts, moved.changed, moved.needsRestart]).toEqual([
      moved.running.listen.allowedHosts,
      [],
      ['listen.publicUrl'],
    ]);
    const named = await merged({}, { listen: { publicUrl: 'https://mcp.example.com', allowedHosts: ['mcp.example.com'] } });
    expect([named.config.listen.allowedHosts, named.changed]).toEqual([['mcp.example.com'], ['listen.allowedHosts']]);
    const upstreams = [{ name: 'files', type: 'stdio', command: 'x' }];
    const { config } = await merged({ store: { dir: '/a' }, upstreams }, { store: { dir: '/b' }, upstreams });
    expect(config.upstreams).toMatchObject([{ cwd: '/a' }]);
  });

  it('an optional mapping that comes or goes is named itself', async () => {
    const token = { telemetry: { metrics: { token: 'abc' } } };
    expect((await merged(token, {})).changed).toEqual(['telemetry.metrics.token']);
    expect((await merged(token, {})).config.telemetry.metrics).toEqual({});
  });
});

it('secrets are the same by what they hold, dates by their time', () => {
  expect(sameValue({ a: [new Secret('x'), new Date(1)] }, { a: [new Secret('x'), new Date(1)] })).toBe(true);
  expect(sameValue(new Secret('x'), new Secret('y'))).toBe(false);
  expect(sameValue(new Secret('x'), {})).toBe(false);
  expect(sameValue(new Date(1), new Date(2))).toBe(false);
  expect(sameValue({ a: 1 }, { a: 1, b: undefined })).toBe(false);
  expect(sameValue([1, 2], [2, 1])).toBe(false);
});
