import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import tls from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Authority } from '../fixtures/authority.ts';
import { freePort } from '../fixtures/free-port.ts';
import { until } from '../fixtures/processes.ts';
import { inHome, leftIn, Rig } from './cli-rig.ts';
import { answerIn, modernRequest, post, RawSession } from './raw-client.ts';
import { child, Served, textOf } from './reload-rig.ts';
import { Rig as Servers } from './rig.ts';

let rig: Rig;
beforeAll(async () => {
  rig = await Rig.make();
});
afterAll(async () => {
  await rig[Symbol.asyncDispose]();
});

const upstreams = (...lines: string[]) => (lines.length === 0 ? '' : `upstreams:\n${lines.join('')}`);
const ELICITS = { 'io.modelcontextprotocol/clientCapabilities': { elicitation: { form: {} } } };
const KEPT = child('kept', 'legacy');

/** One more call of `counter` over a session: how often it was called on this connection. */
async function count(session: RawSession, tool = 'x_kept_counter'): Promise<string> {
  const reply = await session.request(7, 'tools/call', { name: tool, arguments: {} });
  return textOf(reply.status, answerIn(reply));
}

describe('a reload by SIGHUP', () => {
  it('starts, stops and restarts what changed; sessions and connections of the others go on', async () => {
    const served = await Served.start(rig, upstreams(KEPT, child('leaving', 'modern'), child('changing', 'legacy')));
    const session = await RawSession.open(served.url);
    await session.stand();
    const first = await count(session);
    expect(await count(session, 'x_changing_counter')).toBe(first);
    expect(await served.listed()).toEqual(['changing', 'kept', 'leaving']);

    await served.reload(upstreams(KEPT, child('changing', 'legacy', '', '2'), child('coming', 'modern')));
    expect(served.logged('the configuration was reloaded')).toMatchObject([
      { changed: [], upstreams: { added: ['coming'], removed: ['leaving'], restarted: ['changing'], updated: [] } },
    ]);
    // In one step: what left is gone with the next request, what restarts stays listed meanwhile.
    expect(await served.listed()).toEqual(expect.arrayContaining(['changing', 'kept']));
    expect(await served.listed()).not.toContain('leaving');
    await until(
      () => served.listed(),
      (names) => names.join() === 'changing,coming,kept',
      20_000,
    );
    expect(await count(session)).not.toBe(first);
    expect(await count(session, 'x_changing_counter')).toBe(first);
    expect(await served.call('x_coming_echo', { value: 1 })).toContain('1');
    await until(
      () => session.heard.filter(({ method }) => method === 'notifications/tools/list_changed').length,
      (heard) => heard > 0,
      5_000,
    );
    // Nothing of the ones that left stays: our own connection and one of the session, for each of two legacy upstreams, and one.
    await until(
      () => inHome(join(served.file, '..')),
      (live) => live.filter(({ name }) => name === 'node').length <= 6,
      20_000,
    );
    expect(await served.stop()).toBe(0);
  });

  it('a policy or a name changes without touching a connection', async () => {
    const served = await Served.start(rig, upstreams(KEPT));
    const session = await RawSession.open(served.url);
    const first = await count(session);
    await served.reload(`policy: {denylist: {extra: [echo]}}\n${upstreams(child('kept', 'legacy', ', toolPrefix: k, timeouts: {call: 3s}'))}`);
    expect(served.logged('the configuration was reloaded')).toMatchObject([
      { changed: ['policy.denylist.extra'], upstreams: { restarted: [], updated: ['kept'] } },
    ]);
    expect(await served.tools()).not.toContain('x_k_echo');
    expect(await served.tools()).toContain('x_k_counter');
    await expect(served.call('x_k_echo', { value: 1 })).rejects.toThrow(/destructive/);
    await expect(served.call('x_k_sleep', { ms: 20_000 })).rejects.toThrow(/timed out after 3s/);
    const second = await count(session, 'x_k_counter');
    expect(second).not.toBe(first);
    expect(await served.stop()).toBe(0);
  });

  it('running calls of an upstream that restarts or leaves finish, within its closeDelay', async () => {
    const both = (variant: string) => [
      child('a', 'modern', '', variant),
      child('b', 'legacy', '', variant),
      child('c', 'legacy', ', pool: {closeDelay: 500ms}'),
    ];
    await using servers = await Servers.make();
    const far = await servers.serve('legacy');
    const served = await Served.start(rig, upstreams(...both('1'), `  - {name: d, type: streamable-http, url: "${far.url()}"}\n`));
    const running = [served.call('x_d_sleep', { ms: 3_000 }), served.call('x_a_sleep', { ms: 3_000 }), served.call('x_b_sleep', { ms: 3_000 })];
    const cut = served.call('x_c_sleep', { ms: 30_000 }).then(
      () => 'finished',
      (error: unknown) => String(error),
    );
    const began = performance.now();
    // They are at their upstreams once the pool has lent them what they need.
    await until(
      async () => (await (await fetch(new URL('/metrics', served.url))).text()).match(/turnpike_pool_leases\{[^}]*\} (\d+)/)?.[1],
      (leases) => Number(leases) >= 3,
      5_000,
    );
    await served.reload(upstreams(child('a', 'modern', '', '2')));
    expect(performance.now() - began).toBeLessThan(2_900);
    expect(await served.listed()).toEqual(['a']);
    expect(await Promise.all(running)).toEqual([expect.any(String), expect.any(String), expect.any(String)]);
    expect(await cut).toMatch(/x_c_sleep|closed|lost/);
    expect(performance.now() - began).toBeLessThan(20_000);
    expect(await served.stop()).toBe(0);
  });

  it('names once what needs a restart, and leaves it as it is', async () => {
    const served = await Served.start(rig, upstreams());
    await writeFile(served.file, served.head.replace(`port: ${served.port}`, 'port: 1').replace('format: json', 'format: pretty'));
    served.hangUp();
    await served.started.until(/needs a restart/);
    expect(served.logged('what changed in')).toMatchObject([
      { message: 'what changed in listen.port, telemetry.log.format needs a restart', needsRestart: ['listen.port', 'telemetry.log.format'] },
    ]);
    expect(await served.health()).toMatchObject({ status: 'ok', reload: { result: 'ok', needsRestart: ['listen.port', 'telemetry.log.format'] } });
    expect(await served.stop()).toBe(0);
  });
});

describe('an invalid file', () => {
  it('is told with line, column and field; the running configuration stays; the next good one is taken', async () => {
    const served = await Served.start(rig, upstreams(KEPT));
    const session = await RawSession.open(served.url);
    const first = await count(session);
    expect(await served.health()).toEqual({ status: 'ok' });
    const wrong = 'policy: {nonDestructve: true}\nauth:\n  failures: {max: many}\n';
    await served.write(wrong + upstreams(KEPT));
    served.hangUp();
    await served.started.until(/max: is a string/);
    const said = [
      `${served.file}:6:10 policy.nonDestructve: unknown key; did you mean "nonDestructive"?`,
      `${served.file}:8:19 auth.failures.max: is a string (expected an integer from 1 to 1000000)`,
    ].join('\n');
    expect(served.started.err()).toContain(`turnpike: the configuration was not reloaded; the running one stays\n${said}\n`);
    expect(served.logged('the configuration was not reloaded')).toMatchObject([{ level: 'error', code: 'config/invalid', problems: 2 }]);
    expect(await served.health()).toEqual({ status: 'ok', reload: { at: expect.any(String), result: 'failed', error: said } });
    // A proxy asks for somebody else, who is told nothing of files.
    const asked = await fetch(new URL('/health', served.url), { headers: { 'x-forwarded-for': '192.0.2.1' } });
    expect(await asked.json()).toEqual({ status: 'ok' });
    expect(await count(session)).not.toBe(first);
    await served.reload(`policy: {nonDestructive: true}\n${upstreams(KEPT)}`);
    expect(await served.health()).toMatchObject({ reload: { result: 'ok' } });
    expect(await served.stop()).toBe(0);
  });

  it('what is too dangerous, and a file that is gone, are refused alike', async () => {
    const served = await Served.start(rig, upstreams(KEPT));
    await served.write(`policy: {requirePinned: true}\n${upstreams(KEPT, '  - {name: loose, type: stdio, command: npx, args: [-y, something]}\n')}`);
    served.hangUp();
    await served.started.until(/Refusing to start upstream 'loose'/);
    await rm(served.file);
    await served.started.until(/turnpike\.yaml: the configuration file does not exist/);
    expect(await served.listed()).toEqual(['kept']);
    expect(served.reloads).toBe(0);
    expect(await served.stop()).toBe(0);
  });
});

describe('without a signal', () => {
  it('an edit is taken over, a burst of edits once', async () => {
    const served = await Served.start(rig, upstreams(KEPT));
    for (let edit = 0; edit < 5; edit++) await served.write(`policy: {denylist: {extra: [t${edit}]}}\n${upstreams(KEPT)}`);
    await until(
      () => served.reloads,
      (seen) => seen > 0,
      10_000,
    );
    await served.write(`policy: {denylist: {extra: [echo]}}\n${upstreams(KEPT)}`);
    await until(
      () => served.tools(),
      (tools) => !tools.includes('x_kept_echo'),
      10_000,
    );
    expect(served.reloads).toBe(2);
    expect(await served.stop()).toBe(0);
  });

  it('a ConfigMap that Kubernetes swaps is taken over', async () => {
    const mount = join(rig.folder, 'mount');
    const publish = async (version: string, text: string) => {
      await mkdir(join(mount, `..${version}`), { recursive: true });
      await writeFile(join(mount, `..${version}`, 'turnpike.yaml'), text);
      await symlink(`..${version}`, join(mount, '..data_tmp'));
      await rename(join(mount, '..data_tmp'), join(mount, '..data'));
    };
    const text = (...lines: string[]) => `store: {type: memory, dir: ${rig.folder}/state}\ntelemetry: {log: {format: json}}\n${upstreams(...lines)}`;
    await publish('2026_1', text(KEPT));
    await symlink('..data/turnpike.yaml', join(mount, 'turnpike.yaml'));
    const served = await Served.start(rig, '', { file: join(mount, 'turnpike.yaml') });
    await publish('2026_2', text(KEPT, child('more', 'modern')));
    await rm(join(mount, '..2026_1'), { recursive: true });
    await until(
      () => served.listed(),
      (names) => names.includes('more'),
      20_000,
    );
    expect(served.started.err()).not.toContain('not reloaded');
    expect(await served.stop()).toBe(0);
  });

  it('a secret that is rotated in its file ends what the old one opened, at once, and nothing of others', async () => {
    const secret = join(rig.folder, 'ci-token');
    await writeFile(secret, 'sentinel-old-token\n');
    const auth = `auth: {modes: [static], static: [{name: ci, token: "\${file:${secret}}"}, {name: dev, token: "\${env:DEV_TOKEN}"}]}\n`;
    const served = await Served.start(rig, `${auth}${upstreams(KEPT, child('asking', 'legacy'))}`, { env: { DEV_TOKEN: 'sentinel-dev-token' } });
    const bearer = (name: string) => ({ authorization: `Bearer sentinel-${name}-token` });
    const [old, fresh, dev] = [bearer('old'), bearer('new'), bearer('dev')];
    const session = await RawSession.open(served.url, {}, old);
    const other = await RawSession.open(served.url, {}, dev);
    await session.stand();
    const first = await count(other);
    // A call that waits for an answer of its client, and a stream of updates.
    const asking = modernRequest(5, 'tools/call', { name: 'x_asking_test_elicitation', arguments: { message: 'who?' } }, ELICITS);
    expect(answerIn(await post(served.url, asking.body, { headers: { ...asking.headers, ...old } }))).toMatchObject({
      result: { resultType: 'input_required' },
    });
    const parked = async () => /turnpike_bridge_parked (\d+)/.exec(await (await fetch(new URL('/metrics', served.url))).text())?.[1];
    expect(await parked()).toBe('1');
    const listening = modernRequest(6, 'subscriptions/listen', { notifications: { toolsListChanged: true } });
    const stream = post(served.url, listening.body, { headers: { ...listening.headers, ...old } });
    await writeFile(secret, 'sentinel-new-token\n');
    await until(
      () => served.reloads,
      (seen) => seen > 0,
      10_000,
    );
    expect(served.logged('the configuration was reloaded')).toMatchObject([{ changed: ['auth.static'], upstreams: { restarted: [] } }]);
    await expect(served.call('x_kept_echo', { value: 1 }, old)).rejects.toThrow(/401/);
    expect(await served.call('x_kept_echo', { value: 1 }, fresh)).toContain('1');
    expect(await parked()).toBe('0');
    expect(answerIn(await stream)).toMatchObject({ id: 6, result: { resultType: 'complete' } });
    // The session is no more, whoever asks.
    expect((await session.request(3, 'ping', {}, { headers: fresh })).status).toBe(404);
    expect(await count(other)).not.toBe(first);
    expect(served.started.err()).not.toContain('sentinel');
    expect(await served.stop()).toBe(0);
  });
});

it('over a pipe: the client hears that the tools changed, and calls what is new', async () => {
  const home = await rig.home();
  const file = join(home, 'pipe.yaml');
  const text = (...lines: string[]) => `telemetry: {log: {format: json}}\nstore: {dir: ${home}/state}\n${upstreams(...lines)}`;
  await writeFile(file, text(KEPT));
  const gateway = rig.start(['serve', '--stdio', '--config', file], { env: { HOME: home }, open: true });
  await gateway.until(/lists every setting/);
  const tell = (message: object) => void gateway.child.stdin?.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
  tell({ id: 1, method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'c', version: '1' } } });
  await gateway.until(/"id":1/);
  tell({ method: 'notifications/initialized' });
  tell({ id: 2, method: 'tools/call', params: { name: 'x_kept_counter', arguments: {} } });
  await gateway.until(/"id":2,/);
  await writeFile(file, text(KEPT, child('more', 'modern')));
  await gateway.until(/"upstream":"more","state":"connected"/);
  await gateway.until(/"method":"notifications\/tools\/list_changed"/);
  tell({ id: 3, method: 'tools/call', params: { name: 'x_more_echo', arguments: { value: 'new here' } } });
  await gateway.until(/"id":3,.*new here/);
  tell({ id: 4, method: 'tools/call', params: { name: 'x_kept_counter', arguments: {} } });
  // The same connection as before: it counts on.
  await gateway.until(/"id":4,.*\\"connection\\":2/);
  gateway.child.stdin?.end();
  expect(await gateway.ended).toBe(0);
  await leftIn(home);
});

describe('the certificate of our own listener', () => {
  /** The certificate that a new connection is shown. */
  async function shown(port: number): Promise<Buffer> {
    const socket = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
    await once(socket, 'secureConnect');
    const { raw } = socket.getPeerCertificate();
    socket.destroy();
    return raw;
  }
  const der = (pem: Buffer) => new X509Certificate(pem).raw;

  it('is renewed with its files; a pair that does not fit is told, and the old one stays', async () => {
    using before = new Authority();
    using after = new Authority();
    const folder = await rig.home();
    const [cert, key] = [join(folder, 'tls.crt'), join(folder, 'tls.key')];
    await writeFile(cert, before.cert);
    await writeFile(key, before.key);
    const file = join(folder, 'tls.yaml');
    const port = await freePort();
    await writeFile(
      file,
      `listen: {port: ${port}, tls: {certFile: ${cert}, keyFile: ${key}}}\nstore: {type: memory, dir: ${folder}/state}\ntelemetry: {log: {format: json}}\n`,
    );
    const gateway = rig.start(['serve', '--config', file], { env: { HOME: folder } });
    await gateway.until(/lists every setting/);
    expect(await shown(port)).toEqual(der(before.cert));
    await writeFile(cert, after.cert);
    await gateway.until(/^listen\.tls: certificate and key cannot be used/m);
    expect(await shown(port)).toEqual(der(before.cert));
    await writeFile(key, after.key);
    await gateway.until(/"changed":\["listen\.tls"\]/);
    expect(await shown(port)).toEqual(der(after.cert));
    gateway.child.kill('SIGTERM');
    expect(await gateway.ended).toBe(0);
  });
});

it('20 reloads under load: no call of an untouched upstream fails, over HTTP and pipes, with sessions and without', async () => {
  await using servers = await Servers.make();
  const [far, old] = [await servers.serve('modern'), await servers.serve('legacy')];
  const remote = (name: string, url: string) => `  - {name: ${name}, type: streamable-http, url: "${url}"}\n`;
  const untouched = [child('one', 'modern'), child('two', 'legacy'), remote('three', far.url()), remote('four', old.url())];
  const served = await Served.start(rig, upstreams(...untouched, child('other', 'modern')));
  const sessions = await Promise.all([0, 1].map(() => RawSession.open(served.url)));
  const failures: string[] = [];
  let calls = 0;
  let over = false;
  const worker = async (work: (turn: number) => Promise<string>) => {
    for (let turn = 0; !over; turn++) {
      try {
        const said = await work(turn);
        if (!said.includes(`turn-${turn}`)) failures.push(`another answer: ${said}`);
      } catch (error) {
        failures.push(String(error));
      }
      calls++;
    }
  };
  const names = ['one', 'two', 'three', 'four'];
  const inSession = (session: RawSession, name: string, place: number) => async (turn: number) => {
    // No two requests of a session that run at once have one id.
    const id = turn * names.length + place;
    const reply = await session.request(id, 'tools/call', { name: `x_${name}_echo`, arguments: { value: `turn-${turn}` } });
    return textOf(reply.status, answerIn(reply));
  };
  const counted = await Promise.all(sessions.map((session) => count(session, 'x_two_counter')));
  const workers = [
    ...names.map((name) => worker((turn) => served.call(`x_${name}_echo`, { value: `turn-${turn}` }))),
    ...sessions.flatMap((session) => names.map((name, place) => worker(inSession(session, name, place)))),
  ];
  for (let reload = 0; reload < 20; reload++) {
    const others = reload % 3 === 2 ? [] : [child('other', reload % 2 === 0 ? 'modern' : 'legacy', '', String(reload))];
    const policy = `policy: {denylist: {extra: [t${reload}]}}\n`;
    await served.reload(policy + upstreams(...(reload % 2 === 0 ? untouched : untouched.toReversed()), ...others));
  }
  over = true;
  await Promise.all(workers);
  expect(failures).toEqual([]);
  expect(calls).toBeGreaterThan(100);
  // The same processes as before: a new one would count from the start.
  const now = await Promise.all(sessions.map((session) => count(session, 'x_two_counter')));
  expect([counted, now]).toEqual([
    ['{"process":1,"connection":1}', '{"process":1,"connection":1}'],
    ['{"process":2,"connection":2}', '{"process":2,"connection":2}'],
  ]);
  expect(served.reloads).toBe(20);
  // The gateway; our own three children; one for each pair of a caller (two sessions, one without) and an upstream on pipes.
  const home = join(served.file, '..');
  await until(
    () => inHome(home),
    (live) => live.filter(({ name }) => name === 'node').length <= 1 + 3 + 3 * 2,
    20_000,
  );
  expect(await served.stop()).toBe(0);
  await leftIn(home);
}, 120_000);
