import { EventEmitter } from 'node:events';
import type { ServerResponse } from 'node:http';

/** What an event stream is given leaves at the end of the turn. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** For tests: an answer whose reader takes nothing until it is told to. */
export class SampleResponse extends EventEmitter {
  readonly written: string[] = [];
  readonly head: unknown[] = [];
  ended = false;
  destroyed = false;
  writableLength = 0;
  headersSent = false;
  readonly socket = null;

  /** What an SSE writer needs of it. */
  get response(): ServerResponse {
    return this as unknown as ServerResponse;
  }

  get text(): string {
    return this.written.join('');
  }

  /** The client reads everything there is. */
  read(): void {
    this.writableLength = 0;
  }

  writeHead(...head: unknown[]): this {
    this.headersSent = true;
    this.head.push(...head);
    return this;
  }

  flushHeaders(): void {}
  cork(): void {}
  uncork(): void {}

  write(given: Buffer | string, encoding?: BufferEncoding): boolean {
    const bytes = typeof given === 'string' ? Buffer.from(given, encoding) : given;
    this.written.push(bytes.toString());
    this.writableLength += bytes.length;
    return true;
  }

  end(bytes?: Buffer | string, encoding?: BufferEncoding): this {
    if (bytes !== undefined) this.write(bytes, encoding);
    this.ended = true;
    this.emit('close');
    return this;
  }

  destroy(): this {
    this.destroyed = true;
    this.emit('close');
    return this;
  }
}
