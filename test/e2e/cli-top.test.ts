import { readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { GatewayClient } from '../../src/cli/client.ts';
import { freePort } from '../fixtures/free-port.ts';
import { Rig, ROOT, type Started } from './cli-rig.ts';
import { HAS_TERMINALS, inTerminal, lastFrame, withoutControls } from './cli-terminal.ts';

const EVERYTHING = join(ROOT, 'node_modules/@modelcontextprotocol/server-everything/dist/index.js');
const TOKEN = 'operations-0123456789';

let rig: Rig;
let gateway: Started;
let url: string;
beforeAll(async () => {
  rig = await Rig.make();
  const port = await freePort();
  await writeFile(
    join(rig.folder, 'turnpike.yaml'),
    `listen: {port: ${port}}
telemetry: {metrics: {tokenFile: ops}}
upstreams:
  - {name: everything, type: stdio, command: ${process.execPath}, args: [${EVERYTHING}, stdio]}
  - {name: gone, type: streamable-http, url: "http://127.0.0.1:9/mcp"}
`,
  );
  await writeFile(join(rig.folder, 'ops'), `${TOKEN}\n`);
  url = `http://127.0.0.1:${port}`;
  gateway = rig.start(['serve']);
  await gateway.until(/lists every setting/);
});
afterAll(async () => {
  await rig[Symbol.asyncDispose]();
});

const call = async () => {
  await using client = new GatewayClient({ url: new URL(`${url}/mcp`), version: '1' });
  const params = Buffer.from(JSON.stringify({ name: 'x_everything_echo', arguments: { message: 'hi' } }));
  expect(await client.request({ method: 'tools/call', name: 'x_everything_echo', params, signal: AbortSignal.timeout(10_000) })).toMatchObject({
    kind: 'result',
  });
};

describe('top', () => {
  it('is plain text, once, where standard output is no terminal', async () => {
    let isOver = false;
    const looking = rig.run(['top', '--interval', '2s', '--url', url, '--token-file', 'ops']).finally(() => {
      isOver = true;
    });
    // Some of them are between its two looks, whenever these are.
    while (!isOver) {
      await call();
      await delay(200);
    }
    const { code, out, err } = await looking;
    expect([code, err]).toEqual([0, '']);
    expect(out).not.toContain('\u001b');
    expect(out).toMatch(
      /^Turnpike at 127\.0\.0\.1:\d+ {3}up \d+ s {3}CPU \d+ % {3}memory \d+ MiB\nCalls \d+\.\d\/s {3}requests \d+\.\d\/s {3}sessions 0 {3}parked calls 0 {3}\(over \d\.\d s\)\n/,
    );
    expect(out).toMatch(/^everything +connected +legacy +[1-9][\d.]+ +0\.0 +[\d.]+ m?s +≤ .* +0 +[1-9]\d*$/m);
    expect(out).toMatch(/^gone +(retrying|unreachable|starting) +- +0\.0 +0\.0 +- +- +- +- +\d+ +0$/m);
    expect(out).toMatch(/^upstream-connections +\d+ +\d+ +0 +[1-9]\d* +0$/m);
    expect(out).toMatch(/^x_everything_echo +everything +[1-9][\d.]+$/m);
  });

  it('tells that a reload failed', async () => {
    const file = join(rig.folder, 'turnpike.yaml');
    const before = await readFile(file, 'utf8');
    await writeFile(file, before.replace('upstreams:', 'upstream:'));
    gateway.child.kill('SIGHUP');
    await gateway.until(/turnpike\.yaml:3:1 upstream: unknown key/);
    const { out } = await rig.run(['top', '--interval', '100ms', '--url', url, '--token-file', 'ops']);
    expect(out).toMatch(/^The reload of \S+ failed: turnpike\.yaml:3:1 upstream: unknown key; did you mean "upstreams"\?$/m);
    await writeFile(file, before);
  });

  it('needs the operations credential where one is set', async () => {
    const refused = await rig.run(['top', '--url', url]);
    expect(refused).toEqual({
      code: 3,
      out: '',
      err: 'turnpike: the metrics need the operations credential, telemetry.metrics.token (set TURNPIKE_TELEMETRY_METRICS_TOKEN or --token-file)\n',
    });
    const wrong = { TURNPIKE_TELEMETRY_METRICS_TOKEN: 'another-token' };
    expect((await rig.run(['top', '--url', url], { env: wrong })).code).toBe(3);
    const env = { TURNPIKE_TELEMETRY_METRICS_TOKEN: TOKEN, TURNPIKE_URL: `${url}/mcp` };
    expect(await rig.run(['top', '--once', '--interval', '100ms'], { env })).toMatchObject({ code: 0, err: '' });
  });

  it('says why there is nothing to see', async () => {
    const port = await freePort();
    const { code, out, err } = await rig.run(['top', '--url', `http://127.0.0.1:${port}`]);
    expect([code, out]).toEqual([1, '']);
    expect(err).toBe(
      `turnpike: no gateway answers at http://127.0.0.1:${port}/metrics. Start one with turnpike serve, or name it with --url or TURNPIKE_URL.\n`,
    );
    const other = createServer((_request, response) => response.writeHead(404).end());
    await new Promise<void>((resolve) => other.listen(port, '127.0.0.1', resolve));
    expect((await rig.run(['top', '--url', `http://127.0.0.1:${port}`])).err).toBe(
      `turnpike: http://127.0.0.1:${port}/metrics: the gateway answered HTTP 404\n`,
    );
    other.closeAllConnections();
    await new Promise((resolve) => other.close(resolve));
    expect((await rig.run(['top', '--url', 'nonsense'])).code).toBe(2);
  });

  it.skipIf(!HAS_TERMINALS)('redraws on a terminal until q, then leaves it as it was (needs script of util-linux)', async () => {
    const screen = inTerminal(rig, ['top', '--interval', '500ms', '--url', url, '--token-file', 'ops'], { columns: 110, rows: 12 });
    await screen.until(/q ends it[\s\S]*q ends it/);
    expect(screen.out()).toContain('\u001b[?1049h\u001b[?25l');
    await call();
    await screen.until(/BUSIEST TOOLS|everything +connected +legacy +[1-9]/);
    const frame = lastFrame(screen.out().slice(0, screen.out().lastIndexOf('\u001b[J') + 3));
    expect(frame.length).toBeLessThanOrEqual(12);
    for (const line of frame) expect(line.length).toBeLessThanOrEqual(110);
    expect(frame[0]).toMatch(/^Turnpike at 127\.0\.0\.1/);
    expect(frame.at(-1)).toBe('q ends it');
    screen.child.stdin?.write('q');
    expect(await screen.ended).toBe(0);
    expect(screen.out().trimEnd().endsWith('\u001b[?25h\u001b[?1049l')).toBe(true);
  });

  it.skipIf(!HAS_TERMINALS)('ends by Ctrl-C, and is plain with --once (needs script of util-linux)', async () => {
    const screen = inTerminal(rig, ['top', '--interval', '500ms', '--url', url, '--token-file', 'ops'], {
      columns: 60,
      rows: 8,
      env: { NO_COLOR: '1' },
    });
    await screen.until(/q ends it/);
    screen.child.stdin?.write('\u0003');
    expect(await screen.ended).toBe(0);
    expect(screen.out()).not.toContain('\u001b[1m');
    const once = inTerminal(rig, ['top', '--once', '--interval', '100ms', '--url', url, '--token-file', 'ops']);
    expect(await once.ended).toBe(0);
    expect(once.out()).not.toContain('\u001b');
    expect(withoutControls(once.out())).toMatch(/^everything +connected/m);
  });

  it.skipIf(!HAS_TERMINALS)('says that a gateway no longer answers, and shows it when it is back (needs script of util-linux)', async () => {
    const screen = inTerminal(rig, ['top', '--interval', '300ms', '--url', url, '--token-file', 'ops']);
    await screen.until(/q ends it/);
    gateway.child.kill('SIGTERM');
    await gateway.ended;
    await screen.until(/No answer for \d+ s; what is below is older\./);
    gateway = rig.start(['serve']);
    await gateway.until(/lists every setting/);
    const before = screen.out().length;
    await screen.until(new RegExp(`[\\s\\S]{${before}}[\\s\\S]*q ends it[\\s\\S]*q ends it`));
    expect(lastFrame(screen.out().slice(0, screen.out().lastIndexOf('\u001b[J'))).join('\n')).not.toContain('No answer');
    screen.child.kill('SIGTERM');
    await screen.ended;
  });
});
