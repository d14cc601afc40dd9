import { readFile } from 'node:fs/promises';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { ManualClock } from '../../src/core/manual-clock.ts';
import { type Connection, getOrLaunch, getOrLaunchForSession } from '../../src/launcher/index.ts';
import { environmentOf, processesWithMark, until } from '../fixtures/processes.ts';
import { count, DEAF, LauncherRig, SILENT } from './launcher-rig.ts';

/** aggregator.md section 11, 26 to 39, as a program sees them that imports `turnpike/launcher`: real children, counted in /proc. */
vi.setConfig({ testTimeout: 60_000 });

const open: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one[Symbol.asyncDispose]();
});
async function start(...args: Parameters<typeof LauncherRig.start>): Promise<LauncherRig> {
  const rig = await LauncherRig.start(...args);
  open.push(rig);
  return rig;
}

const session = (rig: LauncherRig, id: string, name = 'up') => getOrLaunchForSession(rig.launcher, name, id);
const callerOf = (subject: string) => ({ caller: { principal: { issuer: 'https://id.example', subject }, tenant: 't' } });

it('26: one session calls twice: one child; another session has its own', async () => {
  const rig = await start((child) => [child('up')]);
  const one = await session(rig, 'one');
  expect([await count(one), await count(await session(rig, 'one')), await rig.children()]).toEqual([1, 2, 1]);
  expect([await count(await session(rig, 'two')), await rig.children(), await count(one)]).toEqual([1, 2, 3]);
});

it('27: 20 simultaneous launches of one session start one child', async () => {
  const rig = await start((child) => [child('up')]);
  const all = await Promise.all(Array.from({ length: 20 }, () => session(rig, 'one')));
  const counts = await Promise.all(all.map(count));
  expect(counts.map(Number).toSorted((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, index) => index + 1));
  expect(await rig.children()).toBe(1);
});

it('28: without sessions: one child for a principal, two for two, one for all where it is shared', async () => {
  const rig = await start((child) => [child('up'), child('all', { sharing: 'shared' })]);
  const launched = (name: string, who: string) => getOrLaunch(rig.launcher, name, callerOf(who));
  expect([await count(await launched('up', 'ann')), await count(await launched('up', 'ann')), await rig.children()]).toEqual([1, 2, 1]);
  expect([await count(await launched('up', 'bob')), await rig.children()]).toEqual([1, 2]);
  const shared = [await launched('all', 'ann'), await launched('all', 'bob'), await session(rig, 'one', 'all')];
  for (const [index, connection] of shared.entries()) expect(await count(connection)).toBe(index + 1);
  expect(await rig.children()).toBe(3);
});

it('28: `sharing: principal` gives the sessions of one principal one connection, and no others', async () => {
  const rig = await start((child) => [child('up', { sharing: 'principal' })]);
  const launched = (id: string, who: string) => getOrLaunchForSession(rig.launcher, 'up', id, callerOf(who));
  expect([await count(await launched('1', 'ann')), await count(await launched('2', 'ann')), await count(await launched('3', 'bob'))]).toEqual([
    1, 2, 1,
  ]);
});

it('29: a child that never initializes: the text, no process left, and other launches are not delayed', async () => {
  const rig = await start((child) => [child('mute', { ...SILENT, timeouts: { startup: '3s' } }), child('up')]);
  const failed = expect(session(rig, 'one', 'mute')).rejects.toMatchObject({ code: 'upstream/timeout', message: 'server startup timeout after 3s' });
  await rig.until(1);
  const up = await session(rig, 'one');
  // It still waits while the other one works.
  expect([await count(up), await rig.children()]).toEqual([1, 2]);
  await failed;
  await rig.until(1);
});

it('29: an abort of the only one who waits ends the launch and its child', async () => {
  const rig = await start((child) => [child('mute', SILENT)]);
  const stop = new AbortController();
  const failed = expect(getOrLaunch(rig.launcher, 'mute', { signal: stop.signal })).rejects.toThrow('enough');
  await rig.until(1);
  stop.abort(new Error('enough'));
  await failed;
  await rig.until(0);
});

it('30: an unknown id, and a launch that fails, are said', async () => {
  const rig = await start((child) => [child('up', { command: '/no/such/command' })]);
  await expect(getOrLaunch(rig.launcher, 'nobody')).rejects.toThrow("server 'nobody' not found in config");
  await expect(session(rig, 'one', 'nobody')).rejects.toThrow("server 'nobody' not found in config");
  await expect(session(rig, 'one')).rejects.toThrow(/^failed to create connection: .*up/);
});

describe('31 and 32: idle connections', () => {
  const SHORT = { pool: { idleTimeout: '2s', cleanupInterval: '1s' } };

  it('are closed with their child; the next call starts one', async () => {
    const rig = await start((child) => [child('up')], SHORT);
    const one = await session(rig, 'one');
    expect([await count(one), rig.launcher.getMetadata(one.key)?.state]).toEqual([1, 'idle']);
    await rig.until(0);
    expect(rig.launcher.getMetadata(one.key)).toBeUndefined();
    expect([await count(one), await rig.children()]).toEqual([1, 1]);
    expect(await count(await session(rig, 'one'))).toBe(2);
  });

  it('are none while a call runs that takes longer', async () => {
    const rig = await start((child) => [child('up')], SHORT);
    const one = await session(rig, 'one');
    expect(await count(one)).toBe(1);
    expect(await one.callTool('sleep', { ms: 4_500 })).toMatchObject({ content: [{ text: 'Slept' }] });
    expect([await count(one), await rig.children()]).toEqual([2, 1]);
  });
});

describe('33: the error budget', () => {
  const BRIEF = { timeouts: { call: '1s' }, pool: { maxErrorCount: 3 } };
  const late = (connection: Connection) => expect(connection.callTool('sleep', { ms: 20_000 })).rejects.toThrow("tool 'sleep' timed out after 1s");

  it('three deadlines in a row end a connection: the fourth call has a new child', async () => {
    const rig = await start((child) => [child('up', BRIEF)]);
    const one = await session(rig, 'one');
    expect(await count(one)).toBe(1);
    for (let time = 0; time < 3; time++) await late(one);
    expect(await count(one)).toBe(1);
    await rig.until(1);
    expect(rig.launcher.getMetadata(one.key)?.errorCount).toBe(0);
  });

  it('a success between starts over; errors that the server answers never count', async () => {
    const rig = await start((child) => [child('up', BRIEF)]);
    const one = await session(rig, 'one');
    for (let time = 0; time < 2; time++) await late(one);
    expect(rig.launcher.getMetadata(one.key)?.errorCount).toBe(2);
    expect([await count(one), rig.launcher.getMetadata(one.key)?.errorCount]).toEqual([1, 0]);
    for (let time = 0; time < 2; time++) await late(one);
    for (let time = 0; time < 4; time++) expect(await one.callTool('test_error_handling')).toMatchObject({ isError: true });
    for (let time = 0; time < 4; time++) await expect(one.callTool('no such tool')).rejects.toMatchObject({ name: 'McpError' });
    expect(await count(one)).toBe(2);
  });
});

it('34: a write whose child is killed: outcome unknown, written once, and the next call works', async () => {
  const rig = await start((child) => [child('up')]);
  const one = await session(rig, 'one');
  const writing = one.callTool('write', { key: 'k', delayMs: 20_000 });
  const failed = expect(writing).rejects.toThrow("upstream 'up' closed the connection after the request was sent; the outcome is unknown");
  await until(
    () => rig.events('write'),
    (seen) => seen === 1,
    10_000,
  );
  const [child] = await processesWithMark(rig.mark);
  process.kill(child?.pid ?? 0, 'SIGKILL');
  await failed;
  expect(await count(one)).toBe(1);
  expect([await rig.events('write'), await rig.children()]).toEqual([1, 1]);
});

it('35: a replaced connection finishes its call, then it is closed', async () => {
  const rig = await start((child) => [child('up')]);
  const old = await session(rig, 'one');
  const running = old.callTool('sleep', { ms: 2_000 });
  await until(
    () => rig.launcher.getMetadata(old.key)?.state,
    (state) => state === 'active',
    5_000,
  );
  const closing = old.close();
  expect(rig.launcher.getMetadata(old.key)).toBeUndefined();
  const fresh = await session(rig, 'one');
  expect([await count(fresh), await rig.children()]).toEqual([1, 2]);
  expect(await running).toMatchObject({ content: [{ text: 'Slept' }] });
  await closing;
  await rig.until(1);
  expect(await count(fresh)).toBe(2);
  await expect(old.callTool('counter')).rejects.toThrow(/was closed/);
});

describe('36: caps', () => {
  it('a third session takes the place of the one that is idle for longest', async () => {
    const rig = await start((child) => [child('up', { pool: { maxConnections: 2 } })]);
    const [one, two] = [await session(rig, 'one'), await session(rig, 'two')];
    expect([await count(two), await count(one)]).toEqual([1, 1]);
    expect([await count(await session(rig, 'three')), await count(one)]).toEqual([1, 2]);
    expect([rig.launcher.getMetadata(two.key), await rig.children()]).toEqual([undefined, 2]);
  });

  it('with none idle it waits for one, or gets the text after 10 s', async () => {
    const clock = new ManualClock();
    const rig = await start((child) => [child('up', { pool: { maxConnections: 2 } })], { clock });
    const busy = [await session(rig, 'one'), await session(rig, 'two')];
    const stop = new AbortController();
    const running = busy.map((one) => one.callTool('sleep', { ms: 30_000 }, { signal: stop.signal }).catch((error: unknown) => String(error)));
    await until(
      () => busy.map(({ key }) => rig.launcher.getMetadata(key)?.state),
      (states) => states.every((state) => state === 'active'),
      5_000,
    );
    const refused = expect(session(rig, 'three')).rejects.toMatchObject({
      code: 'upstream/capacity',
      message: "connection limit reached for upstream 'up' (limit 2); retry later",
    });
    await new Promise((resolve) => setImmediate(resolve));
    clock.advance(10_000);
    await refused;
    const waiting = session(rig, 'three');
    stop.abort(new Error('enough'));
    expect(await count(await waiting)).toBe(1);
    expect(await Promise.all(running)).toEqual(['Error: enough', 'Error: enough']);
  });
});

describe('37: a child and its helper that ignore TERM', () => {
  it('are gone within 10 s of the end of their session, and the others live', async () => {
    const rig = await start((child) => [child('up', DEAF)]);
    const [one, two] = [await session(rig, 'one'), await session(rig, 'two')];
    expect([await count(one), await count(two), await rig.children()]).toEqual([1, 1, 4]);
    const began = performance.now();
    await rig.launcher.endSession('one');
    expect(await rig.children()).toBe(2);
    expect(performance.now() - began).toBeLessThan(10_000);
    expect(await count(two)).toBe(2);
  });

  it('are gone when close resolves, with a call in flight', async () => {
    const rig = await start((child) => [child('up', DEAF)]);
    const one = await session(rig, 'one');
    const cut = expect(one.callTool('write', { key: 'k', delayMs: 60_000 })).rejects.toThrow(/the outcome is unknown/);
    await until(
      () => rig.events('write'),
      (seen) => seen === 1,
      10_000,
    );
    const began = performance.now();
    await Promise.all([rig.launcher.close(), rig.launcher.close()]);
    expect([await rig.children(), performance.now() - began < 10_000]).toEqual([0, true]);
    await cut;
    await expect(session(rig, 'one')).rejects.toMatchObject({ code: 'pool/closed' });
    await expect(one.ping()).rejects.toMatchObject({ code: 'pool/closed' });
  });

  it('a launcher ends with its signal, too', async () => {
    const stop = new AbortController();
    const rig = await start((child) => [child('up')], { signal: stop.signal });
    await count(await session(rig, 'one'));
    stop.abort();
    await rig.until(0);
  });
});

it('38: a secret in our environment is not in the child’s', async () => {
  const environment = { ...process.env, LANG: 'C.UTF-8', MY_SECRET: 'swordfish' };
  const rig = await start((child) => [child('up')], { environment });
  await count(await session(rig, 'one'));
  const [child] = await processesWithMark(rig.mark);
  const variables = await environmentOf(child?.pid ?? 0);
  expect(variables).toContain('LANG=C.UTF-8');
  expect(variables.join('\n')).not.toMatch(/MY_SECRET|swordfish/);
  expect((await readFile(`/proc/${child?.pid}/cmdline`, 'utf8')).includes('swordfish')).toBe(false);
});

it('39: metadata: active with its count while a call runs, idle after, gone after its end', async () => {
  const rig = await start((child) => [child('up', { env: { TOKEN: 'swordfish' } })]);
  const one = await session(rig, 'one');
  expect(rig.launcher.getMetadata(one.key)).toEqual({
    state: 'idle',
    requestCount: 1,
    errorCount: 0,
    createdAt: expect.any(Date),
    lastUsedAt: expect.any(Date),
  });
  const running = one.callTool('sleep', { ms: 1_000 });
  const active = await until(
    () => rig.launcher.getMetadata(one.key),
    (metadata) => metadata?.state === 'active',
    5_000,
  );
  expect(active?.requestCount).toBe(2);
  await running;
  const idle = rig.launcher.getMetadata(one.key);
  expect(idle).toMatchObject({ state: 'idle', requestCount: 2 });
  expect(Number(idle?.lastUsedAt)).toBeGreaterThanOrEqual(Number(active?.lastUsedAt) + 900);
  expect(JSON.stringify([active, idle])).not.toContain('swordfish');
  await rig.launcher.endSession('one');
  expect(rig.launcher.getMetadata(one.key)).toBeUndefined();
});
