import { mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../fixtures/free-port.ts';
import { inHome, leftIn, MAIN, Rig, ROOT } from './cli-rig.ts';

const EVERYTHING = join(ROOT, 'node_modules/@modelcontextprotocol/server-everything/dist/index.js');

let rig: Rig;
beforeAll(async () => {
  rig = await Rig.make();
});
afterAll(async () => {
  await rig[Symbol.asyncDispose]();
});

const initialize = {
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'c', version: '1' } },
};

let files = 0;
/** Writes a configuration and gives its path. */
async function configuration(text: string): Promise<string> {
  const file = join(rig.folder, `config-${files++}.yaml`);
  await writeFile(file, text);
  return file;
}

/** The reference server as a child, and what its upstream is called. */
const stdioUpstream = (more = '') => `upstreams:
  - {name: everything, type: stdio, command: ${process.execPath}, args: [${EVERYTHING}, stdio]${more}}
`;

describe('serve', () => {
  it('without a configuration says so, listens on loopback, and ends with 0 when asked to', async () => {
    const cwd = join(rig.folder, 'empty');
    await mkdir(cwd);
    const port = await freePort();
    const gateway = rig.start(['serve', `--listen-port=${port}`], { cwd });
    await gateway.until(/lists every setting/);
    expect(gateway.out()).toBe('');
    expect(gateway.err()).toContain('Configuration  none found (no turnpike.yaml here, no --config)');
    expect(gateway.err()).toContain(`Endpoint       http://127.0.0.1:${port}/mcp`);
    expect(gateway.err()).toContain(`Data           ${rig.folder}/.local/state/turnpike`);
    expect(gateway.err()).toContain('No upstreams are configured, so no tools are served.');
    expect(gateway.err()).toContain(`{"mcpServers":{"turnpike":{"url":"http://127.0.0.1:${port}/mcp"}}}`);
    expect(gateway.err()).toContain('Your own configuration: write turnpike.yaml here, or name a file with --config.');
    const response = await fetch(`http://127.0.0.1:${port}/healthz`);
    expect(response.status).toBe(200);
    gateway.child.kill('SIGTERM');
    expect(await gateway.ended).toBe(0);
  });

  it('tells its upstreams, their states and counts; list and call work; no process is left', async () => {
    const home = await rig.home();
    const port = await freePort();
    const file = await configuration(
      `listen: {port: ${port}}\nstore: {type: memory, dir: ${rig.folder}/s}\n${stdioUpstream()}  - {name: down, type: streamable-http, url: "http://127.0.0.1:9/mcp"}\n`,
    );
    const gateway = rig.start(['serve', '--config', file], { env: { HOME: home } });
    await gateway.until(/lists every setting/);
    expect(gateway.err()).toMatch(/^ {2}everything +connected +legacy +[1-9]\d* +[1-9]\d* +[1-9]\d*$/m);
    expect(gateway.err()).toMatch(/^ {2}down +(unreachable|retrying|failed) +- +0 +0 +0$/m);
    expect(gateway.err()).toMatch(/^ {2}down: \S/m);
    expect(gateway.err()).toContain('Data           in memory only');
    const env = { TURNPIKE_URL: `http://127.0.0.1:${port}/mcp` };
    const listed = await rig.run(['list'], { env });
    expect([listed.code, listed.out.split('\n')[0]?.split(/ +/)]).toEqual([0, ['NAME', 'DESCRIPTION']]);
    expect(listed.out).toMatch(/^x_everything_echo +\S/m);
    expect(listed.err).toMatch(/^turnpike: upstream down is missing: /m);
    const called = await rig.run(['call', 'x_everything_echo', '{"message":"hello"}'], { env });
    expect(called).toEqual({ code: 0, out: 'Echo: hello\n', err: '' });
    const unknown = await rig.run(['call', 'x_everything_ecko'], { env });
    expect([unknown.code, unknown.out]).toEqual([1, '']);
    expect(unknown.err).toContain('(Did you mean x_everything_echo?)');
    gateway.child.kill('SIGINT');
    expect(await gateway.ended).toBe(0);
    await leftIn(home);
  });

  it('with tokens: 3 without one, 0 with one, and a snippet that shows where it goes', async () => {
    const port = await freePort();
    const file = await configuration(
      `listen: {port: ${port}}\nstore: {type: memory, dir: ${rig.folder}/s}\nauth: {modes: [static], static: [{name: ci, token: "\${env:CI_TOKEN}"}]}\n`,
    );
    const gateway = rig.start(['serve', '--config', file], { env: { CI_TOKEN: 'sentinel-ci-token' } });
    await gateway.until(/lists every setting/);
    expect(gateway.err()).toContain('"headers":{"Authorization":"Bearer YOUR-TOKEN"}');
    const env = { TURNPIKE_URL: `http://127.0.0.1:${port}/mcp` };
    expect(await rig.run(['list'], { env })).toMatchObject({ code: 3, out: '' });
    expect((await rig.run(['list'], { env: { ...env, TURNPIKE_TOKEN: 'another' } })).code).toBe(3);
    expect((await rig.run(['list'], { env: { ...env, TURNPIKE_TOKEN: 'sentinel-ci-token' } })).code).toBe(0);
    gateway.child.kill('SIGTERM');
    expect(await gateway.ended).toBe(0);
    expect(gateway.err() + gateway.out()).not.toContain('sentinel-ci-token');
  });

  it('a refused call is 3', async () => {
    const port = await freePort();
    const file = await configuration(
      `listen: {port: ${port}}\nstore: {type: memory, dir: ${rig.folder}/s}\npolicy: {nonDestructive: true}\n${stdioUpstream()}`,
    );
    const gateway = rig.start(['serve', '--config', file]);
    await gateway.until(/lists every setting/);
    const called = await rig.run(['call', 'x_everything_echo', '{"message":"a"}', '--url', `http://127.0.0.1:${port}/mcp`]);
    expect([called.code, called.out]).toEqual([3, '']);
    expect(called.err).not.toBe('');
    gateway.child.kill('SIGTERM');
    expect(await gateway.ended).toBe(0);
  });
});

describe('serve refuses', () => {
  it('a configuration with mistakes', async () => {
    const file = await configuration('listen: {prot: 1}\n');
    expect(await rig.run(['serve', '--config', file])).toEqual({
      code: 1,
      out: '',
      err: `turnpike: the configuration is invalid\n${file}:1:10 listen.prot: unknown key; did you mean "port"?\n`,
    });
  });

  it('a file that is not there', async () => {
    const ended = await rig.run(['serve', '--config', 'none.yaml']);
    expect(ended).toEqual({ code: 1, out: '', err: 'turnpike: the configuration is invalid\nnone.yaml: the configuration file does not exist\n' });
  });

  it('to listen beyond loopback without authentication', async () => {
    const ended = await rig.run(['serve', '--listen-host', '0.0.0.0', '--store-type', 'memory']);
    expect([ended.code, ended.out]).toEqual([1, '']);
    expect(ended.err).toContain('Refusing to listen on 0.0.0.0:8080 without authentication. Set auth.modes, or listen.host to 127.0.0.1.\n');
  });

  it('a port in use, in one line', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const { port } = other.address() as AddressInfo;
    const ended = await rig.run(['serve', `--listen-port=${port}`, '--store-type=memory']);
    other.close();
    expect([ended.code, ended.out]).toEqual([1, '']);
    expect(ended.err.split('\n').filter((line) => line.startsWith('turnpike: '))).toEqual([
      `turnpike: 127.0.0.1:${port} is in use by another process. Stop that one, or choose another port with listen.port or --listen-port.`,
    ]);
  });

  it('a data folder that is a file', async () => {
    const file = join(rig.folder, 'file');
    await writeFile(file, '');
    const ended = await rig.run(['serve', '--listen-port=0', `--store-dir=${file}`]);
    expect([ended.code, ended.out]).toEqual([1, '']);
    expect(ended.err).toMatch(new RegExp(`^turnpike: .*${file}.*$`, 'm'));
    expect(ended.err).not.toMatch(/^ +at /m);
  });
});

describe('stopping', () => {
  async function slowCall() {
    const home = await rig.home();
    const port = await freePort();
    const file = await configuration(
      `listen: {port: ${port}, shutdownTimeout: 20s}\nstore: {type: memory, dir: ${rig.folder}/s}\n${stdioUpstream(', tools: {allow: ["*"]}')}`,
    );
    const gateway = rig.start(['serve', '--config', file], { env: { HOME: home } });
    await gateway.until(/lists every setting/);
    const url = `http://127.0.0.1:${port}/mcp`;
    const call = rig.start(['call', 'x_everything_trigger-long-running-operation', '{"duration":4,"steps":4}', '--url', url]);
    await call.until(/1\/4/);
    return { gateway, call, home, url };
  }

  it('SIGTERM refuses new work with 503, lets a running call finish, leaves no process, exits 0', async () => {
    const { gateway, call, home, url } = await slowCall();
    gateway.child.kill('SIGTERM');
    await gateway.until(/Stopping: running calls have 20 s to finish/);
    const headers = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };
    const refused = await fetch(url, { method: 'POST', headers, body: JSON.stringify(initialize) });
    expect([refused.status, Number(refused.headers.get('retry-after')) > 0]).toEqual([503, true]);
    expect(await rig.run(['list', '--url', url])).toEqual({ code: 1, out: '', err: 'turnpike: The gateway is shutting down; retry later.\n' });
    expect(await call.ended).toBe(0);
    expect(call.out()).toContain('Long running operation completed');
    expect(await gateway.ended).toBe(0);
    await leftIn(home);
  });

  it.each([
    ['SIGTERM', 143],
    ['SIGINT', 130],
  ] as const)('a second signal ends at once (%s), children too', async (signal, code) => {
    const { gateway, call, home } = await slowCall();
    gateway.child.kill('SIGTERM');
    await gateway.until(/Stopping/);
    await delay(200);
    const asked = performance.now();
    gateway.child.kill(signal);
    expect(await gateway.ended).toBe(code);
    expect(performance.now() - asked).toBeLessThan(2000);
    expect(await call.ended).toBe(1);
    await leftIn(home);
  });

  it('a deadline cuts what does not finish', async () => {
    const port = await freePort();
    const file = await configuration(`listen: {port: ${port}, shutdownTimeout: 1s}\nstore: {type: memory, dir: ${rig.folder}/s}\n${stdioUpstream()}`);
    const gateway = rig.start(['serve', '--config', file]);
    await gateway.until(/lists every setting/);
    const call = rig.start([
      'call',
      'x_everything_trigger-long-running-operation',
      '{"duration":30,"steps":30}',
      '--url',
      `http://127.0.0.1:${port}/mcp`,
    ]);
    await call.until(/1\/30/);
    const asked = performance.now();
    gateway.child.kill('SIGTERM');
    expect(await gateway.ended).toBe(0);
    expect(performance.now() - asked).toBeGreaterThanOrEqual(1000);
    expect(performance.now() - asked).toBeLessThan(12_000);
    expect(await call.ended).toBe(1);
  });

  it('a signal during a slow start ends it', async () => {
    const file = await configuration(
      `listen: {port: 0}\nstore: {type: memory, dir: ${rig.folder}/s}\nupstreams: [{name: mute, type: stdio, command: sleep, args: ["1000"]}]\n`,
    );
    const home = await rig.home();
    const gateway = rig.start(['serve', '--config', file], { env: { HOME: home } });
    await gateway.until(/Upstreams {6}1, starting/);
    gateway.child.kill('SIGTERM');
    expect(await gateway.ended).toBe(0);
    await leftIn(home);
  });
});

describe('an error that nobody caught', () => {
  it('is logged, ends the children, and exits 1', async () => {
    const home = await rig.home();
    const port = await freePort();
    const file = await configuration(`listen: {port: ${port}}\nstore: {type: memory, dir: ${rig.folder}/s}\n${stdioUpstream()}`);
    const thrower = `data:text/javascript,process.on("SIGUSR2",()=>{throw new Error("boom token=sentinel-crash")})`;
    const gateway = rig.start(['serve', '--config', file], { env: { HOME: home }, command: [process.execPath, '--import', thrower, MAIN] });
    await gateway.until(/lists every setting/);
    expect((await inHome(home)).length).toBeGreaterThan(1);
    gateway.child.kill('SIGUSR2');
    expect(await gateway.ended).toBe(1);
    expect(gateway.err()).toMatch(/boom[^\n]*unexpected error/);
    expect(gateway.err()).not.toContain('sentinel-crash');
    await leftIn(home);
  });
});

describe('serve --stdio', () => {
  it('carries MCP and nothing else on standard output, keeps nothing on disk, and ends with its input', async () => {
    const home = await rig.home();
    const file = await configuration(stdioUpstream());
    const gateway = rig.start(['serve', '--stdio', '--config', file], {
      open: true,
      env: { HOME: home },
      input: `${JSON.stringify(initialize)}\n`,
    });
    await gateway.until(/"id":1/);
    await gateway.until(/lists every setting/);
    expect(gateway.err()).toContain('Endpoint       standard input and output');
    expect(gateway.err()).not.toContain('Connect a client');
    gateway.child.stdin?.write(`${JSON.stringify({ jsonrpc: '2.0', method: 'notifications/initialized' })}\n`);
    gateway.child.stdin?.write(
      `${JSON.stringify({ jsonrpc: '2.0', id: 2, method: 'tools/call', params: { name: 'x_everything_echo', arguments: { message: 'hi' } } })}\n`,
    );
    await gateway.until(/Echo: hi/);
    gateway.child.stdin?.end();
    expect(await gateway.ended).toBe(0);
    for (const line of gateway.out().trimEnd().split('\n')) expect(JSON.parse(line)).toMatchObject({ jsonrpc: '2.0' });
    await leftIn(home);
  });

  it('ends with 0 on SIGTERM', async () => {
    const gateway = rig.start(['serve', '--stdio'], { open: true });
    await gateway.until(/lists every setting/);
    gateway.child.kill('SIGTERM');
    expect(await gateway.ended).toBe(0);
    expect(gateway.out()).toBe('');
  });
});
