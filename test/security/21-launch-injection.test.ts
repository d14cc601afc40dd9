import { existsSync } from 'node:fs';
import { readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { environmentOf, MARK, processesWithMark, until } from '../fixtures/processes.ts';
import { ModernClient } from './kit/clients.ts';
import { fixturePath } from './kit/fixtures.ts';
import { STATIC_AUTH } from './kit/gateway.ts';
import { GatewayProcess, marked } from './kit/process.ts';

/** Class 21: what runs is what the file says, as an argv, in its folder, with its environment and six variables of ours. */

const ROOT_TOKEN = 'tok-root-55aa01';
const OURS = {
  OUR_SECRET: 'sentinel-of-ours',
  LANG: 'C.UTF-8',
  LC_ALL: 'C.UTF-8',
  TZ: 'UTC',
  TMPDIR: '/tmp',
  LD_DEBUG_OF_OURS: '1',
  NODE_OPTIONS: '--no-warnings',
};
/** Arguments that a shell would make into commands, globs, variables or further words. */
const words = (folder: string) => [
  '$(touch PWNED)',
  '`touch PWNED`',
  '; touch PWNED',
  '| touch PWNED',
  '&& touch PWNED',
  '$HOME',
  '*',
  '~',
  '',
  ' a b ',
  "'",
  '"',
  '\\',
  '\n touch PWNED',
  `> ${folder}/PWNED`,
  '--stdio',
];

let gateway: GatewayProcess;
let child: number;

beforeAll(async () => {
  gateway = await GatewayProcess.start(
    (folder, mark) => ({
      auth: { ...STATIC_AUTH, static: [...STATIC_AUTH.static, { name: 'root', token: ROOT_TOKEN, scopes: ['turnpike:admin'] }] },
      store: { type: 'sqlite', dir: join(folder, 'state') },
      upstreams: [
        {
          name: 'up',
          type: 'stdio',
          command: process.execPath,
          args: [fixturePath('legacy'), ...words(folder)],
          env: { ...marked(mark), OWN: 'own value; touch PWNED', EMPTY: '' },
        },
      ],
    }),
    { env: OURS },
  );
  const [first] = await until(
    () => processesWithMark(gateway.mark),
    (live) => live.length > 0,
    10_000,
  );
  child = first?.pid ?? 0;
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
});

const cmdline = async (pid: number) => (await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0').slice(0, -1);
const pwned = () => ['', 'state', '..'].some((place) => existsSync(join(gateway.folder, place, 'PWNED'))) || existsSync('PWNED');

describe('the child of an upstream', () => {
  it('has the environment of the file and six variables of ours, and nothing else', async () => {
    const environment = Object.fromEntries(
      (await environmentOf(child)).map((entry) => [entry.slice(0, entry.indexOf('=')), entry.slice(entry.indexOf('=') + 1)]),
    );
    expect(environment).toEqual({
      PATH: process.env.PATH,
      HOME: gateway.folder,
      LANG: 'C.UTF-8',
      LC_ALL: 'C.UTF-8',
      TZ: 'UTC',
      TMPDIR: '/tmp',
      [MARK]: gateway.mark,
      OWN: 'own value; touch PWNED',
      EMPTY: '',
    });
    // The secret was there to be taken.
    expect(await environmentOf(gateway.pid)).toContain('OUR_SECRET=sentinel-of-ours');
  });

  it('was started by an argv, word for word, without a shell', async () => {
    expect(await cmdline(child)).toEqual([process.execPath, fixturePath('legacy'), ...words(gateway.folder)]);
    expect(await readlink(`/proc/${child}/exe`)).toBe(await readlink(`/proc/${process.pid}/exe`));
    expect(pwned()).toBe(false);
  });

  it('runs in the folder of the state, whatever ours is', async () => {
    expect(await readlink(`/proc/${child}/cwd`)).toBe(join(gateway.folder, 'state'));
  });

  it('holds no file or socket of ours', async () => {
    const { readdir } = await import('node:fs/promises');
    const held = await Promise.all((await readdir(`/proc/${child}/fd`)).map((fd) => readlink(`/proc/${child}/fd/${fd}`).catch(() => '')));
    const ours = await Promise.all((await readdir(`/proc/${gateway.pid}/fd`)).map((fd) => readlink(`/proc/${gateway.pid}/fd/${fd}`).catch(() => '')));
    expect(held.filter((name) => name.includes('turnpike') && !name.endsWith('/state'))).toEqual([]);
    const listeners = ours.filter((name) => name.startsWith('socket:'));
    // Its own three pipes are shared with us on purpose.
    expect(held.filter((name) => listeners.includes(name)).length).toBe(0);
  });
});

it('calls and their arguments start nothing and reach no command line', async () => {
  const client = gateway.modern('alice');
  for (const word of words(gateway.folder)) {
    await client.call('x_up_echo', { value: word, args: [word], command: word });
    await client.call(`x_up_${word}`, {}).catch(() => undefined);
  }
  const live = await processesWithMark(gateway.mark);
  for (const { pid } of live) expect(await cmdline(pid)).toEqual([process.execPath, fixturePath('legacy'), ...words(gateway.folder)]);
  expect(pwned()).toBe(false);
});

it.each(['core_mcpserver_create', 'core_mcpserver_update', 'core_service_start', 'x_core_mcpserver_create'])(
  '%s, by an admin, starts no process',
  async (name) => {
    const before = (await processesWithMark(gateway.mark)).length;
    const root = new ModernClient(gateway.url, ROOT_TOKEN);
    const reply = await root.call(name, { name: 'evil', type: 'stdio', command: 'touch', args: ['PWNED'], env: marked(gateway.mark) });
    expect(reply.error ?? reply.result.isError).toBeTruthy();
    expect(pwned()).toBe(false);
    expect((await processesWithMark(gateway.mark)).length).toBe(before);
  },
);

/** An upstream with one variable more. */
const withVariable = (variable: string, allowUnsafeEnv: boolean) => (folder: string, mark: string) => ({
  upstreams: [
    {
      name: 'up',
      type: 'stdio',
      command: process.execPath,
      args: [fixturePath('legacy'), '--stdio'],
      env: { ...marked(mark), [variable]: join(folder, 'none') },
      allowUnsafeEnv,
    },
  ],
});

describe('a start with a launch that was slipped in', () => {
  const evil = '[{"name":"evil","type":"stdio","command":"touch","args":["PWNED"]}]';

  it.each([
    ['TURNPIKE_UPSTREAMS', evil],
    ['TURNPIKE_UPSTREAMS_0_COMMAND', 'touch'],
    ['TURNPIKE_UPSTREAMS_EVIL_COMMAND', 'touch'],
  ])('by the environment variable %s does not start it', async (name, value) => {
    await using other = await GatewayProcess.spawn(() => ({}), { env: { [name]: value } });
    await until(
      () => other.child.exitCode !== null || /No upstreams are configured/.test(other.output),
      (done) => done,
      20_000,
    );
    expect(existsSync(join(other.folder, 'PWNED'))).toBe(false);
    expect(other.output).not.toContain('"upstream":"evil"');
  });

  it('by a flag is wrong usage', async () => {
    await using other = await GatewayProcess.spawn(() => ({}), { args: ['--upstreams', evil] });
    expect(await other.exited).not.toBe(0);
    expect(existsSync(join(other.folder, 'PWNED'))).toBe(false);
  });

  it.each(['LD_PRELOAD', 'LD_LIBRARY_PATH', 'DYLD_INSERT_LIBRARIES', 'NODE_OPTIONS', 'BASH_ENV'])(
    'by %s in `env` needs allowUnsafeEnv',
    async (variable) => {
      await using refused = await GatewayProcess.spawn(withVariable(variable, false));
      expect(await refused.exited).toBe(1);
      expect(refused.output).toContain(`upstreams[0].env.${variable}`);
      expect(await processesWithMark(refused.mark)).toEqual([]);
    },
  );

  it('with allowUnsafeEnv the child gets the variable, and every start says that this weakens it', async () => {
    await using allowed = await GatewayProcess.start(withVariable('LD_LIBRARY_PATH', true));
    const [first] = await until(
      () => processesWithMark(allowed.mark),
      (live) => live.length > 0,
      10_000,
    );
    expect(await environmentOf(first?.pid ?? 0)).toContain(`LD_LIBRARY_PATH=${join(allowed.folder, 'none')}`);
    expect(allowed.output).toContain('upstreams[0].allowUnsafeEnv');
  });
});
