import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../fixtures/free-port.ts';
import { inHome, leftIn, Rig, ROOT } from './cli-rig.ts';

let rig: Rig;
beforeAll(async () => {
  rig = await Rig.make();
});
afterAll(async () => {
  await rig[Symbol.asyncDispose]();
});

async function started() {
  const home = await rig.home();
  const port = await freePort();
  const command = [process.execPath, join(ROOT, 'scripts/start.ts')];
  const gateway = rig.start([`--listen-port=${port}`], { command, env: { HOME: home } });
  await gateway.until(/lists every setting/);
  return { gateway, home, url: `http://127.0.0.1:${port}/mcp` };
}

describe('npm start', () => {
  it('serves the reference server twice, and takes it along when it ends', async () => {
    const { gateway, home, url } = await started();
    for (const name of ['everything', 'remote']) {
      expect(gateway.err()).toMatch(new RegExp(`^ {2}${name} +connected +legacy +[1-9]\\d* +[1-9]\\d* +[1-9]\\d*$`, 'm'));
      const called = await rig.run(['call', `x_${name}_echo`, '{"message":"hello"}', '--url', url]);
      expect(called).toEqual({ code: 0, out: 'Echo: hello\n', err: '' });
    }
    gateway.child.kill('SIGTERM');
    expect(await gateway.ended).toBe(0);
    await leftIn(home);
  });

  it('leaves nothing behind after kill -9', async () => {
    const { gateway, home } = await started();
    expect((await inHome(home)).length).toBeGreaterThanOrEqual(3);
    gateway.child.kill('SIGKILL');
    await gateway.ended;
    await leftIn(home);
  });
});
