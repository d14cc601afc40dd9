import type { IncomingMessage } from 'node:http';
import { TurnpikeError } from '../core/errors.ts';
import { tooLarge } from './steps/guard.ts';

/** Reads a body of at most `max` bytes; at once where all of it is there. Throws `guard/size`; `request/cancelled` when the client goes away meanwhile. */
export function readBody(request: IncomingMessage, max: number): Buffer | Promise<Buffer> {
  // What a client sent that has gone must not be done, and nothing would come any more.
  if (request.destroyed) return Promise.reject(new TurnpikeError('request/cancelled'));
  const { readableLength: length } = request;
  // One that flows, which an embedder may have seen to, gives only its first piece.
  if (request.complete && length > 0 && length <= max && request.readableFlowing !== true && request.readableEncoding === null) {
    const whole: Buffer | null = request.read();
    if (whole !== null) return whole;
  }
  return arriving(request, max);
}

function arriving(request: IncomingMessage, max: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    request.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size > max) {
        request.pause();
        reject(tooLarge(max));
      } else chunks.push(chunk);
    });
    let whole = false;
    request.on('end', () => {
      whole = true;
      resolve(chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks, size));
    });
    // Every request closes in the end: an error is made only for one that is missed.
    const gone = () => {
      if (!whole) reject(new TurnpikeError('request/cancelled'));
    };
    request.on('error', gone);
    request.on('close', gone);
  });
}
