import { getEventListeners } from 'node:events';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { collect, json, never, Rig } from './client-fixture.ts';

const MIB = 1024 * 1024;

describe('streams', () => {
  it('come in pieces', async () => {
    await using rig = await Rig.start((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/plain', 'content-encoding': 'gzip' }).end(gzipSync('line\n'.repeat(100_000)));
    });
    const { headers, chunks } = await rig.client().stream({ path: '/projects/1/jobs/2/trace', signal: never });
    expect(headers).toMatchObject({ 'content-type': 'text/plain' });
    let bytes = 0;
    for await (const chunk of chunks) bytes += chunk.length;
    expect(bytes).toBe(500_000);
    expect(rig.server.requests[0]?.headers.accept).toBe('*/*');
    expect(rig.pool.stats().active).toBe(0);
  });

  it('end when the reader leaves, and give their place back', async () => {
    await using rig = await Rig.start((_request, response) => {
      response.writeHead(200);
      const more = () => {
        while (!response.destroyed && response.write(Buffer.alloc(64 * 1024, 32)));
        response.once('drain', more);
      };
      more();
    });
    const { chunks } = await rig.client().stream({ path: '/x', signal: never });
    for await (const chunk of chunks) {
      expect(chunk.length).toBeGreaterThan(0);
      expect(rig.pool.stats().active).toBe(1);
      break;
    }
    await expect.poll(() => [rig.pool.stats().active, rig.server.open]).toEqual([0, 0]);
  });

  it('stop at 50 MiB and say so', async () => {
    await using rig = await Rig.start((_request, response) => {
      response.writeHead(200);
      const more = () => {
        while (!response.destroyed && response.write(Buffer.alloc(1024 * 1024, 32)));
        response.once('drain', more);
      };
      more();
    });
    const { chunks } = await rig.client().stream({ path: '/x', signal: never });
    let bytes = 0;
    const read = async () => {
      for await (const chunk of chunks) bytes += chunk.length;
    };
    await expect(read()).rejects.toMatchObject({ code: 'response_too_large', message: 'the answer of GitLab is larger than 50 MiB' });
    expect(bytes).toBeLessThanOrEqual(50 * MIB);
    await expect.poll(() => [rig.pool.stats().active, rig.server.open]).toEqual([0, 0]);
  });

  it('that are announced to be larger can be read from their beginning', async () => {
    await using rig = await Rig.start((_request, response) => response.writeHead(200, { 'content-length': String(300 * MIB) }).write('first line\n'));
    const { chunks } = await rig.client().stream({ path: '/x', signal: never });
    for await (const chunk of chunks) {
      expect(chunk.toString()).toBe('first line\n');
      break;
    }
    await expect.poll(() => [rig.pool.stats().active, rig.server.open]).toEqual([0, 0]);
  });

  it('end with the reason of their caller, who is not listened to afterwards', async () => {
    await using rig = await Rig.start((_request, response) => response.writeHead(200).write('x'));
    const abort = new AbortController();
    const { chunks } = await rig.client().stream({ path: '/x', signal: abort.signal });
    const read = async () => {
      for await (const chunk of chunks) if (chunk.length > 0) abort.abort(new Error('enough'));
    };
    await expect(read()).rejects.toThrow('enough');
    await expect.poll(() => [rig.pool.stats().active, rig.server.open]).toEqual([0, 0]);
    expect(getEventListeners(abort.signal, 'abort')).toEqual([]);
  });

  it('that break are errors', async () => {
    await using rig = await Rig.start((_request, response) => {
      response.writeHead(200, { 'content-length': '100' });
      response.write('half');
      setTimeout(() => response.destroy(), 20);
    });
    const { chunks } = await rig.client().stream({ path: '/x', signal: never });
    await expect(collect(chunks)).rejects.toMatchObject({ name: 'GitLabError', code: 'unreachable' });
    expect(rig.pool.stats().active).toBe(0);
  });

  it('of an error are that error', async () => {
    await using rig = await Rig.start((_request, response) => json(response, { message: '404 Not found' }, 404));
    await expect(rig.client().stream({ path: '/x', signal: never })).rejects.toMatchObject({ status: 404, code: 'not_found' });
    expect(rig.pool.stats().active).toBe(0);
  });
});
