import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Caller } from '../core/caller.ts';
import { TurnpikeError } from '../core/errors.ts';
import { joinArray } from '../core/json.ts';
import type { Answer, RequestId } from '../core/mcp.ts';
import type { Flow } from '../core/ports.ts';
import { toErrorAnswer } from '../core/to-wire.ts';
import { sendJson } from './answer.ts';
import { type Message, MessageError } from './classify.ts';
import type { Edge } from './edge.ts';
import { encodeAnswer, encodePieces } from './encode.ts';
import { foreignHeaders } from './foreign-headers.ts';
import { HttpError } from './modern.ts';
import { noteRefusal } from './refusals.ts';
import type { EventStream } from './replay.ts';
import type { Session } from './session.ts';
import { answerInSession, initialized, isSessionVersion, notedInSession, readInitialize, responseOf } from './session-requests.ts';
import { SseWriter } from './sse-writer.ts';

type Request = Extract<Message, { kind: 'request' }>;

interface Asker {
  readonly caller: Caller;
  readonly session: Session;
  /** The session is one that requests without any share: they know nothing of each other. */
  readonly shared: boolean;
}

/** One message, or a batch of a 2025-03-26 session, of the session era. `session` is the caller's own, or absent. */
export async function serveLegacyPost(
  edge: Edge,
  request: IncomingMessage,
  response: ServerResponse,
  caller: Caller,
  session: Session | undefined,
  input: { readonly messages: readonly Message[]; readonly batch: boolean },
): Promise<void> {
  const [first] = input.messages;
  if (first === undefined) throw new MessageError(undefined, 'request/invalid', 'Invalid Request: the batch is empty');
  if (!input.batch && first.kind === 'request' && first.method === 'initialize') return open(edge, request, response, caller, first);
  const implicit = session === undefined ? edge.door.sessionFor(caller, input.messages) : undefined;
  const own = requireSession(request, session ?? implicit, first);
  if (implicit !== undefined) {
    response.setHeader('mcp-session-id', implicit.id);
    edge.door.entered(implicit, request);
  }
  const shared = implicit !== undefined;
  if (input.batch) return serveBatch(edge, request, response, { caller, session: own, shared }, input.messages);
  if (first.kind === 'request') return serveRequest(edge, request, response, { caller, session: own, shared }, first);
  await take(edge, own, first);
  edge.headers.sendTaken(request, response);
}

function open(edge: Edge, request: IncomingMessage, response: ServerResponse, caller: Caller, message: Request): void {
  const { version, capabilities, clientInfo } = readInitialize(message);
  const session = edge.sessions.create(clientInfo === undefined ? caller : { ...caller, clientInfo }, version, capabilities);
  const result = initialized(edge.services, session);
  edge.door.entered(session, request);
  edge.services.instruments.request('legacy', 'initialize');
  edge.headers.set(request, response);
  sendJson(response, 200, encodeAnswer(message.id, { kind: 'result', result }), { 'mcp-session-id': session.id });
}

function requireSession(request: IncomingMessage, session: Session | undefined, message?: Message): Session {
  const id = message !== undefined && message.kind !== 'notification' ? message.id : undefined;
  if (session === undefined) throw new MessageError(id, 'session/required', 'Mcp-Session-Id header is required');
  const header = request.headers['mcp-protocol-version'];
  if (!isSessionVersion(typeof header === 'string' ? header.trim() : undefined)) {
    throw new MessageError(id, 'session/version', `Unsupported protocol version: ${String(header)}`);
  }
  return session;
}

async function take(edge: Edge, session: Session, message: Exclude<Message, Request>): Promise<void> {
  if (message.kind === 'notification') return notedInSession(edge.services, session, message);
  session.answered(message.id, responseOf(message));
}

/** JSON until the first notification or question for the request, then an event stream that can be resumed; a lost connection is no cancel. */
async function serveRequest(edge: Edge, request: IncomingMessage, response: ServerResponse, by: Asker, message: Request): Promise<void> {
  edge.work.begin();
  const door = new SessionDoor(edge, request, response, by.session);
  const streaming = edge.settings.listen.streaming && !by.shared && edge.guard.mayStream(request);
  const outlet = streaming ? (bytes: Buffer) => door.write(bytes) : undefined;
  try {
    const answer = await answerOf(edge, by, message, request, outlet, door);
    edge.services.instruments.request('legacy', message.method, answer.kind === 'error' ? answer.code : undefined);
    door.answer(message.id, answer);
  } finally {
    edge.work.end();
  }
}

/** What one request of a session and its answer need of HTTP: the choice between one body and a stream that can be resumed. */
class SessionDoor implements Flow {
  readonly #edge: Edge;
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #session: Session;
  #stream: EventStream | undefined;

  constructor(edge: Edge, request: IncomingMessage, response: ServerResponse, session: Session) {
    this.#edge = edge;
    this.#request = request;
    this.#response = response;
    this.#session = session;
  }

  get full(): boolean {
    return this.#stream?.writer?.full === true;
  }

  whenFree(then: () => void): void {
    const writer = this.#stream?.writer;
    if (writer === undefined) then();
    else writer.whenFree(then);
  }

  write(bytes: Buffer): void {
    this.#stream ??= this.#begin();
    this.#session.replay.send(this.#stream, bytes);
  }

  answer(id: RequestId, answer: Answer): void {
    if (this.#stream === undefined) this.#edge.headers.sendJson(this.#request, this.#response, 200, encodePieces(id, answer));
    else this.#session.replay.answer(this.#stream, id, answer);
  }

  #begin(): EventStream {
    const { replay } = this.#session;
    const made = replay.create();
    if (this.#response.destroyed) replay.dropped(made);
    else {
      const { headers, keepAlive } = this.#edge;
      replay.attach(made, new SseWriter(this.#response, keepAlive, headers.ofEvents(this.#request, this.#response)));
      this.#response.on('close', () => made.writer === undefined || made.writer.open || replay.dropped(made));
    }
    return made;
  }
}

async function answerOf(
  edge: Edge,
  { session, caller, shared }: Asker,
  message: Request,
  request: IncomingMessage,
  outlet: ((bytes: Buffer) => void) | undefined,
  flow?: Flow,
): Promise<Answer> {
  try {
    return await answerInSession(edge.services, {
      session,
      message,
      caller,
      shared,
      outlet,
      ...(flow === undefined ? {} : { flow }),
      headers: foreignHeaders(request),
      stopped: edge.stopped,
      report: edge.report,
    });
  } catch (error) {
    if (error instanceof TurnpikeError && error.code === 'auth/scope') throw new HttpError(message.id, error);
    throw error;
  }
}

async function serveBatch(edge: Edge, request: IncomingMessage, response: ServerResponse, by: Asker, messages: readonly Message[]): Promise<void> {
  const { session } = by;
  if (session.version !== '2025-03-26') throw new MessageError(undefined, 'request/invalid', `Invalid Request: ${session.version} knows no batches`);
  const leave = edge.work.enter();
  try {
    const answers = await Promise.all(
      messages.map(async (message) => {
        if (message.kind !== 'request') {
          await take(edge, session, message);
          return [];
        }
        if (message.method === 'initialize')
          return [
            encodeAnswer(
              message.id,
              toErrorAnswer(new TurnpikeError('request/invalid', 'Invalid Request: initialize must not be in a batch'), 'legacy'),
            ),
          ];
        // An id that stands twice or a scope that is missing spoils its own answer, not those of the others, which may have run.
        const answer = await answerOf(edge, by, message, request, undefined).catch((error: unknown) => {
          if (error instanceof MessageError) return toErrorAnswer(error, 'legacy');
          if (!(error instanceof HttpError)) throw error;
          noteRefusal(edge, request, error.error);
          return toErrorAnswer(error.error, 'legacy');
        });
        return [encodeAnswer(message.id, answer)];
      }),
    );
    edge.headers.set(request, response);
    if (answers.flat().length === 0) response.writeHead(202).end();
    else sendJson(response, 200, joinArray(answers.flat()));
  } finally {
    leave();
  }
}

/** GET: the session's standing stream, or the resumption of any of its streams by `Last-Event-ID`. */
export function serveLegacyGet(edge: Edge, request: IncomingMessage, response: ServerResponse, session: Session | undefined): void {
  if (!edge.settings.listen.streaming || session === undefined) {
    response.setHeader('allow', 'POST, DELETE');
    throw new TurnpikeError('guard/method', 'Method Not Allowed');
  }
  if (!edge.guard.accepted(request).events) throw new TurnpikeError('guard/accept', 'Accept must name text/event-stream');
  const own = requireSession(request, session);
  const { 'last-event-id': last } = request.headers;
  const found = typeof last === 'string' ? own.replay.find(last) : undefined;
  if (found !== undefined) {
    const writer = new SseWriter(response, edge.keepAlive);
    watchClose(own, response, found.stream, writer);
    own.replay.resume(found.stream, writer, found.missed);
    return;
  }
  if (own.standing?.writer?.open) {
    if (last === undefined) throw new TurnpikeError('session/stream', 'The session has an open GET stream already');
    // An id of another session, or one that is too old: there is nothing to replay, and the standing stream has its place.
    new SseWriter(response, edge.keepAlive).end();
    return;
  }
  own.standing ??= own.replay.create();
  const writer = new SseWriter(response, edge.keepAlive);
  watchClose(own, response, own.standing, writer);
  own.replay.attach(own.standing, writer);
}

function watchClose(session: Session, response: ServerResponse, stream: EventStream, writer: SseWriter): void {
  response.once('close', () => {
    session.used();
    if (stream.writer === writer) session.replay.dropped(stream);
  });
}

/** DELETE: the session ends, with its streams and its upstream connections. */
export function serveLegacyDelete(edge: Edge, request: IncomingMessage, response: ServerResponse, session: Session | undefined): void {
  edge.sessions.end(requireSession(request, session));
  response.writeHead(204).end();
}
