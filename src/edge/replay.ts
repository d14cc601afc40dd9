import type { Clock } from '../core/clock.ts';
import type { Answer, RequestId } from '../core/mcp.ts';
import { encodeAnswer } from './encode.ts';
import type { SseWriter } from './sse-writer.ts';

/** Kept for replay per session (protocol.md section 3). */
const MAX_EVENTS = 1_000;
const MAX_BYTES = 5 * 1024 * 1024;
const KEEP_MS = 5 * 60_000;
/** How long a client should wait before it reconnects. */
export const RETRY_MS = 1_000;

interface Kept {
  readonly stream: EventStream;
  readonly seq: number;
  readonly data: Buffer;
}

/** One stream of a session: what a POST answers with, or what GET opened. Its messages can be replayed after a drop. */
export interface EventStream {
  readonly id: string;
  seq: number;
  writer: SseWriter | undefined;
  /** Monotonic time at which its connection was lost. */
  droppedAt: number | undefined;
  /** Its last message is out: a replay ends with it. */
  ended: boolean;
}

/** The event streams of one session. Ids mean nothing outside it (security class 26). */
export class Replay {
  readonly #clock: Clock;
  readonly #streams = new Map<string, EventStream>();
  #kept: Kept[] = [];
  #bytes = 0;
  #next = 0;
  /** Whether a stream was ever dropped: of most sessions none is, and nothing has to be looked for with each event. */
  #hasDropped = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Makes a stream; `attach` gives it a connection. */
  create(): EventStream {
    const stream: EventStream = { id: (this.#next++).toString(36), seq: 0, writer: undefined, droppedAt: undefined, ended: false };
    this.#streams.set(stream.id, stream);
    return stream;
  }

  /** Gives a new stream its connection. Its first event is empty, so that the client can resume from the start. */
  attach(stream: EventStream, writer: SseWriter): void {
    stream.writer = writer;
    stream.droppedAt = undefined;
    writer.prime(`${stream.id}-${stream.seq}`, RETRY_MS);
  }

  send(stream: EventStream, data: Buffer): void {
    const seq = ++stream.seq;
    this.#kept.push({ stream, seq, data });
    this.#bytes += data.length;
    this.#prune();
    if (stream.writer?.open) stream.writer.message(data, `${stream.id}-${seq}`);
    else this.dropped(stream);
  }

  /** Sends the answer, with which the stream is complete. Who reads it to the end has nothing to come back for: it is not kept. */
  answer(stream: EventStream, id: RequestId, answer: Answer): void {
    if (stream.writer?.open) stream.writer.answer(id, answer, `${stream.id}-${++stream.seq}`);
    else this.send(stream, encodeAnswer(id, answer));
    this.end(stream);
  }

  /** The stream is complete. */
  end(stream: EventStream): void {
    stream.ended = true;
    if (stream.writer?.open) {
      stream.writer.end();
      this.#forget(stream);
    } else this.dropped(stream);
  }

  /** Its connection is gone; what follows waits for a resumption. */
  dropped(stream: EventStream): void {
    stream.writer = undefined;
    stream.droppedAt ??= this.#clock.monotonic();
    this.#hasDropped = true;
  }

  /** The stream that an event id names, and what was sent after it; nothing for ids of other sessions. */
  find(
    lastEventId: string,
  ): { readonly stream: EventStream; readonly missed: readonly { readonly id: string; readonly data: Buffer }[] } | undefined {
    this.#prune();
    const [, id, seq] = /^([0-9a-z]{1,10})-(\d{1,12})$/.exec(lastEventId) ?? [];
    const stream = id === undefined ? undefined : this.#streams.get(id);
    if (stream === undefined) return undefined;
    const missed = this.#kept
      .filter((kept) => kept.stream === stream && kept.seq > Number(seq))
      .map((kept) => ({ id: `${stream.id}-${kept.seq}`, data: kept.data }));
    return { stream, missed };
  }

  /** A client is back: it gets what it missed, then what follows. */
  resume(stream: EventStream, writer: SseWriter, missed: readonly { readonly id: string; readonly data: Buffer }[]): void {
    const before = stream.writer;
    stream.writer = writer;
    stream.droppedAt = undefined;
    before?.end();
    for (const { id, data } of missed) writer.message(data, id);
    if (!stream.ended) return;
    writer.end();
    this.#forget(stream);
  }

  endAll(): void {
    for (const stream of this.#streams.values()) stream.writer?.end();
    this.#streams.clear();
    this.#kept = [];
    this.#bytes = 0;
  }

  #forget(stream: EventStream): void {
    this.#streams.delete(stream.id);
    this.#drop((kept) => kept.stream === stream);
  }

  #prune(): void {
    if (this.#hasDropped) this.#expire();
    while (this.#kept.length > MAX_EVENTS || (this.#bytes > MAX_BYTES && this.#kept.length > 0)) {
      this.#bytes -= this.#kept.shift()?.data.length ?? 0;
    }
  }

  #expire(): void {
    const before = this.#clock.monotonic() - KEEP_MS;
    for (const stream of this.#streams.values()) {
      if (stream.droppedAt !== undefined && stream.droppedAt < before && stream.ended) this.#streams.delete(stream.id);
    }
    this.#drop(({ stream }) => stream.droppedAt !== undefined && stream.droppedAt < before);
  }

  #drop(gone: (kept: Kept) => boolean): void {
    if (!this.#kept.some(gone)) return;
    this.#kept = this.#kept.filter((kept) => !gone(kept));
    this.#bytes = this.#kept.reduce((sum, { data }) => sum + data.length, 0);
  }
}
