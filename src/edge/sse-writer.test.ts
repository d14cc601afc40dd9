import { once } from 'node:events';
import { createServer, get, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import { ManualClock } from '../core/manual-clock.ts';
import { KeepAlive } from './keep-alive.ts';
import { SampleResponse, turn } from './sample-response.ts';
import { SseWriter, type StreamHead } from './sse-writer.ts';

const MIB = 1024 * 1024;

function made(head?: StreamHead) {
  const clock = new ManualClock();
  const response = new SampleResponse();
  const writer = new SseWriter(response.response, new KeepAlive(clock), head);
  return { clock, response, writer };
}

describe('what is written', () => {
  it('begins with a head that no proxy buffers', async () => {
    const { response } = made();
    await turn();
    expect(response.head).toEqual([200, ['content-type', 'text/event-stream', 'cache-control', 'no-cache, no-transform', 'x-accel-buffering', 'no']]);
  });

  it('is one data line for each message, whatever line breaks stand between its tokens', async () => {
    const { response, writer } = made();
    writer.message(Buffer.from('{"a":\r\n1,\n"b":"x\\ny"}'), '1-2');
    writer.message(Buffer.from('{}'));
    await turn();
    expect(response.text).toBe('id: 1-2\ndata: {"a":  1, "b":"x\\ny"}\n\ndata: {}\n\n');
  });

  it('is UTF-8, byte for byte, in whatever it was gathered', async () => {
    const { response, writer } = made();
    writer.notification('notifications/größe', Buffer.from('{"a":"ü"}'));
    writer.message(Buffer.from(`"${'€'.repeat(10_000)}"`));
    writer.notification('notifications/progress', Buffer.from('{"progress":\n1}'));
    writer.endpoint('/message?für=dich');
    writer.answer('ö', { kind: 'result', result: Buffer.from('{"text":"🙂"}') });
    await turn();
    expect(response.text).toBe(
      [
        'data: {"jsonrpc":"2.0","method":"notifications/größe","params":{"a":"ü"}}',
        `data: "${'€'.repeat(10_000)}"`,
        'data: {"jsonrpc":"2.0","method":"notifications/progress","params":{"progress": 1}}',
        'event: endpoint\ndata: /message?für=dich',
        'data: {"jsonrpc":"2.0","id":"ö","result":{"text":"🙂"}}',
      ]
        .map((event) => `${event}\n\n`)
        .join(''),
    );
  });

  it('that is complete within a turn has its length in bytes in the head, and what the head is to say besides', async () => {
    const { response, writer } = made({ headers: ['x-more', '1'] });
    writer.message(Buffer.from('"ü"'));
    writer.message(Buffer.alloc(20_000, 'x'), '0-1');
    writer.end();
    const text = `data: "ü"\n\nid: 0-1\ndata: ${'x'.repeat(20_000)}\n\n`;
    expect(response.text).toBe(text);
    expect(response.head).toEqual([200, ['x-more', '1', 'content-length', String(Buffer.byteLength(text))]]);
    await turn();
    expect(response.text).toBe(text);
  });

  it('of many small messages is not gathered into one text without end', async () => {
    const { response, writer } = made();
    const message = Buffer.from(`"${'x'.repeat(10_000)}"`);
    for (let index = 0; index < 30; index++) writer.message(message, `0-${index}`);
    await turn();
    expect(response.text).toBe(Array.from({ length: 30 }, (_, index) => `id: 0-${index}\ndata: ${message.toString()}\n\n`).join(''));
    expect(Math.max(...response.written.map((piece) => piece.length))).toBeLessThan(80_000);
  });

  it('can begin with an empty event that says where to resume and when', async () => {
    const { response, writer } = made();
    writer.prime('0-0', 1000);
    await turn();
    expect(response.text).toBe('id: 0-0\nretry: 1000\ndata: \n\n');
  });

  it('holds a comment every 15 s while it is open, and nothing after the end', async () => {
    const { clock, response, writer } = made();
    expect(clock.pending).toBe(0);
    await turn();
    clock.advance(30_000);
    await turn();
    expect(response.text).toBe(':\n\n:\n\n');
    writer.end();
    writer.end();
    writer.message(Buffer.from('{}'));
    clock.advance(60_000);
    expect(response.text).toBe(':\n\n:\n\n');
    expect([writer.open, response.ended, clock.pending]).toEqual([false, true, 0]);
  });
});

describe('a reader', () => {
  it('that leaves 1 MiB unread for a second is cut off', async () => {
    const { clock, response, writer } = made();
    writer.message(Buffer.alloc(MIB, 'x'));
    clock.advance(999);
    expect(response.destroyed).toBe(false);
    clock.advance(1);
    expect([response.destroyed, writer.open, clock.pending]).toEqual([true, false, 0]);
  });

  it('that takes it in time is not, although it came in one piece', async () => {
    const { clock, response, writer } = made();
    for (let round = 0; round < 5; round++) {
      writer.message(Buffer.alloc(5 * MIB, 'x'));
      clock.advance(500);
      await turn();
      response.read();
      clock.advance(1_000);
    }
    expect([response.destroyed, writer.open]).toEqual([false, true]);
  });

  it('of less than that may take its time', async () => {
    const { clock, response, writer } = made();
    writer.message(Buffer.alloc(MIB - 100, 'x'));
    clock.advance(60_000);
    expect(response.destroyed).toBe(false);
  });

  it('that leaves 8 MiB is cut off with the next message', async () => {
    const { response, writer } = made();
    writer.message(Buffer.alloc(8 * MIB, 'x'));
    expect(response.destroyed).toBe(false);
    writer.message(Buffer.from('{}'));
    expect(response.destroyed).toBe(true);
    await turn();
    expect(response.text).toBe('');
  });

  it('of the last message has the time of any answer', async () => {
    const { clock, response, writer } = made();
    writer.message(Buffer.alloc(5 * MIB, 'x'));
    writer.end();
    clock.advance(60_000);
    expect([response.destroyed, response.ended]).toEqual([false, true]);
  });

  it('of the end of a stream has as long as the head says', () => {
    for (const [unread, set] of [
      [1, [500]],
      [0, []],
    ] as const) {
      const { response, writer } = made({ headers: [], writeTimeout: 500 });
      const timeouts: number[] = [];
      Object.assign(response, { socket: { cork: () => {}, writableLength: unread, setTimeout: (ms: number) => timeouts.push(ms) } });
      writer.message(Buffer.from('{}'));
      writer.end();
      expect(timeouts).toEqual(set);
    }
  });

  it('that hangs up closes the writer', async () => {
    const { clock, response, writer } = made();
    writer.message(Buffer.alloc(2 * MIB, 'x'));
    response.emit('close');
    expect([writer.open, clock.pending]).toEqual([false, 0]);
  });

  it('that leaves 1 MiB is told to whoever writes, who hears of it when there is room, or nobody reads', async () => {
    const { response, writer } = made();
    const heard: string[] = [];
    writer.message(Buffer.alloc(MIB - 100, 'x'));
    expect(writer.full).toBe(false);
    writer.whenFree(() => heard.push('at once'));
    writer.message(Buffer.alloc(200, 'x'));
    expect(writer.full).toBe(true);
    writer.whenFree(() => heard.push('after a read'));
    expect(heard).toEqual(['at once']);
    await turn();
    response.read();
    response.emit('drain');
    expect(heard).toEqual(['at once', 'after a read']);
    writer.message(Buffer.alloc(MIB, 'x'));
    writer.whenFree(() => heard.push('gone'));
    response.emit('close');
    expect([writer.full, heard.at(-1)]).toEqual([false, 'gone']);
  });
});

describe('to a client of HTTP', () => {
  /** A stream that is open, and its client, who reads when he is told to. */
  async function connected(httpVersion: '1.1' | '1.0' = '1.1') {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const asked = once(server, 'request') as Promise<[IncomingMessage, ServerResponse]>;
    const client = get({ port: (server.address() as AddressInfo).port, headers: httpVersion === '1.0' ? { connection: 'close' } : {} });
    const [, response] = await asked;
    if (httpVersion === '1.0') response.useChunkedEncodingByDefault = false;
    const writer = new SseWriter(response, new KeepAlive(new ManualClock()));
    const [answer] = (await once(client, 'response')) as [IncomingMessage];
    return { server, response, writer, answer };
  }

  it.each(['1.1', '1.0'] as const)('each turn leaves as it is, HTTP/%s', async (httpVersion) => {
    const { server, writer, answer } = await connected(httpVersion);
    const said: string[] = [];
    for (const length of [1, 15, 16, 300, 70_000, 2]) {
      writer.message(Buffer.from(`"${'ü'.repeat(length)}"`));
      said.push(`data: "${'ü'.repeat(length)}"\n\n`);
      await turn();
    }
    writer.message(Buffer.from('"last"'));
    writer.end();
    expect(await text(answer)).toBe(`${said.join('')}data: "last"\n\n`);
    expect(answer.complete).toBe(true);
    server.close();
  });

  it('everything goes where an embedder wants to see it', async () => {
    const { server, response, writer, answer } = await connected();
    const seen: string[] = [];
    const { write } = response;
    response.write = ((given: string, encoding: BufferEncoding) => {
      seen.push(given);
      return write.call(response, given.toUpperCase(), encoding, undefined);
    }) as typeof response.write;
    for (const message of ['"a"', '"b"', '"c"']) {
      writer.message(Buffer.from(message));
      await turn();
    }
    writer.end();
    expect(await text(answer)).toBe('DATA: "A"\n\nDATA: "B"\n\nDATA: "C"\n\n');
    expect(seen).toHaveLength(3);
    server.close();
  });

  it('nothing follows the end that somebody else gave the answer', async () => {
    const { server, response, writer, answer } = await connected();
    writer.message(Buffer.from('"a"'));
    await turn();
    response.on('error', () => {});
    const { socket } = response;
    writer.message(Buffer.from('"b"'));
    response.end();
    const written = socket?.bytesWritten;
    writer.flush();
    expect(socket?.bytesWritten).toBe(written);
    expect(await text(answer)).toBe('data: "a"\n\n');
    expect(answer.complete).toBe(true);
    server.closeAllConnections();
    server.close();
  });

  it.each([5_000, 20_000, 60_000])('whoever waits hears that it was read, messages of %d bytes', async (length) => {
    const { server, writer, answer } = await connected();
    answer.pause();
    const message = Buffer.from(`"${'x'.repeat(length)}"`);
    while (!writer.full) {
      writer.message(message);
      await turn();
    }
    const isFree = new Promise<void>((resolve) => writer.whenFree(resolve));
    answer.resume();
    await isFree;
    expect(writer.full).toBe(false);
    server.closeAllConnections();
    server.close();
  });

  it('nothing overtakes what is unread, and the socket serves the next request', async () => {
    const { server, response, writer, answer } = await connected();
    const { socket } = response;
    let said = '';
    // More than the sockets of both sides hold: the rest waits in ours.
    while (response.writableLength === 0) {
      const message = `"${String(said.length).padEnd(14_000, 'x')}"`;
      writer.message(Buffer.from(message));
      said += `data: ${message}\n\n`;
      await turn();
    }
    for (const message of ['"a"', '"b"']) {
      writer.message(Buffer.from(message));
      said += `data: ${message}\n\n`;
      await turn();
    }
    expect(writer.full).toBe(false);
    writer.end();
    expect(await text(answer)).toBe(said);
    expect(socket?.writable).toBe(true);
    server.closeAllConnections();
    server.close();
  });
});
