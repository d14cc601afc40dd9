import { toJson } from '../core/json.ts';
import type { Answer, RequestId, RpcError } from '../core/mcp.ts';

const CLOSE_OBJECT = 0x7d;
const CLOSE = Buffer.from('}');

/** A JSON-RPC response; the bytes of result and error are put in as they are. */
export function encodeAnswer(id: RequestId, answer: Answer): Buffer {
  return closed(`{"jsonrpc":"2.0","id":${JSON.stringify(id)},"${answer.kind}":`, answer.kind === 'result' ? answer.result : answer.error);
}

/** Pieces below this size are joined with their neighbours: to write one more costs more than to copy it. */
const SMALL_BYTES = 2048;

/** As `encodeAnswer`, in pieces: what is large is not copied. */
export function encodePieces(id: RequestId, answer: Answer): readonly Buffer[] {
  const head = Buffer.from(`{"jsonrpc":"2.0","id":${JSON.stringify(id)},"${answer.kind}":`);
  const body = answer.kind === 'error' ? answer.error : answer.pieces === undefined ? answer.result : undefined;
  if (body !== undefined) return body.length < SMALL_BYTES ? [Buffer.concat([head, body, CLOSE])] : [head, body, CLOSE];
  const pieces: Buffer[] = [];
  let small: Buffer[] = [head];
  for (const piece of answer.kind === 'result' ? (answer.pieces ?? []) : []) {
    if (piece.length < SMALL_BYTES) small.push(piece);
    else {
      if (small.length > 0) pieces.push(Buffer.concat(small));
      pieces.push(piece);
      small = [];
    }
  }
  small.push(CLOSE);
  pieces.push(Buffer.concat(small));
  return pieces;
}

/** An error response. Without an id it answers something whose id could not be read. */
export function encodeError(id: RequestId | undefined, error: RpcError): Buffer {
  return toJson({ jsonrpc: '2.0', ...(id === undefined ? {} : { id }), error });
}

export function encodeNotification(method: string, params: Buffer): Buffer {
  return closed(`{"jsonrpc":"2.0","method":${JSON.stringify(method)},"params":`, params);
}

export function encodeRequest(id: RequestId, method: string, params: Buffer): Buffer {
  return closed(`{"jsonrpc":"2.0","id":${JSON.stringify(id)},"method":${JSON.stringify(method)},"params":`, params);
}

/** An object of what opens it and its last value. */
function closed(open: string, value: Buffer): Buffer {
  const start = Buffer.byteLength(open);
  const out = Buffer.allocUnsafe(start + value.length + 1);
  out.write(open);
  value.copy(out, start);
  out[out.length - 1] = CLOSE_OBJECT;
  return out;
}

/**
 * Line breaks become blanks, so that a message is one line on stdio and one `data:` line in an event stream. Between tokens they mean
 * nothing. Inside strings JSON allows none, but parts of an upstream's answer that nobody reads are not validated: blanks there, too.
 */
export function oneLine(message: Buffer): Buffer {
  if (!message.includes(0x0a) && !message.includes(0x0d)) return message;
  const copy = Buffer.from(message);
  for (let at = 0; at < copy.length; at++) if (copy[at] === 0x0a || copy[at] === 0x0d) copy[at] = 0x20;
  return copy;
}

/** As `oneLine`, as text with a character for each byte. */
export function lineOf(message: Buffer): string {
  const text = message.toString('latin1');
  return text.includes('\n') || text.includes('\r') ? text.replace(/[\r\n]/g, ' ') : text;
}
