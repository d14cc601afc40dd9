import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AuthContext } from '../auth/authenticator.ts';
import type { Credential } from '../auth/credential.ts';
import type { Identity } from '../auth/identity.ts';
import type { Caller } from '../core/caller.ts';
import { asTurnpikeError, ERRORS, TurnpikeError } from '../core/errors.ts';
import { MODERN_VERSION } from '../core/mcp.ts';
import { sendError } from './answer.ts';
import { readBody } from './body.ts';
import { eraOf, MessageError, parseMessages } from './classify.ts';
import type { Edge } from './edge.ts';
import { valuesOf } from './header-values.ts';
import { serveLegacyDelete, serveLegacyGet, serveLegacyPost } from './legacy.ts';
import { HttpError, serveModern } from './modern.ts';
import type { Ops } from './ops.ts';
import { noteRefusal } from './refusals.ts';
import type { Session } from './session.ts';
import { MESSAGE_PATH, openSseDoor, SSE_PATH, sessionOfMessage, takeMessages } from './sse-door.ts';
import { answerPreflight, COMMON } from './steps/response-headers.ts';

type Input = ReturnType<typeof parseMessages>;

const MCP = '/mcp';
/** Where MCP is spoken. */
export const DOORS: ReadonlySet<string> = new Set([MCP, SSE_PATH, MESSAGE_PATH]);
const DRAIN_RETRY_S = 5;

/** Answers one HTTP request; never rejects. The order of checks is protocol.md section 1. */
export async function serveHttp(edge: Edge, ops: Ops, request: IncomingMessage, response: ServerResponse): Promise<void> {
  // It waited for the end of its turn (`core/turn.ts`), and its client did not.
  if (response.destroyed) return;
  response.on('error', ignore);
  const place = edge.work.answering(response);
  response.on('close', () => {
    edge.work.answered(place);
    if (response.writableFinished) edge.services.instruments.response(response.statusCode);
  });
  try {
    const path = pathOf(request);
    // What is sent there mostly has one answer, which sets its headers itself.
    const isMessage = request.method === 'POST' && (path === MCP || path === MESSAGE_PATH);
    if (!isMessage) edge.headers.set(request, response);
    edge.guard.names(request);
    if (isMessage && path === MCP) return await servePost(edge, request, response);
    if (ops.serves(path)) return await ops.serve(path, request, response);
    if (!DOORS.has(path)) throw new TurnpikeError('guard/target', 'Not Found');
    if (request.method === 'OPTIONS' && request.headers.origin !== undefined) return answerPreflight(request, response);
    if (path === MCP) await serveSession(edge, request, response);
    else await serveOldTransport(edge, request, response, path);
  } catch (thrown) {
    answerThrown(edge, request, response, thrown);
  }
}

/** POST /mcp: messages of both eras. */
async function servePost(edge: Edge, request: IncomingMessage, response: ServerResponse): Promise<void> {
  edge.guard.shape(request);
  const credential = extract(edge, request);
  const named = sessionOf(edge, request);
  const known = identify(edge, request, credential, named);
  const identity = known instanceof Promise ? await known : known;
  const caller = callerOf(identity);
  const session = named && ownSession(edge, request, named, caller);
  const admitted = edge.admission.admitPrincipal(identity.principal);
  if (admitted !== undefined) await admitted;
  const body = readBody(request, edge.settings.listen.maxBodyBytes);
  const input = messagesIn(edge, body instanceof Promise ? await body : body);
  const charged = edge.door.charge(identity.principal, input.messages, response);
  if (charged !== undefined) await charged;
  const version = header(request, 'mcp-protocol-version')?.trim();
  const [message] = input.messages;
  const eras = input.messages.map((one) => eraOf(one, version));
  if (!eras.includes('modern')) return await serveLegacyPost(edge, request, response, caller, session, input);
  if (input.batch || message === undefined)
    throw new MessageError(undefined, 'request/invalid', `Invalid Request: ${MODERN_VERSION} knows no batches`);
  if (message.kind === 'response') throw new MessageError(message.id, 'request/invalid', `Invalid Request: ${MODERN_VERSION} servers ask nothing`);
  if (message.kind === 'request') return await serveModern(edge, request, response, caller, message);
  edge.headers.sendTaken(request, response);
}

/** What else there is at /mcp: the streams and the end of sessions. */
async function serveSession(edge: Edge, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { method } = request;
  if (method !== 'GET' && method !== 'DELETE') {
    response.setHeader('allow', 'GET, POST, DELETE');
    throw new TurnpikeError('guard/method', 'Method Not Allowed');
  }
  const credential = extract(edge, request);
  const named = sessionOf(edge, request);
  const identity = await identify(edge, request, credential, named);
  const caller = callerOf(identity);
  const session = named && ownSession(edge, request, named, caller);
  await edge.admission.admitPrincipal(identity.principal);
  if (method === 'DELETE') return serveLegacyDelete(edge, request, response, session);
  refuseNewWork(edge);
  return serveLegacyGet(edge, request, response, session);
}

/** GET /sse and POST /message, the transport of 2024-11-05: the checks are those of /mcp, the session stands in the query. */
async function serveOldTransport(edge: Edge, request: IncomingMessage, response: ServerResponse, path: string): Promise<void> {
  const wanted = path === SSE_PATH ? 'GET' : 'POST';
  if (request.method !== wanted) {
    response.setHeader('allow', wanted);
    throw new TurnpikeError('guard/method', 'Method Not Allowed');
  }
  if (wanted === 'POST') edge.guard.shape(request);
  const credential = extract(edge, request);
  const named = wanted === 'POST' ? sessionOfMessage(edge, request) : undefined;
  const known = identify(edge, request, credential, named);
  const identity = known instanceof Promise ? await known : known;
  const caller = callerOf(identity);
  const session = named && ownSession(edge, request, named, caller);
  const admitted = edge.admission.admitPrincipal(identity.principal);
  if (admitted !== undefined) await admitted;
  if (session === undefined) {
    refuseNewWork(edge);
    return openSseDoor(edge, request, response, caller);
  }
  const body = readBody(request, edge.settings.listen.maxBodyBytes);
  const input = messagesIn(edge, body instanceof Promise ? await body : body);
  const charged = edge.door.charge(identity.principal, input.messages, response);
  if (charged !== undefined) await charged;
  takeMessages(edge, request, response, session, caller, input);
}

/** The body as messages. What running calls wait for comes in while the gateway drains, too: answers of the client, and its cancels. */
function messagesIn(edge: Edge, body: Buffer): Input {
  const input = parseMessages(body, edge.metas);
  if (edge.work.draining.aborted && input.messages.some(({ kind }) => kind === 'request')) refuseNewWork(edge);
  return input;
}

/** While the gateway drains, work that was begun ends, and no new work begins. */
function refuseNewWork({ work, door }: Edge): void {
  if (work.draining.aborted) throw new TurnpikeError('gateway/draining', door.draining, { retryAfter: DRAIN_RETRY_S });
}

/** Check 3. */
function extract(edge: Edge, request: IncomingMessage): Credential | undefined {
  try {
    return edge.brought.of(request, edge.authentication);
  } catch (error) {
    noteRefusal(edge, request, error);
    throw error;
  }
}

/** Check 4: before anything is asked or counted. A modern request's session header is ignored. */
function sessionOf(edge: Edge, request: IncomingMessage): Session | undefined {
  if (request.headers['mcp-session-id'] === undefined) return undefined;
  const ids = valuesOf(request, 'mcp-session-id');
  if (ids === undefined || header(request, 'mcp-protocol-version')?.trim() === MODERN_VERSION) return undefined;
  const [id] = ids;
  if (ids.length !== 1 || id === undefined) throw new TurnpikeError('session/unknown', 'Session not found');
  const session = edge.sessions.find(id);
  if (session.oldTransport) throw new TurnpikeError('session/unknown', 'Session not found');
  return session;
}

/** Checks 5 and 6. At once for a credential that is known. */
function identify(
  edge: Edge,
  request: IncomingMessage,
  credential: Credential | undefined,
  named: Session | undefined,
): Identity | Promise<Identity> {
  const address = edge.proxies.addressOf(request);
  const instance = request.headers['x-gitlab-api-url'] === undefined ? undefined : valuesOf(request, 'x-gitlab-api-url');
  const context: AuthContext = { peer: request.socket.remoteAddress, address, instance, bound: named?.instance };
  const known = credential !== undefined && edge.knownGood.has(credential, context);
  const admitted = known || takesEverybody(edge) ? undefined : edge.admission.admitAddress(address);
  if (admitted !== undefined) return admitted.then(() => authenticate(edge, request, credential, context));
  return authenticate(edge, request, credential, context);
}

function authenticate(edge: Edge, request: IncomingMessage, credential: Credential | undefined, context: AuthContext): Identity | Promise<Identity> {
  const accepted = (identity: Identity) => {
    if (credential !== undefined) edge.knownGood.prove(credential);
    return identity;
  };
  const refused = (error: unknown): never => {
    if (credential !== undefined) edge.knownGood.forget(credential);
    noteRefusal(edge, request, error);
    throw error;
  };
  let identity: Identity | Promise<Identity>;
  try {
    identity = edge.authentication.authenticate(credential, context, edge.stopped);
  } catch (error) {
    return refused(error);
  }
  return identity instanceof Promise ? identity.then(accepted, refused) : accepted(identity);
}

/** Mode `none` alone: there is no credential that could be guessed, and principal `local` has no bucket. */
function takesEverybody({ authentication }: Edge): boolean {
  return authentication.modes.length === 1 && authentication.modes[0] === 'none';
}

function ownSession(edge: Edge, request: IncomingMessage, session: Session, caller: Caller): Session {
  try {
    const own = edge.sessions.own(session, caller);
    edge.door.entered(own, request);
    return own;
  } catch (error) {
    edge.services.instruments.sessionMismatches.add();
    throw error;
  }
}

function callerOf({ principal, tenant, scopes, credential }: Identity): Caller {
  return credential === undefined ? { principal, tenant, scopes } : { principal, tenant, scopes, credential };
}

function answerThrown(edge: Edge, request: IncomingMessage, response: ServerResponse, thrown: unknown): void {
  const inner = thrown instanceof HttpError ? thrown.error : thrown;
  const id = thrown instanceof HttpError || thrown instanceof MessageError ? thrown.id : undefined;
  const { code } = asTurnpikeError(inner);
  // Counted here because it is found out behind the dispatcher; other refusals are counted where they are made.
  if (code === 'auth/scope' && thrown instanceof HttpError) noteRefusal(edge, request, inner);
  edge.door.refused(code);
  if (code === 'internal' || (ERRORS[code].http >= 500 && code !== 'gateway/draining' && code !== 'session/full')) edge.report(inner);
  if (response.headersSent) {
    response.destroy();
    return;
  }
  if (!response.hasHeader(COMMON)) edge.headers.set(request, response);
  sendError(response, inner, edge.challenge, id);
  // An unread body would be read as the next request.
  if (!request.readableEnded) request.resume();
}

function pathOf(request: IncomingMessage): string {
  const url = request.url ?? '/';
  if (url === MCP) return MCP;
  const end = url.search(/[?#]/);
  return end === -1 ? url : url.slice(0, end);
}

function header(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value[0] : value;
}

function ignore(): void {}
