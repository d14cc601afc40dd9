import { Writable } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { Outbox } from './outbox.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** A pipe that keeps what it was given, and says that it is written when it is told to. */
class Pipe extends Writable {
  readonly writes: string[] = [];
  #written: ((error?: Error) => void)[] = [];

  override _write(chunk: Buffer, _encoding: BufferEncoding, written: (error?: Error) => void): void {
    this.writes.push(chunk.toString());
    this.#written.push(written);
  }

  async take(error?: Error): Promise<void> {
    this.#written.shift()?.(error);
    await turn();
    await turn();
  }
}

function outboxOf(maxBytes = 1000) {
  const pipe = new Pipe();
  const outbox = new Outbox(pipe, maxBytes, { unsent: () => new Error('unsent'), lost: () => new Error('lost'), full: () => new Error('full') });
  return { pipe, outbox, send: (text: string, signal = new AbortController().signal) => outbox.send(Buffer.from(text), signal) };
}

describe('Outbox', () => {
  it('writes what came in one turn at once, and what came meanwhile behind it, in order', async () => {
    const { pipe, outbox, send } = outboxOf();
    const first = [send('a'), send('b')];
    await turn();
    const second = [send('c'), send('d')];
    await turn();
    expect([pipe.writes, outbox.waitingBytes]).toEqual([['a\nb\n'], 4]);
    await pipe.take();
    await Promise.all(first);
    expect([pipe.writes, outbox.waitingBytes]).toEqual([['a\nb\n', 'c\nd\n'], 0]);
    await pipe.take();
    await Promise.all(second);
  });

  it('writes at most 64 KiB together, unless one message is larger', async () => {
    const { pipe, send } = outboxOf(10_000_000);
    const sizes = [40_000, 25_000, 600, 70_000, 1];
    const sent = sizes.map((size) => send('x'.repeat(size)));
    for (let count = 0; count < 8; count++) await pipe.take();
    await Promise.all(sent);
    expect(pipe.writes.map(({ length }) => length)).toEqual([65_002, 601, 70_000, 1, 2]);
  });

  it('takes back what has not left, and only gives up what has', async () => {
    const { pipe, outbox, send } = outboxOf();
    const [flying, waiting] = [new AbortController(), new AbortController()];
    const gone = send('flying', flying.signal);
    await turn();
    const back = send('waiting', waiting.signal);
    const stays = send('stays');
    flying.abort(new Error('first'));
    waiting.abort(new Error('second'));
    await expect(gone).rejects.toThrow('first');
    await expect(back).rejects.toThrow('second');
    expect(outbox.waitingBytes).toBe('stays\n'.length);
    await pipe.take();
    await pipe.take();
    await stays;
    expect(pipe.writes).toEqual(['flying\n', 'stays\n']);
  });

  it('keeps nothing of what was taken back while the child does not read', async () => {
    const { outbox, send } = outboxOf(20_000);
    void send('first').catch(() => {});
    await turn();
    // So many that the list is not made anew for those that go.
    const lasting = Array.from({ length: 1000 }, () => send('lasting').catch((error: Error) => error.message));
    const lines: WeakRef<Buffer>[] = [];
    for (let count = 0; count < 500; count++) {
      const controller = new AbortController();
      const message = Buffer.alloc(10_000);
      lines.push(new WeakRef(message));
      const back = outbox.send(message, controller.signal);
      controller.abort(new Error('over'));
      await expect(back).rejects.toThrow('over');
    }
    expect(outbox.waitingBytes).toBe(1000 * 'lasting\n'.length);
    await turn();
    collect();
    expect(lines.filter((line) => line.deref() !== undefined).length).toBeLessThan(5);
    outbox.close();
    expect(new Set(await Promise.all(lasting))).toEqual(new Set(['unsent']));
  });

  it('refuses what finds no room, though one message always does', async () => {
    const { outbox, send } = outboxOf(10);
    const large = send('x'.repeat(50));
    await expect(send('y')).rejects.toThrow('full');
    outbox.close();
    await expect(large).rejects.toThrow('unsent');
  });

  it('loses what is in flight when it closes, and refuses what waits', async () => {
    const { outbox, send } = outboxOf();
    const flying = send('flying');
    await turn();
    const waiting = send('waiting');
    outbox.close();
    await expect(flying).rejects.toThrow('lost');
    await expect(waiting).rejects.toThrow('unsent');
    await expect(send('late')).rejects.toThrow('unsent');
  });

  it('loses what the pipe refused', async () => {
    const { pipe, send } = outboxOf();
    pipe.on('error', () => {});
    const flying = expect(send('flying')).rejects.toThrow('lost');
    await turn();
    await pipe.take(new Error('EPIPE'));
    await flying;
  });
});
