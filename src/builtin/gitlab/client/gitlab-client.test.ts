import { brotliCompressSync, createGzip, gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { json, never, Rig, TOKEN } from './client-fixture.ts';

const MIB = 1024 * 1024;

describe('requests', () => {
  it.each([
    ['private-token', { authorization: `Bearer ${TOKEN}` }],
    ['bearer', { authorization: `Bearer ${TOKEN}` }],
    ['job-token', { 'job-token': TOKEN }],
  ] as const)('carry a %s as GitLab wants it, and nothing else that names the caller', async (kind, credential) => {
    await using rig = await Rig.start((_request, response) => json(response, { id: 1 }));
    const answer = await rig.client({ kind }).request({ path: '/user', signal: never });
    expect(answer).toMatchObject({ status: 200, body: { id: 1 }, headers: { 'content-type': 'application/json' } });
    const [seen] = rig.server.requests;
    expect(seen).toMatchObject({ method: 'GET', url: '/api/v4/user', body: '' });
    expect(seen?.headers).toEqual({
      ...credential,
      accept: 'application/json',
      'accept-encoding': 'gzip, br',
      'user-agent': 'turnpike/1.2.3',
      host: expect.any(String),
      connection: expect.any(String),
    });
    expect(rig.seen).toEqual(['GET 200']);
  });

  it('carry query and body as they are', async () => {
    await using rig = await Rig.start((_request, response) => json(response, { iid: 2 }, 201));
    const request = {
      method: 'POST',
      path: '/projects/a%2Fb/issues',
      query: { labels: ['x', 'y'], z: undefined },
      body: { title: 'é', inputs: { 'Some-Key': 1 } },
      signal: never,
    } as const;
    expect(await rig.client().request(request)).toMatchObject({ status: 201, body: { iid: 2 } });
    expect(rig.server.requests[0]).toMatchObject({
      url: '/api/v4/projects/a%2Fb/issues?labels%5B%5D=x&labels%5B%5D=y',
      body: '{"title":"é","inputs":{"Some-Key":1}}',
      headers: { 'content-type': 'application/json' },
    });
  });

  it.each(['/../x', '/a/../b', '//evil.test', '/a?b=1', 'user', '', '/a#b', '/%2e%2e/x', 'https://evil.test'])(
    'are not sent to the path %j',
    async (path) => {
      await using rig = await Rig.start((_request, response) => json(response, {}));
      await expect(rig.client().request({ path, signal: never })).rejects.toMatchObject({ code: 'invalid_request' });
      expect(rig.server.connections).toBe(0);
    },
  );

  it('keep the prefix of the instance, GraphQL included', async () => {
    await using rig = await Rig.start((_request, response) => json(response, { data: { currentUser: null }, errors: [{ message: 'x' }] }), {
      prefix: '/gitlab',
    });
    await rig.client().request({ path: '/user', signal: never });
    expect(await rig.client().graphql('query { currentUser { id } }', { a: 1 }, never)).toEqual({
      data: { currentUser: null },
      errors: [{ message: 'x' }],
    });
    expect(rig.server.requests.map(({ method, url }) => `${method} ${url}`)).toEqual(['GET /gitlab/api/v4/user', 'POST /gitlab/api/graphql']);
    expect(rig.server.requests[1]).toMatchObject({
      body: '{"query":"query { currentUser { id } }","variables":{"a":1}}',
      headers: { authorization: `Bearer ${TOKEN}` },
    });
  });

  it('of two callers never share a credential', async () => {
    await using rig = await Rig.start((request, response) => json(response, { username: request.headers.authorization }));
    const clients = [1, 2, 3].map((number) => ({ client: rig.client({ token: `${TOKEN}${number}` }), expected: `Bearer ${TOKEN}${number}` }));
    const all = Array.from({ length: 150 }, async (_, index) => {
      const { client, expected } = clients[index % 3] as (typeof clients)[number];
      const { body } = await client.request({ path: '/user', signal: never });
      expect(body).toEqual({ username: expected });
    });
    await Promise.all(all);
    expect(rig.server.connections).toBeLessThanOrEqual(32);
  });
});

describe('answers', () => {
  it.each([201, 200, 204, 202])('of a write are success at %i, whatever their body', async (status) => {
    for (const body of ['', 'not json', '{"id":', '\u0000', '[]']) {
      await using rig = await Rig.start((_request, response) => response.writeHead(status).end(status === 204 ? '' : body));
      expect(await rig.client().request({ method: 'POST', path: '/x', signal: never })).toMatchObject({
        status,
        body: body === '[]' && status !== 204 ? [] : undefined,
      });
    }
  });

  it('of a write are success even if their body is cut off', async () => {
    await using rig = await Rig.start((_request, response) => {
      response.writeHead(201, { 'content-length': '100' });
      response.write('{"id":');
      setImmediate(() => response.destroy());
    });
    expect(await rig.client().request({ method: 'POST', path: '/x', signal: never })).toMatchObject({ status: 201, body: undefined });
    expect(rig.server.requests).toHaveLength(1);
  });

  it('of a read must be JSON, or nothing', async () => {
    await using rig = await Rig.start((request, response) =>
      response.writeHead(200, { 'x-request-id': 'r1' }).end(request.url.endsWith('empty') ? '' : '<html>'),
    );
    expect((await rig.client().request({ path: '/empty', signal: never })).body).toBeUndefined();
    await expect(rig.client().request({ path: '/html', signal: never })).rejects.toMatchObject({
      code: 'invalid_response',
      status: 200,
      request_id: 'r1',
    });
    await expect(rig.client().graphql('{x}', {}, never)).rejects.toMatchObject({ code: 'invalid_response' });
  });

  it('of 400 and above are errors, without the token that they echo', async () => {
    await using rig = await Rig.start((request, response) =>
      json(response, { message: `no ${request.headers.authorization}` }, 422, { 'x-request-id': 'r1', 'x-secret': TOKEN }),
    );
    const error: unknown = await rig
      .client()
      .request({ path: '/x', signal: never })
      .catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ name: 'GitLabError', status: 422, code: 'unprocessable', message: 'no Bearer [MASKED]', request_id: 'r1' });
    expect(JSON.stringify([error, (error as Error).stack, Object.entries(error as object)])).not.toContain('glpat');
  });

  it.each([
    ['gzip', gzipSync],
    ['br', brotliCompressSync],
    ['x-gzip', gzipSync],
  ] as const)('may be compressed by %s', async (encoding, compress) => {
    await using rig = await Rig.start((request, response) => {
      const status = request.url.endsWith('bad') ? 404 : 200;
      response.writeHead(status, { 'content-encoding': encoding }).end(compress(JSON.stringify({ message: 'hé' })));
    });
    expect((await rig.client().request({ path: '/x', signal: never })).body).toEqual({ message: 'hé' });
    await expect(rig.client().request({ path: '/bad', signal: never })).rejects.toMatchObject({ message: 'hé' });
  });

  it('without a body are read, whatever their headers say of one', async () => {
    await using rig = await Rig.start((request, response) => {
      const head: Record<string, string> = request.url.endsWith('empty')
        ? { 'content-length': '0' }
        : request.method === 'HEAD'
          ? { 'content-length': '99999999' }
          : {};
      response.writeHead(request.url.endsWith('204') ? 204 : 200, { 'content-encoding': 'gzip', ...head }).end();
    });
    for (const request of [{ path: '/204' }, { path: '/empty' }, { path: '/x', method: 'HEAD' }] as const)
      expect((await rig.client().request({ ...request, signal: never })).body).toBeUndefined();
  });

  it('that are compressed otherwise, or damaged, are no answers', async () => {
    const good = gzipSync(JSON.stringify({ a: 'b'.repeat(1000) }));
    await using rig = await Rig.start((request, response) => {
      if (request.url.endsWith('deflate')) response.writeHead(200, { 'content-encoding': 'deflate' }).end('x');
      else
        response
          .writeHead(200, { 'content-encoding': request.url.slice(-4) })
          .end(request.url.includes('cut') ? good.subarray(0, -12) : 'no such thing');
    });
    for (const path of ['/deflate', '/gzip', '/br/x%20br', '/cut/gzip'])
      await expect(rig.client().request({ path, signal: never })).rejects.toMatchObject({ code: 'invalid_response' });
  });

  it('of more than 10 MiB are stopped, counted after decompression', async () => {
    let written = 0;
    await using rig = await Rig.start((request, response) => {
      if (request.url.endsWith('said')) return void response.writeHead(200, { 'content-length': String(11 * MIB) }).write('[');
      if (request.url.endsWith('bomb')) {
        // A gigabyte, in a megabyte.
        response.writeHead(200, { 'content-encoding': 'gzip' });
        const zip = createGzip();
        const zeros = Buffer.alloc(MIB);
        zip.pipe(response);
        const more = () => {
          while (written < 1024 && !response.destroyed) {
            written++;
            if (!zip.write(zeros)) return void zip.once('drain', more);
          }
          zip.end();
        };
        response.on('close', () => zip.destroy());
        more();
        return;
      }
      response.writeHead(200);
      const more = () => {
        while (!response.destroyed && response.write(Buffer.alloc(64 * 1024, 32)));
        response.once('drain', more);
      };
      more();
    });
    for (const path of ['/said', '/endless', '/bomb']) {
      await expect(rig.client().request({ path, signal: never })).rejects.toMatchObject({
        code: 'response_too_large',
        message: 'the answer of GitLab is larger than 10 MiB',
        hint: expect.any(String),
      });
      await expect.poll(() => rig.server.open).toBe(0);
    }
    expect(written).toBeLessThan(1024);
    expect(rig.server.requests).toHaveLength(3);
  });
});
