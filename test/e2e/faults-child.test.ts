import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../fixtures/free-port.ts';
import { GatewayRig } from '../fixtures/hostile/gateway-rig.ts';
import { Front, textOf } from '../fixtures/hostile/wire.ts';
import { isAlive, liveProcesses, until } from '../fixtures/processes.ts';
import { leftIn, Rig, ROOT } from './cli-rig.ts';

const LOST = "upstream 'bad' closed the connection after the request was sent; the outcome is unknown";

describe('kill -9 of a child in the middle of a call', () => {
  it.each(['legacy', 'modern'] as const)('the call ends at once, ran once, and the next one has a new child (%s)', async (era) => {
    await using rig = await GatewayRig.make();
    const front = await rig.start({ upstreams: [rig.child({ era })] });
    const session = era === 'legacy' ? await front.session() : undefined;
    const call = (tool: string, args = {}) =>
      session === undefined ? front.call(`x_bad_${tool}`, args) : session.call(`x_bad_${tool}`, args, crypto.randomUUID());
    const pid = Number(textOf(await call('pid')));
    const before = await rig.children();
    expect(before).toContain(pid);
    const running = [call('nothing'), call('slow', { ms: 20_000 })];
    await rig.noted('call nothing');
    await rig.noted('call slow');
    const begun = performance.now();
    process.kill(pid, 'SIGKILL');
    for (const answer of await Promise.all(running)) {
      expect([answer.status, textOf(answer), answer.body.result?.isError]).toEqual([200, LOST, true]);
    }
    expect(performance.now() - begun).toBeLessThan(5000);
    const next = Number(textOf(await call('pid')));
    expect(next).not.toBe(pid);
    const journal = await rig.journal();
    expect(journal.filter((line) => line === 'call nothing' || line === 'call slow')).toHaveLength(2);
    // As many processes as before: the dead one's place was taken, and nothing was started besides.
    await until(
      () => rig.children(),
      (pids) => pids.length === before.length && !pids.includes(pid),
      5000,
    );
  });

  it('a trusted read-only tool is repeated once on a new child; a write, or without trust, never', async () => {
    await using rig = await GatewayRig.make();
    const trust = { tools: { trustAnnotations: true } };
    const front = await rig.start({
      upstreams: [rig.child({ name: 'trusted', more: trust }), rig.child({ name: 'bad' })],
    });
    const session = await front.session();
    const executions = async (name: string, tool: string) => (await rig.journal(name)).filter((line) => line === `call ${tool}`).length;
    expect(textOf(await session.call('x_trusted_readOnce'))).toBe('echo');
    expect(await executions('trusted', 'readOnce')).toBe(2);
    expect(textOf(await session.call('x_trusted_writeOnce'))).toBe(LOST.replace('bad', 'trusted'));
    expect(await executions('trusted', 'writeOnce')).toBe(1);
    expect(textOf(await session.call('x_bad_readOnce'))).toBe(LOST);
    expect(await executions('bad', 'readOnce')).toBe(1);
    expect(textOf(await session.call('x_bad_echo'))).toBe('echo');
  });

  it("the gateway's own child killed: listed as last known, connected again by itself", async () => {
    await using rig = await GatewayRig.make();
    const front = await rig.start({ upstreams: [rig.child()] });
    const [own] = await rig.children();
    process.kill(Number(own), 'SIGKILL');
    await until(
      () => isAlive(Number(own)),
      (alive) => !alive,
      3000,
    );
    expect((await front.modern('tools/list')).text).toContain('x_bad_echo');
    await until(
      () => rig.children(),
      (pids) => pids.length === 1 && !pids.includes(Number(own)),
      5000,
    );
    await rig.upstream('bad', 'connected');
    expect(textOf(await front.call('x_bad_echo'))).toBe('echo');
  });
});

/** Everything below a process. */
async function descendants(root: number): Promise<number[]> {
  const live = await liveProcesses();
  const below = (pid: number): number[] => live.filter(({ parent }) => parent === pid).flatMap((child) => [child.pid, ...below(child.pid)]);
  return below(root);
}

describe('kill -9 of the gateway', () => {
  let rig: Rig;
  beforeAll(async () => {
    rig = await Rig.make();
  });
  afterAll(async () => {
    await rig[Symbol.asyncDispose]();
  });

  it('ends its children, their children and the reaper, also in the middle of a call, and nothing ran twice', async () => {
    const home = await rig.home();
    const port = await freePort();
    const journal = join(home, 'journal');
    const child = join(ROOT, 'test/fixtures/hostile/child.mjs');
    const file = join(home, 'turnpike.yaml');
    // A shell that neither its input nor a signal short of KILL ends, nor the end of the server in it.
    const stubborn = ['/bin/sh', '-c', `trap '' TERM; ${process.execPath} ${child} legacy normal ${journal}; while :; do sleep 1; done`];
    const configure = ([command, ...args]: string[]) =>
      writeFile(
        file,
        `listen: {port: ${port}}\nstore: {type: memory, dir: ${home}/state}\nupstreams:\n  - {name: bad, type: stdio, command: ${command}, args: ${JSON.stringify(args)}, timeouts: {call: 30s}}\n`,
      );
    await configure(stubborn);
    const gateway = rig.start(['serve', '--config', file], { env: { HOME: home } });
    await gateway.until(/bad +connected/);
    const session = await new Front(`http://127.0.0.1:${port}/mcp`).session();
    const call = session.call('x_bad_nothing').catch((error: NodeJS.ErrnoException) => error.code);
    await until(
      () => readFile(journal, 'utf8'),
      (text) => text.includes('call nothing'),
      10_000,
    );
    // The reaper, and the shell and the child of two connections.
    const below = await descendants(gateway.child.pid ?? 0);
    expect(below.length).toBe(5);
    gateway.child.kill('SIGKILL');
    expect(await call).toBe('ECONNRESET');
    expect(await gateway.ended).toBe('SIGKILL');
    await until(
      () => Promise.all(below.map(isAlive)),
      (alive) => !alive.includes(true),
      12_000,
    );
    await leftIn(home);
    expect((await readFile(journal, 'utf8')).match(/^call nothing$/gm)).toHaveLength(1);
    // A new one takes its place at once.
    await configure([process.execPath, child, 'legacy', 'normal', journal]);
    const again = rig.start(['serve', '--config', file], { env: { HOME: home } });
    await again.until(/bad +connected/);
    expect(textOf(await new Front(`http://127.0.0.1:${port}/mcp`).call('x_bad_echo'))).toBe('echo');
    again.child.kill('SIGTERM');
    expect(await again.ended).toBe(0);
    await leftIn(home);
  });
});
