import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Caller } from '../core/caller.ts';
import { asTurnpikeError, ERRORS, TurnpikeError } from '../core/errors.ts';
import { CLIENT_GONE, type Exchange } from '../core/exchange.ts';
import { LinkedAbort } from '../core/linked-abort.ts';
import { type Answer, isJsonObject, isLogLevel, type JsonObject, META, MODERN_VERSION, NAMED_BY, RPC } from '../core/mcp.ts';
import { decodeHeaderValue } from '../core/mcp-headers.ts';
import { toAnswer } from '../core/to-wire.ts';
import { dispatch, isServed } from '../router/dispatch.ts';
import { listen } from '../router/listen.ts';
import { sendJson } from './answer.ts';
import { type Message, MessageError } from './classify.ts';
import type { Edge } from './edge.ts';
import { encodeAnswer, encodeNotification } from './encode.ts';
import { foreignHeaders } from './foreign-headers.ts';
import { SseWriter } from './sse-writer.ts';
import { acceptedBy } from './steps/guard.ts';

type Request = Extract<Message, { kind: 'request' }>;

const LISTEN = 'subscriptions/listen';

/** Errors whose HTTP status is not 200 although the dispatcher, or an upstream, made them. */
const STATUS: Readonly<Record<number, number>> = {
  [RPC.methodNotFound]: 404,
  [RPC.headerMismatch]: 400,
  [RPC.missingCapability]: 400,
  [RPC.unsupportedVersion]: 400,
};

/** What the envelope of a modern request says. */
export interface Envelope {
  readonly capabilities: JsonObject;
  readonly clientInfo?: { readonly name: string; readonly version: string };
  readonly logLevel?: Exchange['logLevel'];
  readonly progressToken?: Exchange['progressToken'];
}

/** One request of revision 2026-07-28 over HTTP: checks 11 to 15, then the dispatcher; JSON until something must stream. */
export async function serveModern(edge: Edge, request: IncomingMessage, response: ServerResponse, caller: Caller, message: Request): Promise<void> {
  const envelope = readEnvelope(message, request);
  checkHeaders(message, request);
  if (message.method !== LISTEN && !isServed(message.method, 'modern'))
    throw new MessageError(message.id, 'request/method', `Method not found: ${message.method}`);
  using life = new LinkedAbort(edge.stopped);
  const leave = edge.work.enter();
  const onClose = () => life.abort(new TurnpikeError('request/cancelled', CLIENT_GONE));
  response.once('close', onClose);
  const events = edge.settings.listen.streaming && acceptedBy(request).events;
  let stream: SseWriter | undefined;
  let done = false;
  const exchange: Exchange = {
    era: 'modern',
    version: MODERN_VERSION,
    id: message.id,
    method: message.method,
    params: message.params,
    body: message.body,
    caller: envelope.clientInfo === undefined ? caller : { ...caller, clientInfo: envelope.clientInfo },
    signal: life.signal,
    capabilities: envelope.capabilities,
    headers: foreignHeaders(request),
    ...(envelope.logLevel === undefined ? {} : { logLevel: envelope.logLevel }),
    ...(envelope.progressToken === undefined ? {} : { progressToken: envelope.progressToken }),
    notify(method, params) {
      if (!events || done || response.destroyed) return;
      stream ??= new SseWriter(response, edge.keepAlive);
      stream.message(encodeNotification(method, params));
    },
  };
  try {
    const answer = await answerOf(edge, exchange, events);
    done = true;
    edge.services.instruments.request('modern', message.method, answer.kind === 'error' ? answer.code : undefined);
    const bytes = encodeAnswer(message.id, answer);
    if (stream !== undefined) {
      stream.message(bytes);
      stream.end();
    } else {
      sendJson(response, answer.kind === 'error' ? (STATUS[answer.code] ?? 200) : 200, bytes);
    }
  } finally {
    done = true;
    response.removeListener('close', onClose);
    leave();
  }
}

async function answerOf(edge: Edge, exchange: Exchange, events: boolean): Promise<Answer> {
  try {
    if (exchange.method !== LISTEN) return await dispatch(edge.services, exchange);
    if (!events) throw new MessageError(exchange.id, 'guard/accept', 'subscriptions/listen needs Accept: text/event-stream');
    return await edge.listeners.run(exchange.caller, (over) => listen(edge.services, exchange, AbortSignal.any([edge.work.draining, over])));
  } catch (error) {
    const { code } = asTurnpikeError(error);
    // These are HTTP's business: status, challenge or Retry-After belong to them.
    if (code === 'auth/scope' || code === 'guard/accept') throw new HttpError(exchange.id, error);
    if (code === 'internal' || ERRORS[code].http >= 500) edge.report(error);
    return toAnswer(error, 'modern', exchange.method, edge.services.settings.serverInfo);
  }
}

/** An error of the dispatcher that is answered with its HTTP status. */
export class HttpError extends Error {
  readonly id: Exchange['id'];
  readonly error: unknown;

  constructor(id: Exchange['id'], error: unknown) {
    super('answered by HTTP status');
    this.id = id;
    this.error = error;
  }
}

/** Check 11: what every request carries, with its types; then 12 and 13, the version. `request` is absent on stdio. */
export function readEnvelope(message: Request, request?: IncomingMessage): Envelope {
  const { _meta: meta } = message.body;
  const wrong = (key: string, expected: string) => new MessageError(message.id, 'request/envelope', `params._meta["${key}"] must be ${expected}`);
  if (!isJsonObject(meta)) throw new MessageError(message.id, 'request/envelope', 'params._meta is missing');
  const version = meta[META.protocolVersion];
  const capabilities = meta[META.clientCapabilities];
  const info = meta[META.clientInfo];
  const level = meta[META.logLevel];
  const token = meta[META.progressToken];
  if (typeof version !== 'string') throw wrong(META.protocolVersion, 'a string');
  if (!isJsonObject(capabilities)) throw wrong(META.clientCapabilities, `an object${capabilities === undefined ? ', and is missing' : ''}`);
  if (info !== undefined && !(isJsonObject(info) && typeof info.name === 'string' && typeof info.version === 'string'))
    throw wrong(META.clientInfo, 'an object with name and version');
  if (level !== undefined && !isLogLevel(level)) throw wrong(META.logLevel, 'one of the log levels');
  if (token !== undefined && typeof token !== 'string' && !Number.isInteger(token)) throw wrong(META.progressToken, 'a string or an integer');
  const header = request?.headersDistinct['mcp-protocol-version'];
  if (header !== undefined && (header.length !== 1 || header[0]?.trim() !== version)) {
    throw new MessageError(message.id, 'request/header', 'MCP-Protocol-Version does not match the body');
  }
  if (version !== MODERN_VERSION) {
    throw new MessageError(message.id, 'request/version', `Unsupported protocol version: ${version}`, {
      data: { supported: [MODERN_VERSION], requested: version },
    });
  }
  return {
    capabilities,
    ...(info === undefined ? {} : { clientInfo: info as { name: string; version: string } }),
    ...(level === undefined ? {} : { logLevel: level }),
    ...(token === undefined ? {} : { progressToken: token as string | number }),
  };
}

/** Check 14: the three headers are there, in this order, once each, and say what the body says. */
function checkHeaders(message: Request, request: IncomingMessage): void {
  const wrong = (what: string) => new MessageError(message.id, 'request/header', what);
  const only = (name: string, title: string): string => {
    const values = request.headersDistinct[name];
    if (values === undefined) throw wrong(`${title} is missing`);
    if (values.length !== 1) throw wrong(`${title} is repeated`);
    return values[0]?.trim() ?? '';
  };
  only('mcp-protocol-version', 'MCP-Protocol-Version');
  const method = only('mcp-method', 'Mcp-Method');
  const member = Object.hasOwn(NAMED_BY, message.method) ? NAMED_BY[message.method] : undefined;
  const raw = member === undefined ? undefined : only('mcp-name', 'Mcp-Name');
  if (method !== message.method) throw wrong('Mcp-Method does not match the body');
  if (member === undefined || raw === undefined) return;
  const decoded = decodeHeaderValue(raw);
  if (!decoded.ok) throw wrong(`Mcp-Name ${decoded.error}`);
  const inBody = message.body[member];
  if (typeof inBody === 'string' && decoded.value !== inBody) throw wrong('Mcp-Name does not match the body');
}
