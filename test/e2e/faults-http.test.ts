import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { GatewayRig } from '../fixtures/hostile/gateway-rig.ts';
import { HostileServer, type Trick } from '../fixtures/hostile/http-server.ts';
import { type Answered, type Front, textOf } from '../fixtures/hostile/wire.ts';
import { until } from '../fixtures/processes.ts';

/** Breaks the first execution in one way and answers the others. */
const first = (trick: Trick): Trick => {
  let broken = false;
  return (call) => {
    if (broken) return void call.response.writeHead(200, { 'content-type': 'application/json' }).end(call.good('second'));
    broken = true;
    trick(call);
  };
};
const resetBeforeHead: Trick = ({ raw }) => void raw.socket.resetAndDestroy();
const resetAfterHead: Trick = ({ response, raw }) => {
  response.writeHead(200, { 'content-type': 'application/json' });
  response.write('{"jsonrpc":"2.0",', () => setImmediate(() => raw.socket.resetAndDestroy()));
};
const closeStream: Trick = ({ response }) => {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  response.write(': begun\n\n', () => response.end());
};
const status =
  (code: number, headers = {}): Trick =>
  ({ response }) =>
    void response.writeHead(code, headers).end('no');

interface Stand extends AsyncDisposable {
  readonly server: HostileServer;
  readonly front: Front;
  readonly rig: GatewayRig;
  call(tool: string, signal?: AbortSignal): Promise<Answered>;
}

/** A gateway in front of one server; disposing it asserts that no socket to the server is left. */
async function stand(era: 'modern' | 'legacy', tricks: Record<string, Trick> = {}, more: Record<string, unknown> = {}): Promise<Stand> {
  const server = await HostileServer.start({ era, tricks });
  const rig = await GatewayRig.make();
  const front = await rig.start({ upstreams: [server.config('up', more)] });
  const session = era === 'legacy' ? await front.session() : undefined;
  return {
    server,
    front,
    rig,
    call: (tool, signal) => {
      const options = signal === undefined ? {} : { signal };
      return session === undefined ? front.call(`x_up_${tool}`, {}, options) : session.call(`x_up_${tool}`, {}, 1, options);
    },
    async [Symbol.asyncDispose]() {
      await rig[Symbol.asyncDispose]();
      await until(
        () => server.upstream.sockets.size,
        (open) => open === 0,
        3000,
      );
      await server[Symbol.asyncDispose]();
    },
  };
}

const outcome = (answer: Answered) => {
  const meta = answer.body.result?._meta as { 'turnpike/error'?: { code: number; retryable: boolean } } | undefined;
  return [answer.status, answer.body.error?.code ?? meta?.['turnpike/error']?.code, answer.body.error?.message ?? textOf(answer)];
};
const LOST = [200, -31003, "upstream 'up' closed the connection after the request was sent; the outcome is unknown"];
const TRUSTED = { tools: { trustAnnotations: true } };

describe.each(['modern', 'legacy'] as const)('an HTTP upstream that fails (%s)', (era) => {
  it('resets before or after the head, or ends the stream: the outcome is unknown, and a write is never repeated', async () => {
    await using at = await stand(
      era,
      { writeHead: first(resetBeforeHead), writeBody: first(resetAfterHead), writeStream: first(closeStream) },
      TRUSTED,
    );
    for (const tool of ['writeHead', 'writeBody', 'writeStream']) {
      expect(outcome(await at.call(tool))).toEqual(LOST);
      expect(at.server.count(tool)).toBe(1);
      // It recovers by itself: the same tool, called again by its caller, runs for the second time.
      expect(textOf(await at.call(tool))).toBe('second');
      expect(at.server.count(tool)).toBe(2);
    }
  });

  it('a trusted readOnlyHint or idempotentHint is repeated once; an untrusted one never', async () => {
    const tricks = () => ({
      readHead: first(resetBeforeHead),
      readBody: first(resetAfterHead),
      idemHead: first(resetBeforeHead),
      readAlways: resetBeforeHead,
    });
    await using trusted = await stand(era, tricks(), TRUSTED);
    for (const tool of ['readHead', 'readBody', 'idemHead']) {
      expect(textOf(await trusted.call(tool))).toBe('second');
      expect(trusted.server.count(tool)).toBe(2);
    }
    expect(outcome(await trusted.call('readAlways'))).toEqual(LOST);
    expect(trusted.server.count('readAlways')).toBe(2);
    await using untrusted = await stand(era, tricks());
    expect(outcome(await untrusted.call('readHead'))).toEqual(LOST);
    expect(untrusted.server.count('readHead')).toBe(1);
  });

  it('stalls: the call ends at its deadline, and the upstream hears of it', async () => {
    const gone = Promise.withResolvers<void>();
    await using at = await stand(era, { stall: ({ raw }) => void raw.socket.once('close', () => gone.resolve()), readStall: () => {} }, TRUSTED);
    expect(outcome(await at.call('stall'))).toEqual([200, -31002, "tool 'x_up_stall' timed out after 0.8s"]);
    await gone.promise;
    if (era === 'legacy') await at.server.upstream.until(() => at.server.asked('notifications/cancelled') > 0);
    // A deadline is the end of a call, also of one that may be repeated.
    expect(outcome(await at.call('readStall'))).toEqual([200, -31002, "tool 'x_up_readStall' timed out after 0.8s"]);
    expect([at.server.count('stall'), at.server.count('readStall')]).toEqual([1, 1]);
    expect(textOf(await at.call('echo'))).toBe('echo');
  });

  it('answers 500, 502, 503, 429: said with its status, not repeated, and the next call works', async () => {
    const codes = [500, 502, 503, 429];
    const tricks = Object.fromEntries(codes.flatMap((code) => ['write', 'read'].map((kind) => [`${kind}${code}`, status(code)])));
    await using at = await stand(era, tricks, TRUSTED);
    for (const tool of Object.keys(tricks)) {
      expect(outcome(await at.call(tool))).toEqual([200, -31001, `upstream 'up' answered with status ${tool.replace(/\D/g, '')}`]);
      expect(at.server.count(tool)).toBe(1);
      const line = at.rig.lines.find((one) => one.includes('call failed') && one.includes(`status ${tool.replace(/\D/g, '')}: no`));
      expect(JSON.parse(line ?? '{}')).toMatchObject({ level: 'warn', upstream: 'up', code: 'upstream/down' });
    }
    expect(textOf(await at.call('echo'))).toBe('echo');
  });

  it.each([301, 302, 303, 307, 308])('redirects with %i: never followed, wherever it leads', async (code) => {
    let hits = 0;
    const elsewhere = createServer((_request, response) => {
      hits++;
      response.end();
    }).listen(0, '127.0.0.1');
    await once(elsewhere, 'listening');
    const { port } = elsewhere.address() as AddressInfo;
    await using at = await stand(era, {
      away: status(code, { location: `http://127.0.0.1:${port}/mcp` }),
      home: status(code, { location: '/mcp' }),
    });
    for (const tool of ['away', 'home']) {
      // Where it leads is for the log: the caller learns no address.
      const text = `upstream 'up' redirects (status ${code}); redirects are never followed, configure the final URL`;
      expect(outcome(await at.call(tool))).toEqual([200, -32603, text]);
      expect(at.server.count(tool)).toBe(1);
    }
    expect(hits).toBe(0);
    expect(textOf(await at.call('echo'))).toBe('echo');
    elsewhere.close();
  });

  it('refuses connections, then comes back: clear errors meanwhile, no call lost or doubled, states that tell', async () => {
    await using at = await stand(era);
    const { server } = at.server.upstream;
    const { port } = at.server.upstream;
    expect(textOf(await at.call('echo'))).toBe('echo');
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
    const begun = performance.now();
    expect(outcome(await at.call('echo'))).toEqual([200, -31001, "upstream 'up' cannot be reached"]);
    expect(performance.now() - begun).toBeLessThan(5000);
    // It stays listed as it was last known.
    const listed = await at.front.modern('tools/list');
    expect(listed.text).toContain('x_up_echo');
    expect(at.server.executed).toEqual(['echo']);
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    expect(textOf(await at.call('echo'))).toBe('echo');
    expect(at.server.executed).toEqual(['echo', 'echo']);
    await at.rig.upstream('up', 'connected');
  });

  it('a client that goes away is a cancel there, at once', async () => {
    const seen = Promise.withResolvers<void>();
    const gone = Promise.withResolvers<void>();
    await using at = await stand(era, {
      slow: ({ raw }) => {
        raw.socket.once('close', () => gone.resolve());
        seen.resolve();
      },
    });
    if (era === 'legacy') return;
    const leave = new AbortController();
    const call = at.call('slow', leave.signal).catch((error: Error) => error.name);
    await seen.promise;
    const begun = performance.now();
    leave.abort();
    expect(await call).toBe('AbortError');
    await gone.promise;
    expect(performance.now() - begun).toBeLessThan(1000);
    expect(textOf(await at.call('echo'))).toBe('echo');
  });
});

describe('a session upstream that forgets its session', () => {
  it('is initialized once for all who wait, and every call runs once', async () => {
    await using at = await stand('legacy');
    expect(textOf(await at.call('echo'))).toBe('echo');
    const [before, executed] = [at.server.asked('initialize'), at.server.executed.length];
    at.server.sessions.clear();
    const session = await at.front.session();
    expect(textOf(await session.call('x_up_echo'))).toBe('echo');
    const again = at.server.asked('initialize');
    at.server.sessions.clear();
    const answers = await Promise.all([1, 2, 3, 4, 5].map((id) => session.call('x_up_echo', {}, id)));
    expect(answers.map(textOf)).toEqual(['echo', 'echo', 'echo', 'echo', 'echo']);
    expect(at.server.asked('initialize') - again).toBe(1);
    expect(again - before).toBe(1);
    expect(at.server.executed.length - executed).toBe(6);
  });

  it('twice in a row: said, and not tried for ever', async () => {
    await using at = await stand('legacy');
    expect(textOf(await at.call('echo'))).toBe('echo');
    const before = at.server.asked('initialize');
    at.server.instead = (response, { id, method = '' }) => {
      if (id === undefined) response.writeHead(202).end();
      else if (method !== 'initialize') response.writeHead(404).end();
      else {
        const result = { protocolVersion: '2025-11-25', capabilities: { tools: {} }, serverInfo: { name: 'x', version: '1' } };
        response
          .writeHead(200, { 'content-type': 'application/json', 'mcp-session-id': 'short-lived' })
          .end(JSON.stringify({ jsonrpc: '2.0', id, result }));
      }
    };
    expect(outcome(await at.call('echo'))).toEqual([200, -31001, "upstream 'up' lost its session"]);
    expect(at.server.asked('initialize') - before).toBeLessThanOrEqual(2);
    at.server.instead = undefined;
    expect(textOf(await at.call('echo'))).toBe('echo');
    expect(at.server.executed).toEqual(['echo', 'echo']);
  });
});
