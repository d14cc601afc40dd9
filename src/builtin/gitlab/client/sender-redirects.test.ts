import { describe, expect, it } from 'vitest';
import { json, never, Rig, TOKEN } from './client-fixture.ts';

describe('redirects', () => {
  const redirecting = (location: (host: string) => string, status = 302) =>
    Rig.start((request, response) => {
      if (request.url.endsWith('/end')) json(response, { id: 1 });
      else response.writeHead(status, { location: location(request.headers.host ?? '') }).end('moved');
    });

  it('to another origin show nothing to it', async () => {
    await using evil = await Rig.start((_request, response) => json(response, { id: 666 }));
    const port = evil.server.port;
    for (const location of [
      `http://127.0.0.1:${port}/api/v4/end`,
      `//127.0.0.1:${port}/api/v4/end`,
      `http://localhost:${port}/`,
      'https://127.0.0.1/',
      `http://u:p@127.0.0.1:${port}/`,
      'http://169.254.169.254/',
      'file:///etc/passwd',
    ]) {
      for (const method of ['GET', 'POST'] as const) {
        await using rig = await redirecting(() => location);
        await expect(rig.client().request({ method, path: '/x', signal: never })).rejects.toMatchObject({
          code: 'redirected',
          message: 'GitLab redirected to another origin',
          status: 302,
        });
        expect(rig.server.requests).toHaveLength(1);
      }
    }
    expect(evil.server.connections).toBe(0);
  });

  it('with user info to the same origin are another origin', async () => {
    await using rig = await redirecting((host) => `http://u:p@${host}/api/v4/end`);
    await expect(rig.client().request({ path: '/x', signal: never })).rejects.toMatchObject({ message: 'GitLab redirected to another origin' });
  });

  it.each([301, 302, 303, 307, 308])('of %i within the origin are followed by reads, not by writes', async (status) => {
    await using rig = await redirecting(() => '/api/v4/end#f', status);
    expect(await rig.client().request({ path: '/x', signal: never })).toMatchObject({ body: { id: 1 } });
    expect(rig.server.requests[1]).toMatchObject({ url: '/api/v4/end', headers: { authorization: `Bearer ${TOKEN}` } });
    await expect(rig.client().request({ method: 'PUT', path: '/x', signal: never })).rejects.toMatchObject({ code: 'redirected', status });
    expect(rig.server.requests).toHaveLength(3);
  });

  it('are followed three times', async () => {
    await using rig = await Rig.start((request, response) => {
      const left = Number(request.url.split('/').at(-1));
      if (left === 0) json(response, { id: 1 });
      else response.writeHead(302, { location: `/api/v4/hops/${left - 1}` }).end();
    });
    expect(await rig.client().request({ path: '/hops/3', signal: never })).toMatchObject({ body: { id: 1 } });
    await expect(rig.client().request({ path: '/hops/4', signal: never })).rejects.toMatchObject({
      code: 'redirected',
      message: 'GitLab redirected more than 3 times',
    });
  });

  it('stay within the instance, and have a target', async () => {
    for (const [location, message] of [
      ['/other/api/v4/end', 'GitLab redirected out of its instance'],
      ['/gitlabber/end', 'GitLab redirected out of its instance'],
      ['http://[', 'GitLab redirected to nowhere'],
    ] as const) {
      await using rig = await Rig.start((_request, response) => response.writeHead(302, { location }).end(), { prefix: '/gitlab' });
      await expect(rig.client().request({ path: '/x', signal: never })).rejects.toMatchObject({ code: 'redirected', message });
    }
  });
});
