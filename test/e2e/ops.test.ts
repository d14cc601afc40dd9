import { rename, writeFile } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ManualClock } from '../../src/core/manual-clock.ts';
import { METRICS } from '../../src/telemetry/metric-table.ts';
import { BRIEF, GatewayRig } from '../fixtures/hostile/gateway-rig.ts';
import { HostileServer } from '../fixtures/hostile/http-server.ts';
import { type Answered, type Front, textOf } from '../fixtures/hostile/wire.ts';
import { until } from '../fixtures/processes.ts';

const said = ({ status, body }: Answered) => [status, body.error?.code, body.error?.message];
const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

describe('health', () => {
  it('/healthz and /health say that the process answers, to anybody who may speak to us', async () => {
    await using rig = await GatewayRig.make();
    const front = await rig.start({ auth: { modes: ['static'], static: [{ name: 'a', token: 'token-a' }] } });
    for (const path of ['/healthz', '/health']) {
      const answer = await front.get(path);
      expect([answer.status, answer.text, answer.headers['content-type'], answer.headers['cache-control']]).toEqual([
        200,
        '{"status":"ok"}',
        'application/json',
        'no-store',
      ]);
      const head = await front.send({ method: 'HEAD', path });
      expect([head.status, head.text]).toEqual([200, '']);
      const post = await front.send({ path, body: '{}' });
      expect([said(post), post.headers.allow]).toEqual([[405, -32600, 'Method Not Allowed'], 'GET, HEAD']);
      expect((await front.get(path, { host: 'evil.example' })).status).toBe(403);
    }
    expect((await front.get('/readyz')).text).toBe('{"status":"ready"}');
  });

  it('/readyz names a required upstream that is down, and is ready again when it is back; others do not matter', async () => {
    await using server = await HostileServer.start({ era: 'modern' });
    server.instead = (response) => void response.writeHead(500).end();
    await using rig = await GatewayRig.make();
    const gone = { name: 'gone', type: 'streamable-http', url: 'http://127.0.0.1:9/mcp' };
    const front = await rig.start({ upstreams: [server.config('needed', { required: true }), gone] });
    const ready = async () => {
      const { status, text } = await front.get('/readyz');
      return [status, JSON.parse(text)] as const;
    };
    const [status, body] = await ready();
    expect([status, body]).toEqual([
      503,
      { status: 'not ready', problems: { 'upstream needed': expect.stringMatching(/^(retrying|unreachable|starting)$/) } },
    ]);
    expect((await front.get('/healthz')).status).toBe(200);
    server.instead = undefined;
    expect(await until(ready, ([code]) => code === 200, 5000)).toEqual([200, { status: 'ready' }]);
  });

  it('/readyz says when the store fails, without its path or its cause', async () => {
    await using rig = await GatewayRig.make();
    const dir = join(rig.folder, 'state');
    const front = await rig.start({ store: { type: 'sqlite', dir } });
    expect((await front.get('/readyz')).status).toBe(200);
    const file = join(dir, 'turnpike.db');
    await rename(file, `${file}.gone`);
    const answer = await front.get('/readyz');
    expect([answer.status, JSON.parse(answer.text)]).toEqual([
      503,
      { status: 'not ready', problems: { store: 'The store cannot be reached or its content cannot be decrypted.' } },
    ]);
    expect(answer.text).not.toContain(rig.folder);
    await rename(`${file}.gone`, file);
    expect((await front.get('/readyz')).status).toBe(200);
  });
});

describe('/metrics', () => {
  /** The text format of Prometheus, version 0.0.4: every line is a comment of ours or a sample. */
  const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{(?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\n"])*",?)*\})? (NaN|[+-]Inf|-?[0-9.e+-]+)$/;

  it('is text that parses, holds every metric of the table, and counts what happened', async () => {
    await using rig = await GatewayRig.make();
    const front = await rig.start({ upstreams: [rig.child()] });
    await front.call('x_bad_echo');
    await front.call('nope "quoted"\\');
    const answer = await front.get('/metrics');
    expect([answer.status, answer.headers['content-type']]).toEqual([200, expect.stringMatching(/^text\/plain; version=0\.0\.4/)]);
    const lines = answer.text.split('\n').filter((line) => line !== '');
    for (const line of lines) expect(line).toMatch(line.startsWith('#') ? /^# (HELP|TYPE) [a-z_:A-Z0-9]+ / : SAMPLE);
    for (const { name, type } of Object.values(METRICS)) expect(lines).toContain(`# TYPE ${name} ${type}`);
    const sample = (start: string) => lines.filter((line) => line.startsWith(start)).map((line) => Number(line.split(' ').at(-1)));
    expect(sample('turnpike_tool_calls_total{tool="x_bad_echo",upstream="bad",outcome="ok"}')).toEqual([1]);
    expect(sample('turnpike_requests_total{era="modern",method="tools/call",code="ok"}')).toEqual([1]);
    expect(sample('turnpike_requests_total{era="modern",method="tools/call",code="-32602"}')).toEqual([1]);
    // A name that a caller made up is no label.
    expect(answer.text).not.toContain('quoted');
  });

  it('without a token: for loopback, and for nobody that a proxy speaks for', async () => {
    await using rig = await GatewayRig.make();
    const front = await rig.start({});
    const refusal = [401, -32600, 'Metrics need the operations credential (telemetry.metrics.token)'];
    for (const name of ['x-forwarded-for', 'forwarded', 'x-real-ip', 'x-forwarded-host']) {
      expect(said(await front.get('/metrics', { [name]: '127.0.0.1' }))).toEqual(refusal);
    }
    expect((await front.get('/metrics')).status).toBe(200);
    expect((await front.get('/metrics', { host: 'evil.example' })).status).toBe(403);
  });

  const outside = Object.values(networkInterfaces())
    .flat()
    .find((address) => address?.family === 'IPv4' && !address.internal)?.address;

  it.skipIf(outside === undefined)('is refused to another address, and served there with the token', async () => {
    const from = String(outside);
    const listen = { host: '0.0.0.0', allowedHosts: [from] };
    const auth = { modes: ['static'], static: [{ name: 'a', token: 'token-a' }] };
    const audit = (rig: GatewayRig) => ({ audit: { file: join(rig.folder, 'audit.jsonl') } });
    const read = async (rig: GatewayRig, telemetry: object, headers = {}) => {
      await rig.start({ listen, auth, telemetry: { ...audit(rig), ...telemetry } });
      const { port } = new URL(rig.gateway.endpoint);
      return fetch(`http://${from}:${port}/metrics`, { headers });
    };
    await using bare = await GatewayRig.make();
    expect((await read(bare, {})).status).toBe(401);
    await using guarded = await GatewayRig.make();
    expect((await read(guarded, { metrics: { token: 'ops-token' } }, bearer('ops-token'))).status).toBe(200);
  });

  it('with a token: nobody without it, loopback included', async () => {
    await using rig = await GatewayRig.make();
    const telemetry = { audit: { file: join(rig.folder, 'audit.jsonl') }, metrics: { token: 'ops-token' } };
    const front = await rig.start({ telemetry });
    for (const headers of [{}, bearer('ops-token2'), bearer('ops-toke'), { authorization: 'Basic ops-token' }]) {
      const answer = await front.get('/metrics', headers);
      expect([answer.status, answer.text.includes('turnpike_')]).toEqual([401, false]);
    }
    expect((await front.get('/metrics', bearer('ops-token'))).status).toBe(200);
    expect(rig.lines.join('')).not.toContain('ops-token');
  });
});

describe('the audit file', () => {
  it('has one record per call, with the documented fields: allowed, failed, refused, cancelled', async () => {
    await using rig = await GatewayRig.make();
    const reader = { name: 'reader', token: 'token-reader', scopes: ['turnpike:read'], tenant: 'red' };
    const front = await rig.start({
      auth: { modes: ['static'], static: [{ name: 'ann', token: 'token-ann', tenant: 'blue' }, reader] },
      policy: { denylist: { extra: ['exit'] } },
      upstreams: [rig.child(), rig.child({ name: 'brief', more: BRIEF })],
    });
    const ann = { headers: bearer('token-ann') };
    const session = await front.session('2025-11-25', ann);
    await front.call('x_bad_echo', { text: 'argument-sentinel' }, { ...ann, id: 'first' });
    await session.call('x_bad_wrongResult', {}, 2);
    await until(
      async () => textOf(await front.call('x_brief_echo', {}, ann)),
      (text) => text === 'echo',
      10_000,
    );
    await front.call('x_brief_nothing', {}, ann);
    await front.call('x_bad_exit', {}, ann);
    await front.call('x_bad_nope', {}, ann);
    await front.call('x_bad_echo', {}, { headers: bearer('token-reader') });
    const leave = new AbortController();
    const gone = front.call('x_bad_late', {}, { ...ann, signal: leave.signal }).catch(() => {});
    await rig.noted('call late');
    leave.abort();
    await gone;
    // Lists are no calls.
    await front.modern('tools/list', {}, ann);
    const everything = await rig.audit(8);
    const records = everything.filter(({ tool }) => tool !== 'x_brief_echo');
    const fingerprint = expect.stringMatching(/^\S{8,}$/);
    const principal = (subject: string) => ({ fingerprint, issuer: 'static', subject });
    const common = {
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      message: 'tool call',
      subsystem: 'MCP-Tool',
      requestId: 1,
      tenant: 'blue',
      principal: principal('ann'),
      era: 'modern',
      method: 'tools/call',
      decision: 'allowed',
      duration_s: expect.any(Number),
      bytesIn: expect.any(Number),
      bytesOut: expect.any(Number),
    };
    const of = (original: string, upstream = 'bad') => ({ tool: `x_${upstream}_${original}`, original, upstream });
    const timeout = "tool 'x_brief_nothing' timed out after 0.8s";
    const blocked = "tool 'exit' is blocked as it is destructive. Use --yolo flag to allow destructive operations";
    const noAnswer = "upstream 'bad' sent a response with neither a result object nor an error";
    expect(records.map(({ credentialMode: _, ...record }) => record)).toEqual([
      { ...common, ...of('echo'), requestId: 'first', outcome: 'ok' },
      {
        ...common,
        ...of('wrongResult'),
        requestId: 2,
        era: 'legacy',
        session: fingerprint,
        outcome: 'error',
        code: 'upstream/protocol',
        error: noAnswer,
      },
      { ...common, ...of('nothing', 'brief'), outcome: 'error', code: 'upstream/timeout', error: timeout },
      { ...common, ...of('exit'), decision: expect.any(String), outcome: 'refused', code: 'policy/denied', error: blocked },
      { ...common, tool: 'x_bad_nope', decision: 'catalog/tool', outcome: 'refused', code: 'catalog/tool', error: 'tool not found: x_bad_nope' },
      {
        ...common,
        ...of('echo'),
        tenant: 'red',
        principal: principal('reader'),
        decision: 'auth/scope',
        outcome: 'refused',
        code: 'auth/scope',
        error: expect.any(String),
      },
      { ...common, ...of('late'), outcome: 'cancelled', code: 'request/cancelled', error: expect.any(String) },
    ]);
    expect(records[3]?.decision).not.toBe('allowed');
    const durations = records.map(({ duration_s: seconds }) => Number(seconds));
    expect(durations[2]).toBeGreaterThan(0.75);
    expect(records[0]?.bytesIn).toBeGreaterThan(100);
    expect(records[0]?.bytesOut).toBeGreaterThan(50);
    // Neither arguments nor results nor credentials.
    expect(JSON.stringify(records)).not.toMatch(/argument-sentinel|token-/);
  });

  it('onError refuse: nothing is sent upstream while it cannot be written; onError continue shouts and goes on', async () => {
    for (const onError of ['refuse', 'continue'] as const) {
      await using rig = await GatewayRig.make();
      // A file where a directory should be: not writable for anybody, root included.
      await writeFile(join(rig.folder, 'blocked'), '');
      const audit = { file: join(rig.folder, 'blocked', 'audit.jsonl'), onError };
      const front = await rig.start({ telemetry: { audit }, upstreams: [rig.child()] });
      const session = await front.session();
      const answers = [await front.call('x_bad_echo'), await session.call('x_bad_echo')];
      if (onError === 'refuse') {
        for (const answer of answers) {
          expect([answer.status, answer.body.result?.isError, textOf(answer)]).toEqual([
            200,
            true,
            'The audit record cannot be written and `telemetry.audit.onError` is `refuse`.',
          ]);
        }
        const prompt = await front.modern('prompts/get', { name: 'x' });
        expect(prompt.body.error?.code).toBe(-31007);
        // Not even an unknown tool is looked for: nobody would know who looked.
        expect((await front.call('nope')).body.result?.isError).toBe(true);
        expect((await rig.journal()).filter((line) => line.startsWith('call'))).toEqual([]);
        // Lists are no calls.
        expect((await front.modern('tools/list')).text).toContain('x_bad_echo');
      } else {
        expect(answers.map(textOf)).toEqual(['echo', 'echo']);
      }
      expect(rig.lines.join('')).toContain('audit records cannot be written');
      expect((await front.get('/metrics')).text).toMatch(/^turnpike_audit_write_failures_total [1-9]/m);
    }
  });
});

describe('static tokens', () => {
  const UNKNOWN = 'The credential is malformed, unknown, expired or revoked.';
  const CHALLENGE = 'Bearer scope="turnpike:read", error="invalid_token"';

  /** A gateway whose time stands still. */
  async function open(clock: ManualClock, more: object = {}): Promise<{ readonly rig: GatewayRig; readonly front: Front }> {
    const rig = await GatewayRig.make();
    const tokens = [
      { name: 'ann', token: 'token-ann' },
      { name: 'old', token: 'token-old', expires: '2026-01-02' },
    ];
    const front = await rig.start({ auth: { modes: ['static'], static: tokens }, ...more }, { clock });
    return { rig, front };
  }
  const discover = (front: Front, headers: Record<string, string | string[]> = {}) => front.modern('server/discover', {}, { headers });

  it('401 with its challenge: none, malformed, unknown, of another scheme; two are 400', async () => {
    const { rig, front } = await open(new ManualClock());
    await using _ = rig;
    const none = await discover(front);
    expect([said(none), none.headers['www-authenticate']]).toEqual([
      [401, -32600, 'The request carries no credential.'],
      'Bearer scope="turnpike:read"',
    ]);
    for (const authorization of [
      'Bearer token-bob',
      'Bearer',
      'Bearer two words',
      'Basic dG9rZW4tYW5u',
      'token-ann',
      'Bearer token-an',
      'Bearer TOKEN-ANN',
    ]) {
      const answer = await discover(front, { authorization });
      expect([authorization, said(answer), answer.headers['www-authenticate']]).toEqual([authorization, [401, -32600, UNKNOWN], CHALLENGE]);
    }
    expect((await discover(front, bearer('token-ann'))).status).toBe(200);
    const twice = await discover(front, { ...bearer('token-ann'), 'private-token': 'x' });
    expect(said(twice)).toEqual([400, -32600, 'Conflicting credentials']);
    // In the query it is no credential.
    expect((await front.modern('server/discover', {}, { path: '/mcp?access_token=token-ann' })).status).toBe(401);
    expect(rig.lines.join('')).not.toMatch(/token-(ann|bob)/);
  });

  it('an expired token is 401 from its second on, in the middle of a session too', async () => {
    const clock = new ManualClock(Date.UTC(2026, 0, 1, 23, 59, 59));
    const { rig, front } = await open(clock);
    await using _ = rig;
    const session = await front.session('2025-11-25', { headers: bearer('token-old') });
    expect((await session.request('ping')).status).toBe(200);
    clock.advance(1000);
    const late = await session.request('ping');
    expect([said(late), late.headers['www-authenticate']]).toEqual([[401, -32600, UNKNOWN], CHALLENGE]);
    expect((await discover(front, bearer('token-old'))).status).toBe(401);
    expect((await discover(front, bearer('token-ann'))).status).toBe(200);
  });

  it('ten failures in 60 s close the address, a missing credential never counts, and who is known stays', async () => {
    const clock = new ManualClock();
    const { rig, front } = await open(clock, { limits: { ip: 1000, ipBurst: 1000 } });
    await using _ = rig;
    expect((await discover(front, bearer('token-ann'))).status).toBe(200);
    for (let count = 0; count < 20; count++) expect((await discover(front)).status).toBe(401);
    for (let count = 0; count < 9; count++) expect((await discover(front, bearer(`guess-${count}`))).status).toBe(401);
    clock.advance(10_000);
    // Malformed ones count as well.
    expect((await discover(front, { authorization: 'Bearer' })).status).toBe(401);
    const closed = await discover(front, bearer('guess'));
    expect([said(closed), closed.headers['retry-after']]).toEqual([[429, -32600, 'Too many authentication failures'], '50']);
    expect((await discover(front, bearer('token-old'))).status).toBe(429);
    expect((await discover(front, bearer('token-ann'))).status).toBe(200);
    clock.advance(49_999);
    expect((await discover(front, bearer('token-old'))).status).toBe(429);
    clock.advance(1);
    expect((await discover(front, bearer('guess'))).status).toBe(401);
  });

  it('refusals for want of a scope count as failures too', async () => {
    await using server = await HostileServer.start({ era: 'modern' });
    await using rig = await GatewayRig.make();
    const tokens = [
      { name: 'reader', token: 'token-reader', scopes: ['turnpike:read'] },
      { name: 'ann', token: 'token-ann' },
    ];
    const front = await rig.start({ auth: { modes: ['static'], failures: { max: 3 }, static: tokens }, upstreams: [server.config('up')] });
    const session = await front.session('2025-11-25', { headers: bearer('token-reader') });
    expect((await front.call('x_up_echo', {}, { headers: bearer('token-reader') })).status).toBe(403);
    expect((await session.call('x_up_echo')).status).toBe(403);
    expect((await front.call('x_up_echo', {}, { headers: bearer('token-reader') })).status).toBe(403);
    expect(said(await discover(front, bearer('token-ann')))).toEqual([429, -32600, 'Too many authentication failures']);
    expect(server.executed).toEqual([]);
  });
});

describe('rates', () => {
  it('per principal: 429 with the exact text and Retry-After, for every verb and era; others are not touched', async () => {
    const clock = new ManualClock();
    await using rig = await GatewayRig.make();
    const tokens = [
      { name: 'ann', token: 'token-ann' },
      { name: 'bob', token: 'token-bob' },
    ];
    const front = await rig.start({ auth: { modes: ['static'], static: tokens }, limits: { user: 1, userBurst: 3 } }, { clock });
    const ann = { headers: bearer('token-ann') };
    const session = await front.session('2025-11-25', ann);
    expect((await front.modern('server/discover', {}, ann)).status).toBe(200);
    const refused = [
      await front.modern('server/discover', {}, ann),
      await session.request('ping'),
      await front.send({ method: 'GET', headers: { ...ann.headers, 'mcp-session-id': session.id, accept: 'text/event-stream' } }),
      await front.send({ method: 'DELETE', headers: { ...ann.headers, 'mcp-session-id': session.id } }),
      await front.send({ body: '{', headers: ann.headers }),
    ];
    for (const answer of refused) {
      expect([said(answer), answer.headers['retry-after']]).toEqual([
        [429, -32600, 'Rate limit exceeded for user. Please try again later.'],
        expect.stringMatching(/^[1-9]\d*$/),
      ]);
    }
    expect((await front.modern('server/discover', {}, { headers: bearer('token-bob') })).status).toBe(200);
    clock.advance(1000 * Number(refused[0]?.headers['retry-after']));
    expect((await session.request('ping')).status).toBe(200);
  });

  it('per address: only while no credential is known good, with its own text', async () => {
    const clock = new ManualClock();
    await using rig = await GatewayRig.make();
    const front = await rig.start(
      { auth: { modes: ['static'], static: [{ name: 'ann', token: 'token-ann' }] }, limits: { ip: 1, ipBurst: 2 } },
      { clock },
    );
    const discover = (headers: Record<string, string>) => front.modern('server/discover', {}, { headers });
    expect((await discover(bearer('token-ann'))).status).toBe(200);
    expect((await discover(bearer('guess-1'))).status).toBe(401);
    const refused = await discover(bearer('guess-2'));
    expect([said(refused), refused.headers['retry-after']]).toEqual([[429, -32600, 'Rate limit exceeded. Please try again later.'], '1']);
    // Who is known good is not charged for the others behind the same address.
    for (let count = 0; count < 5; count++) expect((await discover(bearer('token-ann'))).status).toBe(200);
    clock.advance(1000);
    expect((await discover(bearer('guess-3'))).status).toBe(401);
    // A session that does not exist is told before anything is charged.
    for (let count = 0; count < 5; count++) {
      expect((await front.send({ body: '{}', headers: { ...bearer('guess'), 'mcp-session-id': 'nope' } })).status).toBe(404);
    }
    expect((await front.get('/healthz')).status).toBe(200);
  });

  it('principal local has no limit', async () => {
    await using rig = await GatewayRig.make();
    const front = await rig.start({ limits: { ip: 1, ipBurst: 1, user: 1, userBurst: 1 } }, { clock: new ManualClock() });
    const answers = await Promise.all(Array.from({ length: 30 }, () => front.modern('server/discover')));
    expect(answers.map(({ status }) => status)).toEqual(Array(30).fill(200));
  });
});
