import { readFile } from 'node:fs/promises';
import net from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/mcp.ts';
import { until } from '../fixtures/processes.ts';
import { LegacyClient, textOf } from './kit/clients.ts';
import { GatewayRig, USERS } from './kit/gateway.ts';
import { send } from './kit/http.ts';
import { grownBy } from './kit/memory.ts';
import { event, type Script, type ScriptedUpstream, scripted, tool } from './kit/upstreams.ts';
import { head, wire } from './kit/wire.ts';

/** Class 23: every bound has a number, and whoever goes beyond it is refused without harm to others. The soak is in 23-session-soak. */

const open: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

async function rigFor(
  script: Script = { tools: [tool('say')] },
  sections: Record<string, unknown> = {},
  more: JsonObject = {},
): Promise<{ rig: GatewayRig; upstream: ScriptedUpstream }> {
  const upstream = await scripted(script);
  open.push(upstream);
  const rig = await GatewayRig.start({ upstreams: [{ name: 'up', type: 'streamable-http', url: upstream.url, ...more }], ...sections });
  open.push(rig);
  await upstream.until(() => upstream.listeners.size > 0);
  return { rig, upstream };
}

const MIB = 1024 * 1024;
/** As /proc/net/tcp writes it (proc(5)). */
const ESTABLISHED = '01';
const authorized = (rig: GatewayRig, ...more: string[]) => [
  `Host: 127.0.0.1:${rig.port}`,
  `Authorization: Bearer ${USERS.alice.token}`,
  'Content-Type: application/json',
  'Accept: application/json, text/event-stream',
  ...more,
];
const sessions = (rig: GatewayRig) => rig.metric('turnpike_sessions');

describe('bodies', () => {
  const big = Buffer.alloc(5 * MIB, ' ');

  it('5 MB is 413, the answer can be read, and the next connection works', async () => {
    const { rig, upstream } = await rigFor();
    for (let attempt = 0; attempt < 3; attempt++) {
      const { headers } = rig.modern('alice').request('tools/call', { name: 'x_up_say', arguments: {} });
      expect((await send(rig.url, 'POST', headers, big)).status).toBe(413);
    }
    expect(upstream.calls()).toEqual([]);
    expect(textOf(await rig.modern('alice').call('x_up_say'))).toBe('done');
  });

  it('5 MB in chunks without a length is 413 as soon as the bound is passed', async () => {
    const { rig, upstream } = await rigFor();
    const chunk = Buffer.concat([Buffer.from(`${(MIB).toString(16)}\r\n`), Buffer.alloc(MIB, ' '), Buffer.from('\r\n')]);
    const reply = await wire(rig.port, [
      head('POST /mcp HTTP/1.1', authorized(rig, 'Transfer-Encoding: chunked')),
      chunk,
      chunk,
      chunk,
      chunk,
      chunk,
    ]);
    expect(reply.status).toBe(413);
    expect(upstream.calls()).toEqual([]);
  });

  it('5 MB that are only announced are 413 before a byte of them, to a stranger, too', async () => {
    const { rig } = await rigFor();
    const announced = `Content-Length: ${5 * MIB}`;
    const stranger = [`Host: 127.0.0.1:${rig.port}`, 'Content-Type: application/json', announced];
    for (const lines of [authorized(rig, announced), stranger]) {
      expect((await wire(rig.port, head('POST /mcp HTTP/1.1', lines), { deadlineMs: 3_000 })).status).toBe(413);
    }
  });

  it('of a stranger is not read: 401 although nothing of it came', async () => {
    const { rig } = await rigFor();
    const lines = [`Host: 127.0.0.1:${rig.port}`, 'Content-Type: application/json', `Content-Length: ${3 * MIB}`];
    expect((await wire(rig.port, head('POST /mcp HTTP/1.1', lines))).status).toBe(401);
  });

  it.each<[string, string]>([
    ['4 MiB of brackets', '['.repeat(4 * MIB - 10)],
    [
      'a million levels of arguments',
      `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x_up_say","arguments":{"a":${'['.repeat(1e6)}${']'.repeat(1e6)}}}}`,
    ],
    ['a million levels of params', `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":${'{"a":'.repeat(500_000)}1${'}'.repeat(500_000)}}`],
    [
      'half a million members',
      `{"jsonrpc":"2.0","id":1,"method":"ping","params":{${Array.from({ length: 300_000 }, (_, index) => `"k${index}":1`).join(',')}}}`,
    ],
    ['a number of a million digits', `{"jsonrpc":"2.0","id":${'9'.repeat(1e6)},"method":"ping"}`],
    ['a method of a megabyte', `{"jsonrpc":"2.0","id":1,"method":"${'m'.repeat(1e6)}"}`],
  ])('%s: answered within seconds, and the gateway lives', async (_name, body) => {
    const { rig } = await rigFor();
    const session = await rig.session('alice');
    const began = process.cpuUsage();
    const [reply, modern] = [
      await send(rig.url, 'POST', session.headers(), body),
      await send(rig.url, 'POST', rig.modern('alice').request('tools/call', { name: 'x_up_say' }).headers, body),
    ];
    const { user, system } = process.cpuUsage(began);
    expect([reply.status < 500, modern.status < 500]).toEqual([true, true]);
    expect((user + system) / 1e6).toBeLessThan(8);
    expect(textOf(await rig.modern('bob').call('x_up_say'))).toBe('done');
  });

  it('headers of 40 KiB are 431, and 3,000 headers change nothing', async () => {
    const { rig, upstream } = await rigFor();
    expect((await wire(rig.port, head('POST /mcp HTTP/1.1', authorized(rig, `X-Filler: ${'a'.repeat(40_000)}`)))).status).toBe(431);
    const many = Array.from({ length: 3_000 }, (_, index) => `a${index}:`);
    expect([400, 401, 403, 431]).toContain((await wire(rig.port, head('POST /mcp HTTP/1.1', [...many, ...authorized(rig)], '{}'))).status);
    expect(upstream.calls()).toEqual([]);
  });
});

describe('before authentication', () => {
  it('unknown session ids and wrong tokens allocate nothing, however many come', async () => {
    const { rig, upstream } = await rigFor();
    const ask = (index: number) => {
      const token = index % 2 === 0 ? USERS.alice.token : `wrong-${index}-${'x'.repeat(200)}`;
      const session = index % 3 === 0 ? {} : { 'mcp-session-id': `${index}-${'y'.repeat(200)}` };
      return send(
        rig.url,
        'POST',
        { 'content-type': 'application/json', authorization: `Bearer ${token}`, ...session },
        '{"jsonrpc":"2.0","id":1,"method":"ping"}',
      );
    };
    const flood = async (count: number) => {
      for (let from = 0; from < count; from += 50)
        await Promise.all(Array.from({ length: 50 }, (_, index) => ask(from + index + Math.floor(Math.random() * 1e6))));
    };
    await flood(500);
    const grown = await grownBy(() => flood(3_000));
    expect(grown).toBeLessThan(2 * MIB);
    expect(await sessions(rig)).toBe(0);
    expect(upstream.calls()).toEqual([]);
  });

  it('failures and rates of an address end in 429 with Retry-After, and a known credential from there is still served', async () => {
    const { rig, upstream } = await rigFor(undefined, {
      auth: { modes: ['static'], failures: { max: 5 }, static: Object.entries(USERS).map(([name, { token, tenant }]) => ({ name, token, tenant })) },
      limits: { ip: 1, ipBurst: 20 },
    });
    expect(textOf(await rig.modern('alice').call('x_up_say'))).toBe('done');
    const wrong = () => send(rig.url, 'POST', { 'content-type': 'application/json', authorization: 'Bearer wrong' }, '{}');
    const statuses = [];
    for (let attempt = 0; attempt < 8; attempt++) statuses.push(await wrong());
    expect(statuses.map(({ status }) => status)).toEqual([401, 401, 401, 401, 401, 429, 429, 429]);
    expect(Number(statuses.at(-1)?.headers['retry-after'])).toBeGreaterThan(0);
    expect(statuses.at(-1)?.text).toContain('Too many authentication failures');
    // A right token that is not known here yet waits like everybody else; a known one does not.
    expect((await rig.modern('bob').call('x_up_say')).status).toBe(429);
    expect(textOf(await rig.modern('alice').call('x_up_say'))).toBe('done');
    expect(upstream.count('tools/call')).toBe(2);
  });

  it('the rate of an address ends in 429 by itself, long before its failures do; its burst is what passes', async () => {
    const { rig, upstream } = await rigFor(undefined, { limits: { ip: 1, ipBurst: 10 } });
    const wrong = () => send(rig.url, 'POST', { 'content-type': 'application/json', authorization: 'Bearer wrong' }, '{}');
    const replies = await Promise.all(Array.from({ length: 40 }, wrong));
    const refused = replies.filter(({ status }) => status === 429);
    // At one a second a few more pass while they come.
    expect(refused.length).toBeGreaterThanOrEqual(20);
    expect(refused.length).toBeLessThanOrEqual(30);
    expect(refused[0]?.text).toContain('Rate limit exceeded. Please try again later.');
    expect(upstream.calls()).toEqual([]);
  });

  it('the rate of a principal ends in 429; other principals are served', async () => {
    const { rig, upstream } = await rigFor(undefined, { limits: { user: 1, userBurst: 5 } });
    const replies = await Promise.all(Array.from({ length: 20 }, () => rig.modern('alice').call('x_up_say')));
    const refused = replies.filter(({ status }) => status === 429);
    expect(refused.length).toBeGreaterThanOrEqual(14);
    expect(Number(refused[0]?.headers['retry-after'])).toBeGreaterThan(0);
    expect(upstream.count('tools/call')).toBe(replies.length - refused.length);
    expect(textOf(await rig.modern('bob').call('x_up_say'))).toBe('done');
  });
});

describe('sessions', () => {
  it('beyond the cap are 503 with Retry-After, nobody loses one, and an ended one makes room', async () => {
    const { rig } = await rigFor(undefined, { limits: { sessions: 4 } });
    const first = [await rig.session('alice'), await rig.session('alice'), await rig.session('bob'), await rig.session('carol')];
    const refused = await rig.session('carol');
    expect(refused.initialized.status).toBe(503);
    expect(Number(refused.initialized.headers['retry-after'])).toBeGreaterThan(0);
    for (const session of first) expect((await session.send('ping')).result).toEqual({});
    await first[0]?.end();
    expect((await rig.session('carol')).initialized.status).toBe(200);
    expect(await sessions(rig)).toBe(4);
  });

  it('of one principal take no more than half of the places', async () => {
    const { rig } = await rigFor(undefined, { limits: { sessions: 10 } });
    const flood = await Promise.all(Array.from({ length: 30 }, () => rig.session('alice')));
    expect(flood.filter(({ initialized }) => initialized.status === 200)).toHaveLength(5);
    expect(flood.filter(({ initialized }) => initialized.status === 503)).toHaveLength(25);
    expect((await rig.session('bob')).initialized.status).toBe(200);
  });

  it('keep a bounded declaration: an `initialize` of a megabyte is refused', async () => {
    const { rig } = await rigFor();
    const large = 'c'.repeat(MIB);
    for (const options of [{ clientInfo: { name: large, version: '1' } }, { capabilities: { experimental: { [large]: {} } } }]) {
      const refused = await rig.session('alice', options);
      expect(refused.initialized.error).toMatchObject({ code: -32602 });
    }
    expect(await sessions(rig)).toBe(0);
  });

  it('of 2025-03-26 take batches of 100 at most, and each message counts for its principal', async () => {
    const { rig, upstream } = await rigFor(undefined, { limits: { user: 1, userBurst: 150 } });
    const session = await rig.session('alice', { version: '2025-03-26' });
    const batch = (size: number) =>
      Array.from({ length: size }, (_, id) => ({ jsonrpc: '2.0', id, method: 'tools/call', params: { name: 'x_up_say', arguments: {} } }));
    const big = await session.post(batch(20_000));
    expect(big.status).toBe(400);
    expect(big.text).toContain('more than 100 messages');
    expect(upstream.calls()).toEqual([]);
    expect((await session.post(batch(100))).messages).toHaveLength(100);
    expect((await session.post(batch(100))).status).toBe(429);
    expect(upstream.count('tools/call')).toBe(100);
  });
});

describe('readers', () => {
  const LINE = 'n'.repeat(100_000);

  /** An upstream call that says `count` log lines of 100 kB, then its result; tells when it was cancelled. */
  function talkative(count: number, result: JsonObject): { script: Script; cancelled: () => number } {
    let cancelled = 0;
    const script: Script = {
      tools: [tool('talk')],
      act: ({ message }, response) => {
        response.once('close', () => {
          if (!response.writableFinished) cancelled++;
        });
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        let said = 0;
        const say = () => {
          if (response.destroyed) return;
          for (let burst = 0; burst < 10 && said < count; burst++, said++) {
            response.write(event({ jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data: LINE } }));
          }
          if (said < count) setTimeout(say, 20);
          else if (Object.keys(result).length > 0)
            response.end(event({ jsonrpc: '2.0', id: message.id, result: { resultType: 'complete', ...result } }));
        };
        say();
        return undefined;
      },
    };
    return { script, cancelled: () => cancelled };
  }

  /** A client that asks and never reads. */
  function stalled(rig: GatewayRig, text: string): Promise<net.Socket> {
    return new Promise((resolve) => {
      const socket = net.connect(rig.port, '127.0.0.1', () => {
        socket.pause();
        socket.write(text);
        resolve(socket);
      });
      socket.on('error', () => {});
    });
  }

  const asking = (rig: GatewayRig) => {
    const { body, headers } = rig
      .modern('alice')
      .request('tools/call', { name: 'x_up_talk', arguments: {} }, { meta: { 'io.modelcontextprotocol/logLevel': 'info' } });
    return head('POST /mcp HTTP/1.1', [`Host: 127.0.0.1:${rig.port}`, ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`)], body);
  };

  /** Waits until the gateway has given its side of a connection up, which a client that does not read cannot see. */
  const cutOff = (rig: GatewayRig, socket: net.Socket) =>
    until(
      async () => {
        const lines = (await readFile('/proc/net/tcp', 'utf8')).split('\n').map((line) => line.trim().split(/\s+/));
        const port = (address = '') => Number.parseInt(address.split(':')[1] ?? '', 16);
        return lines.some(([, local, remote, state]) => port(local) === rig.port && port(remote) === socket.localPort && state === ESTABLISHED);
      },
      (open) => !open,
      20_000,
    );

  it('that stall are cut when 1 MiB is unread, and what they asked for is cancelled', async () => {
    const { script, cancelled } = talkative(100_000, {});
    const { rig, upstream } = await rigFor(script);
    const socket = await stalled(rig, asking(rig));
    await upstream.until(() => upstream.count('tools/call') === 1);
    await until(cancelled, (count) => count === 1, 10_000);
    // Cut, not ended: the last chunk never came.
    const rest: Buffer[] = [];
    await new Promise<void>((resolve) => {
      socket.on('data', (chunk: Buffer) => rest.push(chunk));
      socket.once('close', () => resolve());
      socket.resume();
    });
    const got = Buffer.concat(rest);
    expect(got.includes('\r\n0\r\n\r\n')).toBe(false);
    // What the kernel took on both sides, and the bound.
    expect(got.length).toBeLessThan(24 * MIB);
  });

  it('that stall on the stream of a session are cut, the session lives, and no more than 5 MiB are kept for it', async () => {
    const { script } = talkative(300, { content: [] });
    const { rig } = await rigFor(script);
    const session = await rig.session('alice');
    await session.send('logging/setLevel', { level: 'info' });
    const body = JSON.stringify({ jsonrpc: '2.0', id: 'slow', method: 'tools/call', params: { name: 'x_up_talk', arguments: {} } });
    const lines = Object.entries(session.headers()).map(([name, value]) => `${name}: ${value}`);
    const socket = await stalled(rig, head('POST /mcp HTTP/1.1', [`Host: 127.0.0.1:${rig.port}`, ...lines], body));
    const closed = new Promise((resolve) => socket.once('close', resolve));
    await cutOff(rig, socket);
    socket.resume();
    await closed;
    expect((await session.send('ping')).result).toEqual({});
    // The call goes on to its end; what comes after the resumption would be told besides what is kept.
    await until(
      () => rig.audit(),
      (records) => records.length === 1,
      20_000,
    );
    // A lost connection is no cancel: the answer is there, with as much before it as is kept.
    const resumed = await session.listen({ 'last-event-id': '0-0' });
    await resumed.until((messages) => messages.some(({ id }) => id === 'slow'), 15_000);
    expect(resumed.text.length).toBeLessThan(5.5 * MIB);
    expect(resumed.text.length).toBeGreaterThan(4 * MIB);
  });

  it('that stall on a JSON answer are cut after listen.writeTimeout', async () => {
    const { rig } = await rigFor(
      { tools: [tool('talk')], act: () => ({ content: [{ type: 'text', text: 'x'.repeat(12 * MIB) }] }) },
      { listen: { writeTimeout: '1s' } },
    );
    const socket = await stalled(rig, asking(rig));
    await cutOff(rig, socket);
    let got = 0;
    await new Promise<void>((resolve) => {
      socket.on('data', (chunk: Buffer) => {
        got += chunk.length;
      });
      socket.once('close', () => resolve());
      socket.resume();
    });
    expect(got).toBeLessThan(12 * MIB);
  });

  it('that read get everything, also when it comes in one piece: 6 MiB after a notification, and 3 MB at once', async () => {
    const { rig } = await rigFor(talkative(30, { content: [{ type: 'text', text: 'y'.repeat(6 * MIB) }] }).script);
    const reply = await rig.modern('alice').call('x_up_talk', {}, { meta: { 'io.modelcontextprotocol/logLevel': 'info' } });
    expect(textOf(reply)).toHaveLength(6 * MIB);
    expect(reply.notifications).toHaveLength(30);
  });
});

describe('slow clients', () => {
  const drip = (text: string) => [...text];

  it('that drip their headers or send none are cut after listen.readHeaderTimeout; others do not wait', async () => {
    // What bounds a whole request must not be what cuts them.
    const { rig } = await rigFor(undefined, { listen: { readHeaderTimeout: '1s', writeTimeout: '60s' } });
    const patience = { pauseMs: 100, untilClosed: true, deadlineMs: 8_000 };
    const lines = head('POST /mcp HTTP/1.1', authorized(rig, 'X-Slow: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'));
    const slow = [...Array.from({ length: 50 }, () => wire(rig.port, drip(lines), patience)), wire(rig.port, [], patience)];
    const began = performance.now();
    expect(textOf(await rig.modern('bob').call('x_up_say'))).toBe('done');
    expect(performance.now() - began).toBeLessThan(1_000);
    const cut = await Promise.all(slow);
    expect(cut.every(({ closed, ms }) => closed && ms < 6_000)).toBe(true);
    expect(cut.every(({ status }) => [0, 408].includes(status))).toBe(true);
  });

  it('that drip a body are cut, too', async () => {
    const { rig } = await rigFor(undefined, { listen: { readHeaderTimeout: '1s', writeTimeout: '2s' } });
    const pieces = [head('POST /mcp HTTP/1.1', authorized(rig, 'Content-Length: 1000')), ...drip('{'.repeat(200))];
    const cut = await wire(rig.port, pieces, { pauseMs: 100, untilClosed: true, deadlineMs: 8_000 });
    expect([cut.closed && cut.ms < 6_000, [0, 408].includes(cut.status)]).toEqual([true, true]);
  });

  it('do not keep a call or a stream from taking its time', async () => {
    const act: Script['act'] = () => new Promise((resolve) => setTimeout(resolve, 3_500, { content: [{ type: 'text', text: 'late' }] }));
    const { rig } = await rigFor({ tools: [tool('say')], act }, { listen: { readHeaderTimeout: '1s', writeTimeout: '1s' } });
    const stream = await rig.modern('bob').listen();
    expect(textOf(await rig.modern('alice').call('x_up_say'))).toBe('late');
    let over = false;
    void stream.ended.then(() => {
      over = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(over).toBe(false);
    stream.close();
  });
});

describe('lists and changes', () => {
  it('1,000 lists of many clients make one fan-out', async () => {
    const { rig, upstream } = await rigFor({ tools: Array.from({ length: 50 }, (_, index) => tool(`t${index}`)) });
    const session = await rig.session('carol');
    const all = Array.from({ length: 1_000 }, async (_, index) =>
      index % 10 === 0 ? session.send('tools/list') : rig.modern(index % 2 === 0 ? 'alice' : 'bob').send('tools/list'),
    );
    const replies = await Promise.all(all);
    expect(replies.every(({ result }) => (result.tools as unknown[]).length === 50)).toBe(true);
    expect(upstream.count('tools/list')).toBe(1);
  });

  it('lists that are asked for while nothing is known yet make one fan-out, too', async () => {
    const upstream = await scripted({ tools: [tool('say')] });
    open.push(upstream);
    const { answer } = upstream;
    // The first handshake takes a while, and everybody comes meanwhile.
    upstream.answer = (response, seen, raw) => void setTimeout(() => answer(response, seen, raw), 150);
    const starting = GatewayRig.start({ upstreams: [{ name: 'up', type: 'streamable-http', url: upstream.url }] });
    const rig = await starting;
    open.push(rig);
    await Promise.all(Array.from({ length: 100 }, () => rig.modern('alice').send('tools/list')));
    expect(upstream.count('tools/list')).toBe(1);
  });

  it('10,000 list_changed in a second are a few questions to the upstream, and two notifications to a client at most', async () => {
    const { rig, upstream } = await rigFor();
    const session = await rig.session('bob');
    const [modern, legacy] = [await rig.modern('alice').listen(), await session.listen()];
    const before = upstream.count('tools/list');
    const began = process.cpuUsage();
    const first = performance.now();
    for (let round = 0; round < 10; round++) {
      upstream.script = { tools: [tool('say'), tool(`new_${round}`)] };
      upstream.notify('notifications/tools/list_changed', 1_000);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    const seconds = (performance.now() - first) / 1000;
    await legacy.until((messages) => messages.length > 0);
    await until(
      () => rig.modern('carol').toolNames(),
      (names) => names.includes('x_up_new_9'),
      5_000,
    );
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    const { user, system } = process.cpuUsage(began);
    // One a second, and the last.
    expect(upstream.count('tools/list') - before).toBeLessThanOrEqual(Math.floor(seconds) + 2);
    const told = (messages: readonly JsonObject[]) => messages.filter(({ method }) => method === 'notifications/tools/list_changed').length;
    for (const stream of [modern, legacy]) {
      expect(told(stream.messages)).toBeGreaterThanOrEqual(1);
      expect(told(stream.messages)).toBeLessThanOrEqual(4);
      stream.close();
    }
    expect((user + system) / 1e6).toBeLessThan(6);
  });

  it('changes that change nothing tell nobody', async () => {
    const { rig, upstream } = await rigFor();
    const modern = await rig.modern('alice').listen();
    upstream.notify('notifications/tools/list_changed', 100);
    await upstream.until(() => upstream.count('tools/list') === 2);
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(modern.messages).toHaveLength(1);
    modern.close();
  });

  it('listen streams are 32 for a principal; the 33rd is refused, others have theirs, and a closed one makes room', async () => {
    const { rig } = await rigFor();
    const streams = await Promise.all(Array.from({ length: 32 }, () => rig.modern('alice').listen()));
    const refused = await rig.modern('alice').send('subscriptions/listen', { notifications: {} });
    expect(refused.error).toMatchObject({ code: -31004 });
    const other = await rig.modern('bob').listen();
    streams[0]?.close();
    await until(
      async () => {
        const one = await rig.modern('alice').stream('subscriptions/listen', { notifications: {} });
        await one.until((messages) => messages.length > 0);
        one.close();
        return one.messages[0]?.error;
      },
      (error) => error === undefined,
      5_000,
    );
    for (const stream of [...streams, other]) stream.close();
  });
});

it('a proxy in front: strangers learn from /readyz that it is not ready, and not why', async () => {
  const rig = await GatewayRig.start({
    upstreams: [{ name: 'hidden-name', type: 'streamable-http', url: 'http://127.0.0.1:1/mcp', required: true }],
  });
  open.push(rig);
  const ask = (...lines: string[]) => wire(rig.port, head('GET /readyz HTTP/1.1', [`Host: 127.0.0.1:${rig.port}`, ...lines]));
  const stranger = await ask('X-Forwarded-For: 203.0.113.9');
  expect([stranger.status, stranger.text.includes('hidden-name')]).toEqual([503, false]);
  const operator = await ask();
  expect([operator.status, operator.text.includes('hidden-name')]).toEqual([503, true]);
  expect((await LegacyClient.open(rig.url, undefined)).initialized.status).toBe(401);
});
