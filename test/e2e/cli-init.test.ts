import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../fixtures/free-port.ts';
import { leftIn, MAIN, Rig, ROOT } from './cli-rig.ts';
import { HAS_TERMINALS, inTerminal, withoutControls } from './cli-terminal.ts';

const EVERYTHING = join(ROOT, 'node_modules/@modelcontextprotocol/server-everything/dist/index.js');
const DOWN = '\u001b[B';

let rig: Rig;
beforeAll(async () => {
  rig = await Rig.make();
});
afterAll(async () => {
  await rig[Symbol.asyncDispose]();
});

/** A new user: a home with two clients that know servers, and an empty folder to begin in. */
async function newUser() {
  const home = await rig.home();
  const cwd = join(home, 'work');
  await mkdir(cwd);
  const cursor = `{
  // as an editor writes it
  "mcpServers": {
    "Every Thing": {
      "command": "${process.execPath}",
      "args": ["${EVERYTHING}", "stdio"],
      "env": {"SERVICE_TOKEN": "it's the $ecret", "LEVEL": "info"},
    },
  },
}`;
  await mkdir(join(home, '.cursor'));
  await writeFile(join(home, '.cursor/mcp.json'), cursor);
  await mkdir(join(cwd, '.vscode'));
  await writeFile(join(cwd, '.vscode/mcp.json'), JSON.stringify({ servers: { later: { url: 'http://127.0.0.1:9/mcp' } } }));
  return { home, cwd, env: { HOME: home } };
}

/** What a new user does next, as `init` says: reads the secrets into a shell, checks, serves, and calls. */
async function serveAndCall({ home, cwd, env }: Awaited<ReturnType<typeof newUser>>): Promise<void> {
  const shell = (line: string) => ['sh', '-c', `set -a; . ./turnpike.env; set +a; exec ${process.execPath} ${MAIN} ${line}`];
  expect((await rig.run(['check', 'turnpike.yaml'], { cwd, env })).err).toMatch(
    /^turnpike\.yaml:\d+:\d+ upstreams\[1\]\.env\.SERVICE_TOKEN: refers to the variable SERVICE_TOKEN, which is not set\n$/,
  );
  expect(await rig.run([], { cwd, env, command: shell('check turnpike.yaml') })).toMatchObject({
    code: 0,
    err: 'Warning: auth.modes: none: every process of this machine may use every upstream\n',
  });
  const gateway = rig.start([], { cwd, env, command: shell('serve') });
  const [, url = ''] = await gateway.until(/Endpoint +(\S+)/);
  await gateway.until(/lists every setting/);
  const called = await rig.run(['call', 'x_Every-Thing_get-env', '--url', url], { cwd, env });
  expect(JSON.parse(called.out)).toMatchObject({ SERVICE_TOKEN: "it's the $ecret", LEVEL: 'info' });
  gateway.child.kill('SIGTERM');
  expect(await gateway.ended).toBe(0);
  await leftIn(home);
}

describe('init', () => {
  it('takes over what the clients of this machine have, and the result runs', async () => {
    const user = await newUser();
    const { cwd, env } = user;
    const made = await rig.run(['init', '--yes', '--secrets', 'turnpike.env', '--port', String(await freePort())], { cwd, env });
    expect(made.code).toBe(0);
    expect(made.err).toBe(
      "Changed or left out: 'Every Thing' of Cursor (~/.cursor/mcp.json): is called Every-Thing here\nWarning: turnpike.yaml holds variables in place of 1 secret of the imported servers.\n",
    );
    expect(made.out).toContain('Written: turnpike.yaml, with 2 upstreams.\nWritten: turnpike.env, with the secrets.');
    expect(await readFile(join(cwd, 'turnpike.yaml'), 'utf8')).not.toContain('$ecret');
    await serveAndCall(user);
    // Once more changes nothing.
    const before = await readFile(join(cwd, 'turnpike.yaml'), 'utf8');
    expect((await rig.run(['init', '--yes'], { cwd, env })).code).toBe(1);
    expect(await readFile(join(cwd, 'turnpike.yaml'), 'utf8')).toBe(before);
  });

  it.skipIf(!HAS_TERMINALS)('asks on a terminal (needs script of util-linux)', async () => {
    const user = await newUser();
    const { cwd, env } = user;
    const port = await freePort();
    const asking = inTerminal(rig, ['init'], { cwd, env });
    const press = (keys: string) => asking.child.stdin?.write(keys);
    await asking.until(/Take over the servers of[\s\S]*Cursor, 1 server/);
    // Both are chosen already; once off and on again.
    press(`${DOWN} `);
    press(' \r');
    await asking.until(/Port to listen on/);
    press('99999\r');
    await asking.until(/A port is a number from 1 to 65535/);
    press(`${'\u007f'.repeat(5)}${port}\r`);
    await asking.until(/Must clients show a token/);
    press('\r');
    await asking.until(/Write the 1 secret of these servers to turnpike\.env/);
    press('\r');
    expect(await asking.ended).toBe(0);
    expect(withoutControls(asking.out())).toContain('Written: turnpike.yaml');
    expect(await readFile(join(cwd, 'turnpike.yaml'), 'utf8')).toContain(`port: ${port}\n`);
    await serveAndCall(user);
  });

  it.skipIf(!HAS_TERMINALS)('Ctrl-C leaves everything as it was (needs script of util-linux)', async () => {
    const { cwd, env } = await newUser();
    const asking = inTerminal(rig, ['init'], { cwd, env });
    await asking.until(/Take over the servers of/);
    asking.child.stdin?.write('\u0003');
    expect(await asking.ended).toBe(1);
    expect(withoutControls(asking.out())).toContain('turnpike: cancelled; nothing was written\n');
    await expect(readFile(join(cwd, 'turnpike.yaml'))).rejects.toThrow('ENOENT');
  });

  it('without a terminal says how to go on', async () => {
    const { cwd, env } = await newUser();
    expect(await rig.run(['init'], { cwd, env })).toEqual({
      code: 2,
      out: '',
      err: 'turnpike: init asks questions, and nobody can answer here. Add --yes to take the defaults; turnpike init --help lists the flags.\n',
    });
  });
});
