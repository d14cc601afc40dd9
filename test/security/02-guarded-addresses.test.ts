import { createServer, type Server } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { GitLabRig } from '../gitlab/rig.ts';
import { ModernClient } from './kit/clients.ts';

/**
 * Security class 2: callers who name an instance reach public addresses only, whatever their URL looks like and whatever its name
 * resolves to; a token never follows a redirect. What counts is who was connected to.
 */

let gitlab: GitLabRig;
/** Stands for what must not be reached: counts connections. */
let inner: Server;
let hits = 0;
let port = 0;

const LISTED = ['localhost', '127.0.0.1', '[::1]', '[::ffff:7f00:1]', '2130706433', '0x7f.1', '0.0.0.0'];

beforeAll(async () => {
  inner = createServer((socket) => {
    hits++;
    socket.destroy();
  });
  await new Promise<void>((resolve) => inner.listen(0, '::', resolve));
  port = (inner.address() as { readonly port: number }).port;
  const allowedHosts = [...LISTED.map((host) => `http://${host}:${port}`), ...LISTED.map((host) => `${host}:${port}`), '*'];
  // Each of these counts as a failure of its address, too.
  const auth = { modes: ['gitlab'], failures: { max: 1_000 } };
  gitlab = await GitLabRig.start({ com: { dynamicUrl: { enabled: true, allowedHosts } } }, { auth });
});
afterAll(async () => {
  await gitlab[Symbol.asyncDispose]();
  await new Promise((resolve) => inner.close(resolve));
});

async function asked(instance: string): Promise<{ readonly status: number; readonly text: string }> {
  const { token } = gitlab.com.person(`p${Math.random()}`);
  const before = gitlab.com.log.of({}).length;
  const reply = await new ModernClient(gitlab.url, token.value).send('tools/list', {}, { headers: { 'x-gitlab-api-url': instance } });
  // The default instance is no way out either.
  expect(gitlab.com.log.of({}).length).toBe(before);
  return { status: reply.status, text: reply.text };
}

it.each(LISTED.flatMap((host) => [`http://${host}`, `https://${host}`]))(
  '%s is not connected to, although the operator allowed it',
  async (origin) => {
    const { status, text } = await asked(`${origin}:${port}`);
    expect([status, hits], text).toEqual([403, 0]);
    expect(text).toContain('GitLab API URL is not allowed');
  },
);

it.each([
  'http://169.254.169.254',
  'https://169.254.169.254',
  'https://10.0.0.1/api/v4',
  'https://[fd00::1]',
  'https://[::ffff:10.0.0.1]',
  'https://[64:ff9b::a00:1]',
  'https://gitlab.com@evil.test',
  'https://gitlab.com/../x',
  'https://gitlab.com\\@evil.test',
  'file:///etc/passwd',
  'http://gitlab.com',
  'gopher://gitlab.com',
])('%s is refused before anything is looked up, and the answer does not name what would be allowed', async (instance) => {
  const { status, text } = await asked(instance);
  expect([status === 403 || status === 400, hits], text).toEqual([true, 0]);
  for (const host of LISTED) expect(text).not.toContain(host);
});

it('a redirect to another origin is not followed: it sees nothing, least of all the token', async () => {
  const { token } = gitlab.com.person('redirected');
  const client = new ModernClient(gitlab.url, token.value);
  expect((await client.call('x_gitlab_whoami', { instance: 'com' })).result.isError).toBeFalsy();
  const before = gitlab.corp.log.of({}).length;
  gitlab.com.faults.add({ path: '/user', fault: { kind: 'redirect', to: `${gitlab.corp.apiUrl}/user` } });
  const answer = await client.call('x_gitlab_whoami', { instance: 'com' });
  expect(answer.text).toContain('GitLab redirected to another origin');
  expect([gitlab.corp.log.of({}).length, hits]).toEqual([before, 0]);
});
