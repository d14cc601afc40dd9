import { describe, expect, it } from 'vitest';
import { KEYS } from './keys.ts';
import { loadConfig } from './load.ts';
import { configSchema } from './schema.ts';
import { defaultOf } from './yaml-text.ts';

/** Every setting with a variable: variable, flag, default as it would stand in a file. A change is a deliberate act. */
const PINS: Readonly<Record<string, readonly [string, string | undefined, string | undefined]>> = {
  'listen.host': ['TURNPIKE_LISTEN_HOST', '--listen-host', '127.0.0.1'],
  'listen.port': ['TURNPIKE_LISTEN_PORT', '--listen-port', '8080'],
  'listen.publicUrl': ['TURNPIKE_LISTEN_PUBLIC_URL', '--listen-public-url', 'http://{host}:{port}'],
  'listen.tls.certFile': ['TURNPIKE_LISTEN_TLS_CERT_FILE', '--listen-tls-cert-file', undefined],
  'listen.tls.keyFile': ['TURNPIKE_LISTEN_TLS_KEY_FILE', '--listen-tls-key-file', undefined],
  'listen.hsts': ['TURNPIKE_LISTEN_HSTS', '--listen-hsts', 'false'],
  'listen.streaming': ['TURNPIKE_LISTEN_STREAMING', '--listen-streaming', 'true'],
  'listen.allowedHosts': [
    'TURNPIKE_LISTEN_ALLOWED_HOSTS',
    '--listen-allowed-hosts',
    'the host of `listen.publicUrl`, and loopback names when listening there',
  ],
  'listen.allowedOrigins': ['TURNPIKE_LISTEN_ALLOWED_ORIGINS', '--listen-allowed-origins', '[]'],
  'listen.trustedProxies': ['TURNPIKE_LISTEN_TRUSTED_PROXIES', '--listen-trusted-proxies', '[]'],
  'listen.maxBodyBytes': ['TURNPIKE_LISTEN_MAX_BODY_BYTES', '--listen-max-body-bytes', '4MiB'],
  'listen.readHeaderTimeout': ['TURNPIKE_LISTEN_READ_HEADER_TIMEOUT', '--listen-read-header-timeout', '10s'],
  'listen.writeTimeout': ['TURNPIKE_LISTEN_WRITE_TIMEOUT', '--listen-write-timeout', '120s'],
  'listen.idleTimeout': ['TURNPIKE_LISTEN_IDLE_TIMEOUT', '--listen-idle-timeout', '120s'],
  'listen.shutdownTimeout': ['TURNPIKE_LISTEN_SHUTDOWN_TIMEOUT', '--listen-shutdown-timeout', '30s'],
  'auth.modes': ['TURNPIKE_AUTH_MODES', '--auth-modes', '[none]'],
  'auth.failures.max': ['TURNPIKE_AUTH_FAILURES_MAX', '--auth-failures-max', '10'],
  'auth.failures.window': ['TURNPIKE_AUTH_FAILURES_WINDOW', '--auth-failures-window', '60s'],
  'store.type': ['TURNPIKE_STORE_TYPE', '--store-type', 'sqlite'],
  'store.dir': ['TURNPIKE_STORE_DIR', '--store-dir', '~/.local/state/turnpike'],
  'store.encryptionKey': ['TURNPIKE_STORE_ENCRYPTION_KEY', undefined, undefined],
  'store.encryptionKeyFile': ['TURNPIKE_STORE_ENCRYPTION_KEY_FILE', '--store-encryption-key-file', undefined],
  'limits.ip': ['TURNPIKE_LIMITS_IP', '--limits-ip', '10'],
  'limits.ipBurst': ['TURNPIKE_LIMITS_IP_BURST', '--limits-ip-burst', '20'],
  'limits.user': ['TURNPIKE_LIMITS_USER', '--limits-user', '100'],
  'limits.userBurst': ['TURNPIKE_LIMITS_USER_BURST', '--limits-user-burst', '200'],
  'limits.sessions': ['TURNPIKE_LIMITS_SESSIONS', '--limits-sessions', '1000'],
  'limits.sessionIdle': ['TURNPIKE_LIMITS_SESSION_IDLE', '--limits-session-idle', '1h'],
  'pool.idleTimeout': ['TURNPIKE_POOL_IDLE_TIMEOUT', '--pool-idle-timeout', '30m'],
  'pool.cleanupInterval': ['TURNPIKE_POOL_CLEANUP_INTERVAL', '--pool-cleanup-interval', '5m'],
  'pool.maxErrorCount': ['TURNPIKE_POOL_MAX_ERROR_COUNT', '--pool-max-error-count', '10'],
  'pool.closeDelay': ['TURNPIKE_POOL_CLOSE_DELAY', '--pool-close-delay', '60s'],
  'pool.limits.total': ['TURNPIKE_POOL_LIMITS_TOTAL', '--pool-limits-total', '512'],
  'pool.limits.gitlabCredentials': ['TURNPIKE_POOL_LIMITS_GITLAB_CREDENTIALS', '--pool-limits-gitlab-credentials', '`limits.sessions`, at least 100'],
  'pool.limits.perUpstream': ['TURNPIKE_POOL_LIMITS_PER_UPSTREAM', '--pool-limits-per-upstream', '128'],
  'pool.limits.perPrincipal': ['TURNPIKE_POOL_LIMITS_PER_PRINCIPAL', '--pool-limits-per-principal', '32'],
  'pool.limits.stdio': ['TURNPIKE_POOL_LIMITS_STDIO', '--pool-limits-stdio', '64'],
  'catalog.prefix': ['TURNPIKE_CATALOG_PREFIX', '--catalog-prefix', 'x'],
  'catalog.maxNameLength': ['TURNPIKE_CATALOG_MAX_NAME_LENGTH', '--catalog-max-name-length', '64'],
  'policy.denylist.extra': ['TURNPIKE_POLICY_DENYLIST_EXTRA', '--policy-denylist-extra', '[]'],
  'policy.denylist.except': ['TURNPIKE_POLICY_DENYLIST_EXCEPT', '--policy-denylist-except', '[]'],
  'policy.annotations': ['TURNPIKE_POLICY_ANNOTATIONS', '--policy-annotations', 'enforce'],
  'policy.nonDestructive': ['TURNPIKE_POLICY_NON_DESTRUCTIVE', '--policy-non-destructive', 'false'],
  'policy.yolo': ['TURNPIKE_POLICY_YOLO', '--policy-yolo', 'false'],
  'policy.requirePinned': ['TURNPIKE_POLICY_REQUIRE_PINNED', '--policy-require-pinned', 'false'],
  'bridge.interactive': ['TURNPIKE_BRIDGE_INTERACTIVE', '--bridge-interactive', '[f, u, s, t, c, r]'],
  'bridge.stateTtl': ['TURNPIKE_BRIDGE_STATE_TTL', '--bridge-state-ttl', '10m'],
  'bridge.maxRounds': ['TURNPIKE_BRIDGE_MAX_ROUNDS', '--bridge-max-rounds', '8'],
  'bridge.roundTimeout': ['TURNPIKE_BRIDGE_ROUND_TIMEOUT', '--bridge-round-timeout', '10m'],
  'bridge.gatherWindow': ['TURNPIKE_BRIDGE_GATHER_WINDOW', '--bridge-gather-window', '25ms'],
  'bridge.replayWindow': ['TURNPIKE_BRIDGE_REPLAY_WINDOW', '--bridge-replay-window', '60s'],
  'bridge.blockSecretForms': ['TURNPIKE_BRIDGE_BLOCK_SECRET_FORMS', '--bridge-block-secret-forms', 'true'],
  'bridge.park.perPrincipal': ['TURNPIKE_BRIDGE_PARK_PER_PRINCIPAL', '--bridge-park-per-principal', '16'],
  'bridge.park.perUpstream': ['TURNPIKE_BRIDGE_PARK_PER_UPSTREAM', '--bridge-park-per-upstream', '64'],
  'bridge.park.total': ['TURNPIKE_BRIDGE_PARK_TOTAL', '--bridge-park-total', '1000'],
  'telemetry.log.level': ['TURNPIKE_TELEMETRY_LOG_LEVEL', '--telemetry-log-level', 'info'],
  'telemetry.log.format': ['TURNPIKE_TELEMETRY_LOG_FORMAT', '--telemetry-log-format', 'auto'],
  'telemetry.metrics.token': ['TURNPIKE_TELEMETRY_METRICS_TOKEN', undefined, undefined],
  'telemetry.metrics.tokenFile': ['TURNPIKE_TELEMETRY_METRICS_TOKEN_FILE', '--telemetry-metrics-token-file', undefined],
  'telemetry.audit.file': ['TURNPIKE_TELEMETRY_AUDIT_FILE', '--telemetry-audit-file', 'audit.jsonl'],
  'telemetry.audit.onError': ['TURNPIKE_TELEMETRY_AUDIT_ON_ERROR', '--telemetry-audit-on-error', 'continue'],
  'telemetry.audit.maxBytes': ['TURNPIKE_TELEMETRY_AUDIT_MAX_BYTES', '--telemetry-audit-max-bytes', '100MiB'],
  'telemetry.audit.maxFiles': ['TURNPIKE_TELEMETRY_AUDIT_MAX_FILES', '--telemetry-audit-max-files', '5'],
};

describe('pins', () => {
  it('names and defaults of every setting', () => {
    expect(Object.fromEntries(KEYS.map(({ path, node, variable, flag }) => [path.join('.'), [variable, flag, defaultOf(node)]]))).toEqual(PINS);
  });

  it('defaults as the program reads them', async () => {
    const readFile = () => Promise.reject(Object.assign(new Error('absent'), { code: 'ENOENT' }));
    const { config, provenance } = await loadConfig({ cwd: '/w', env: { HOME: '/h' }, readFile });
    expect(config).toEqual({
      listen: {
        host: '127.0.0.1',
        port: 8080,
        publicUrl: 'http://127.0.0.1:8080',
        hsts: false,
        streaming: true,
        allowedHosts: ['127.0.0.1', 'localhost', '[::1]'],
        allowedOrigins: [],
        trustedProxies: [],
        maxBodyBytes: 4_194_304,
        readHeaderTimeout: 10_000,
        writeTimeout: 120_000,
        idleTimeout: 120_000,
        shutdownTimeout: 30_000,
      },
      auth: { modes: ['none'], failures: { max: 10, window: 60_000 }, static: [] },
      store: { type: 'sqlite', dir: '/h/.local/state/turnpike', encryptionKeys: [] },
      limits: { ip: 10, ipBurst: 20, user: 100, userBurst: 200, sessions: 1000, sessionIdle: 3_600_000 },
      pool: {
        idleTimeout: 1_800_000,
        cleanupInterval: 300_000,
        maxErrorCount: 10,
        closeDelay: 60_000,
        limits: { total: 512, perUpstream: 128, perPrincipal: 32, stdio: 64 },
      },
      upstreams: [],
      catalog: { prefix: 'x', maxNameLength: 64 },
      policy: { denylist: { extra: [], except: [] }, annotations: 'enforce', nonDestructive: false, yolo: false, requirePinned: false },
      bridge: {
        interactive: ['f', 'u', 's', 't', 'c', 'r'],
        stateTtl: 600_000,
        maxRounds: 8,
        roundTimeout: 600_000,
        gatherWindow: 25,
        replayWindow: 60_000,
        blockSecretForms: true,
        park: { perPrincipal: 16, perUpstream: 64, total: 1000 },
        roots: {},
      },
      telemetry: {
        log: { level: 'info', format: 'auto' },
        metrics: {},
        audit: { file: 'audit.jsonl', onError: 'continue', maxBytes: 104_857_600, maxFiles: 5 },
      },
    });
    expect(new Set([...provenance.values()].map(({ source }) => source))).toEqual(new Set(['default']));
  });

  it('defaults of upstreams and tokens', () => {
    const common = {
      required: false,
      naming: 'prefixed',
      protocol: 'auto',
      timeouts: { connect: 30_000, startup: 30_000, list: 10_000, call: 60_000, callMax: 3_600_000 },
      health: { interval: 30_000, timeout: 5_000, failures: 3, staleFor: 600_000 },
      retry: { initial: 2_000, factor: 2, max: 120_000, jitter: 0.2 },
      sharing: 'session',
      pool: { idleTimeout: 1_800_000, maxErrorCount: 10, closeDelay: 60_000, maxConnections: 128 },
      tools: { allow: ['*'], deny: [], readOnly: [], trustAnnotations: false },
      auth: { mode: 'none' },
    };
    const { upstreams, auth } = configSchema.parse({
      store: { dir: '/d' },
      auth: { modes: ['static'], static: [{ name: 'ci', sha256: 'a'.repeat(64) }] },
      upstreams: [
        { name: 'a', type: 'stdio', command: 'x' },
        { name: 'b', type: 'streamable-http', url: 'http://x' },
        { name: 'c', type: 'sse', endpoints: [{ url: 'http://x' }] },
      ],
    });
    const endpoint = { url: 'http://x', priority: 0, weight: 1 };
    expect(upstreams).toEqual([
      { ...common, name: 'a', type: 'stdio', toolPrefix: 'a', command: 'x', args: [], cwd: '/d', env: {}, allowUnsafeEnv: false },
      { ...common, name: 'b', type: 'streamable-http', toolPrefix: 'b', headers: {}, endpoints: [{ ...endpoint, type: 'streamable-http' }] },
      { ...common, name: 'c', type: 'sse', toolPrefix: 'c', headers: {}, endpoints: [{ ...endpoint, type: 'sse' }] },
    ]);
    expect(auth.static).toEqual([{ name: 'ci', sha256: 'a'.repeat(64), tenant: 'default', scopes: ['turnpike:read', 'turnpike:write'] }]);
  });
});
