import http from 'node:http';
import { isJsonObject, type JsonObject } from '../../../src/core/mcp.ts';

/** What an HTTP request was answered with. */
export interface Reply {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly text: string;
  /** JSON-RPC messages of the body, or of the events. */
  readonly messages: readonly JsonObject[];
}

export type Headers = Readonly<Record<string, string | readonly string[]>>;

const DEADLINE_MS = 30_000;

/** One complete exchange on a connection of its own. */
export async function send(url: string, method: string, headers: Headers = {}, body?: string | Buffer): Promise<Reply> {
  const stream = await open(url, method, headers, body);
  await stream.ended;
  return { status: stream.status, headers: stream.headers, text: stream.text, messages: stream.messages };
}

export function get(url: string, headers: Headers = {}): Promise<Reply> {
  return send(url, 'GET', headers);
}

/** An answer that is read while it comes. */
export interface Stream {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly text: string;
  readonly messages: JsonObject[];
  /** Resolves when the answer is complete or its connection lost; says which. */
  readonly ended: Promise<'complete' | 'lost'>;
  /** Waits until something holds; looked at with every piece of the answer. Throws after the deadline. */
  until(condition: (messages: readonly JsonObject[]) => boolean, deadlineMs?: number): Promise<void>;
  /** Hangs up. */
  close(): void;
}

/** Sends a request and resolves with the head of its answer. */
export function open(url: string, method: string, headers: Headers = {}, body?: string | Buffer): Promise<Stream> {
  return new Promise((resolve, reject) => {
    const request = http.request(url, { method, headers: headers as http.OutgoingHttpHeaders, agent: false });
    request.setTimeout(DEADLINE_MS, () => request.destroy(new Error(`${method} ${url}: no answer in ${DEADLINE_MS} ms`)));
    request.once('error', reject);
    request.once('response', (response) => resolve(read(request, response)));
    request.end(body);
  });
}

function read(request: http.ClientRequest, response: http.IncomingMessage): Stream {
  const { promise: ended, resolve: end } = Promise.withResolvers<'complete' | 'lost'>();
  const isStream = response.headers['content-type'] === 'text/event-stream';
  const waiting = new Set<() => void>();
  let text = '';
  let rest = '';
  let messages: JsonObject[] = [];
  const look = () => {
    for (const one of [...waiting]) one();
  };
  request.on('error', () => {});
  response.on('error', () => {});
  response.setEncoding('utf8');
  response.on('data', (piece: string) => {
    text += piece;
    if (isStream) {
      // Only what is new is parsed: streams of many megabytes come in many pieces.
      rest += piece;
      const end = lastBoundary(rest, rest.length - piece.length - 3);
      messages.push(...eventsOf(rest.slice(0, end)).flatMap(({ data }) => messagesOf(data)));
      rest = rest.slice(end);
    }
    look();
  });
  response.on('close', () => {
    if (!isStream) messages = messagesOf(text);
    end(response.complete ? 'complete' : 'lost');
    look();
  });
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    get text() {
      return text;
    },
    get messages() {
      return messages;
    },
    ended,
    until(condition, deadlineMs = 10_000) {
      return new Promise((resolve, reject) => {
        const over = (settle: () => void) => {
          clearTimeout(timer);
          waiting.delete(check);
          settle();
        };
        const timer = setTimeout(() => over(() => reject(new Error(`not within ${deadlineMs} ms; so far: ${text.slice(0, 2000)}`))), deadlineMs);
        const check = () => {
          if (condition(messages)) over(resolve);
        };
        waiting.add(check);
        check();
      });
    },
    close: () => request.destroy(),
  };
}

/** Where the last complete event ends, looked for from `from` on; 0 if none does. */
function lastBoundary(text: string, from: number): number {
  const start = Math.max(0, from);
  const tail = text.slice(start);
  const ends = ['\r\n\r\n', '\n\n', '\r\r'].map((mark) => (tail.includes(mark) ? start + tail.lastIndexOf(mark) + mark.length : 0));
  return Math.max(...ends);
}

export interface Event {
  readonly id?: string;
  readonly event?: string;
  readonly data: string;
}

/** The complete events of an event stream, by the rules of the HTML standard for the fields that matter here. */
export function eventsOf(text: string): Event[] {
  const blocks = text.split(/\r\n\r\n|\n\n|\r\r/).slice(0, -1);
  return blocks.flatMap((block) => {
    const fields: Record<string, string> = {};
    for (const line of block.split(/\r\n|\n|\r/)) {
      const [, name = '', value = ''] = /^([^:]*):? ?(.*)$/s.exec(line) ?? [];
      if (name !== '') fields[name] = name === 'data' && fields.data !== undefined ? `${fields.data}\n${value}` : value;
    }
    if (fields.data === undefined) return [];
    return [
      { data: fields.data, ...(fields.id === undefined ? {} : { id: fields.id }), ...(fields.event === undefined ? {} : { event: fields.event }) },
    ];
  });
}

function messagesOf(text: string): JsonObject[] {
  try {
    const value: unknown = JSON.parse(text);
    return (Array.isArray(value) ? value : [value]).filter(isJsonObject);
  } catch {
    return [];
  }
}
