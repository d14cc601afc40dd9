import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Caller } from '../core/caller.ts';
import { asTurnpikeError, TurnpikeError } from '../core/errors.ts';
import { joinArray } from '../core/json.ts';
import { MODERN_VERSION, OLDEST_VERSION } from '../core/mcp.ts';
import { toAnswer, toErrorAnswer } from '../core/to-wire.ts';
import { eraOf, type Message, MessageError } from './classify.ts';
import type { Edge } from './edge.ts';
import { encodeAnswer } from './encode.ts';
import { foreignHeaders } from './foreign-headers.ts';
import type { Session } from './session.ts';
import { answerInSession, initialized, notedInSession, readInitialize, responseOf } from './session-requests.ts';
import { SseWriter } from './sse-writer.ts';

type Request = Extract<Message, { kind: 'request' }>;
type ForeignHeaders = ReturnType<typeof foreignHeaders>;

/** The messages of one body. */
interface Input {
  readonly messages: readonly Message[];
  readonly batch: boolean;
}

export const SSE_PATH = '/sse';
export const MESSAGE_PATH = '/message';

/**
 * GET /sse, the transport of 2024-11-05: one stream carries everything of one session, and its first event says where the
 * client posts. The session is one like all others; it ends with its stream, which cannot be resumed.
 */
export function openSseDoor(edge: Edge, request: IncomingMessage, response: ServerResponse, caller: Caller): void {
  if (!edge.settings.listen.streaming) throw new TurnpikeError('guard/method', 'Method Not Allowed');
  if (!edge.guard.accepted(request).events) throw new TurnpikeError('guard/accept', 'Accept must name text/event-stream');
  const session = edge.sessions.create(caller, OLDEST_VERSION, {}, { oldTransport: true });
  const writer = new SseWriter(response, edge.keepAlive);
  session.outlet = (message) => writer.message(message);
  const end = () => {
    writer.end();
    edge.sessions.end(session);
  };
  session.ended.addEventListener('abort', end, { once: true });
  response.once('close', end);
  writer.endpoint(`${MESSAGE_PATH}?sessionId=${session.id}`);
}

/** The session that a POST to /message names. Throws `session/required`, `session/unknown`. */
export function sessionOfMessage(edge: Edge, request: IncomingMessage): Session {
  const ids = idsOf(request.url ?? '/');
  const [id] = ids;
  if (id === undefined) throw new TurnpikeError('session/required', 'The query parameter sessionId is required');
  const session = edge.sessions.find(id);
  if (ids.length !== 1 || !session.oldTransport) throw new TurnpikeError('session/unknown', 'Session not found');
  return session;
}

/** As we named the endpoint ourselves, or as a client wrote it. */
const OWN_QUERY = /^\/message\?sessionId=([\w-]+)$/;

function idsOf(url: string): readonly string[] {
  const own = OWN_QUERY.exec(url)?.[1];
  return own === undefined ? new URL(url, 'http://localhost').searchParams.getAll('sessionId') : [own];
}

/** POST /message: taken with 202, answered on the stream. `messages` are of one body; a batch is answered as one. */
export function takeMessages(edge: Edge, request: IncomingMessage, response: ServerResponse, session: Session, caller: Caller, input: Input): void {
  const modern = input.messages.find((message) => eraOf(message, undefined) === 'modern');
  if (modern !== undefined) {
    const id = modern.kind === 'request' ? modern.id : undefined;
    throw new MessageError(id, 'request/invalid', `Invalid Request: ${MODERN_VERSION} is served on /mcp`);
  }
  edge.headers.sendTaken(request, response);
  void answerAll(edge, session, caller, input, foreignHeaders(request));
}

/** Never rejects. */
async function answerAll(edge: Edge, session: Session, caller: Caller, { messages, batch }: Input, headers: ForeignHeaders): Promise<void> {
  const [first] = messages;
  edge.work.begin();
  try {
    if (!batch && first !== undefined) {
      const answer = await answerTo(edge, session, caller, first, headers);
      if (answer !== undefined) session.outlet?.(answer);
      return;
    }
    const answers = await Promise.all(messages.map((message) => answerTo(edge, session, caller, message, headers)));
    const bytes = answers.filter((answer) => answer !== undefined);
    if (bytes.length > 0) session.outlet?.(joinArray(bytes));
  } catch (error) {
    edge.report(error);
  } finally {
    edge.work.end();
  }
}

async function answerTo(edge: Edge, session: Session, caller: Caller, message: Message, headers: ForeignHeaders): Promise<Buffer | undefined> {
  const { services } = edge;
  if (message.kind === 'notification') {
    await notedInSession(services, session, message);
    return undefined;
  }
  if (message.kind === 'response') {
    session.answered(message.id, responseOf(message));
    return undefined;
  }
  try {
    if (message.method === 'initialize') return begin(edge, session, message);
    if (!session.agreed && message.method !== 'ping')
      throw new MessageError(message.id, 'request/invalid', 'Invalid Request: initialize comes first');
    const answer = await answerInSession(services, {
      session,
      message,
      caller,
      outlet: session.outlet,
      headers,
      stopped: edge.stopped,
      report: edge.report,
    }).catch((error: unknown) => toAnswer(error, 'legacy', message.method));
    services.instruments.request('legacy', message.method, answer.kind === 'error' ? answer.code : undefined);
    return encodeAnswer(message.id, answer);
  } catch (error) {
    if (asTurnpikeError(error).code === 'internal') edge.report(error);
    return encodeAnswer(message.id, toErrorAnswer(error, 'legacy'));
  }
}

function begin(edge: Edge, session: Session, message: Request): Buffer {
  if (session.agreed) throw new MessageError(message.id, 'request/invalid', 'Invalid Request: initialize was sent twice');
  session.agree(readInitialize(message, OLDEST_VERSION));
  edge.services.instruments.request('legacy', 'initialize');
  return encodeAnswer(message.id, { kind: 'result', result: initialized(edge.services, session) });
}
