import { isUtf8 } from 'node:buffer';
import { isDeepStrictEqual } from 'node:util';
import { type ScannedIncoming, type ScannedRequest, scanIncoming, scanRequest } from '../../src/core/scan.ts';
import { type Message, parseMessages } from '../../src/edge/classify.ts';
import { type ReferenceSpan, referenceSpans } from './reference.ts';

/**
 * What a scanner says about bytes, beside what the full parser says. `refused`: the scanner left it to the parser, which is always
 * right to do. A disagreement throws.
 */
export type Verdict = 'accepted' | 'refused';

/** Scanner and parser read one message differently: a way around whatever is decided by it. */
export class Disagreement extends Error {
  readonly bytes: Buffer;

  constructor(what: string, bytes: Buffer) {
    super(`${what}: ${bytes.toString('hex')}`);
    this.bytes = bytes;
  }
}

/** Throws a `Disagreement` unless the parser of the front reads the very same request. */
export function judgeRequest(bytes: Buffer): Verdict {
  const scanned = scanRequest(bytes);
  if (scanned === undefined) return 'refused';
  const wrong = differsFromParser(bytes, scanned);
  if (wrong !== undefined) throw new Disagreement(`scanRequest: ${wrong}`, bytes);
  return 'accepted';
}

const BATCH = [Buffer.from('['), Buffer.from(']')] as const;

/** In a batch of one every message is read by the full parser, whatever is done for messages alone. */
function parsedMessage(bytes: Buffer): Message | undefined {
  const { messages } = parseMessages(Buffer.concat([BATCH[0], bytes, BATCH[1]]));
  if (messages.length !== 1) throw new RangeError('several messages');
  return messages[0];
}

function differsFromParser(bytes: Buffer, scanned: ScannedRequest): string | undefined {
  let message: Message | undefined;
  try {
    JSON.parse(bytes.toString());
    message = parsedMessage(bytes);
  } catch (error) {
    return `the parser refuses it: ${String(error)}`;
  }
  if (message?.kind !== 'request') return `it is a ${message?.kind}`;
  if (!Object.is(message.id, scanned.id)) return 'id';
  if (message.method !== scanned.method) return 'method';
  const envelope = referenceSpans(bytes);
  const params = bytesOf(bytes, envelope, 'params');
  if (!scanned.params.equals(message.params) || !scanned.params.equals(params ?? Buffer.from('{}'))) return 'params';
  const spans = referenceSpans(scanned.params);
  if (!isDeepStrictEqual(spans, scanned.spans)) return 'members of params';
  const meta = bytesOf(scanned.params, spans, '_meta');
  if (!isDeepStrictEqual(meta && referenceSpans(meta), scanned.meta)) return 'members of _meta';
  for (const level of [envelope, spans, scanned.meta ?? []]) {
    const twice = repeated(level);
    if (twice !== undefined) return `${twice} stands twice`;
  }
  const { name, uri } = message.body;
  for (const [key, value] of Object.entries({ name, uri })) {
    const raw = bytesOf(scanned.params, spans, key);
    if (typeof value === 'string' && raw?.toString() !== `"${value}"`) return `params.${key} has another spelling`;
  }
  return undefined;
}

/** Throws a `Disagreement` unless what was accepted is balanced and, if the parser accepts it too, is read alike. */
export function judgeIncoming(bytes: Buffer): Verdict {
  const scanned = scanIncoming(bytes);
  if (scanned === undefined) return 'refused';
  const wrong = differsFromMessage(bytes, scanned);
  if (wrong !== undefined) throw new Disagreement(`scanIncoming: ${wrong}`, bytes);
  return 'accepted';
}

function differsFromMessage(bytes: Buffer, scanned: ScannedIncoming): string | undefined {
  if (!isUtf8(bytes)) return 'not UTF-8';
  let envelope: ReferenceSpan[];
  let spans: ReferenceSpan[];
  const part = scanned.kind === 'result' ? 'result' : 'params';
  const own = scanned.kind === 'result' ? scanned.result : scanned.params;
  try {
    envelope = referenceSpans(bytes);
    spans = referenceSpans(own);
  } catch (error) {
    return String(error);
  }
  if (!own.equals(bytesOf(bytes, envelope, part) ?? Buffer.from('{}'))) return part;
  if (!isDeepStrictEqual(spans, scanned.spans)) return `members of ${part}`;
  const twice = repeated(envelope) ?? repeated(spans);
  if (twice !== undefined) return `${twice} stands twice`;
  let value: Record<string, unknown>;
  try {
    value = JSON.parse(bytes.toString()) as Record<string, unknown>;
  } catch {
    return undefined;
  }
  if (value.jsonrpc !== '2.0') return 'jsonrpc';
  if (Object.hasOwn(value, 'error')) return 'an error';
  if (scanned.kind === 'notification') {
    return value.method === scanned.method && !Object.hasOwn(value, 'id') && !Object.hasOwn(value, 'result') ? undefined : 'method';
  }
  return Object.is(value.id, scanned.id) && Number.isSafeInteger(value.id) && !Object.hasOwn(value, 'method') ? undefined : 'id';
}

function bytesOf(bytes: Buffer, spans: readonly ReferenceSpan[], key: string): Buffer | undefined {
  const span = spans.findLast((candidate) => candidate.key === key);
  return span && bytes.subarray(span.valueStart, span.end);
}

function repeated(spans: readonly ReferenceSpan[]): string | undefined {
  return spans.find(({ key }, index) => spans.findIndex((other) => other.key === key) !== index)?.key;
}
