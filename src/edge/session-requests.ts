import type { Caller } from '../core/caller.ts';
import { asTurnpikeError, ERRORS, TurnpikeError } from '../core/errors.ts';
import type { Exchange } from '../core/exchange.ts';
import { type MemberSpan, toJson } from '../core/json.ts';
import { LinkedAbort } from '../core/linked-abort.ts';
import {
  type Answer,
  ASSUMED_LEGACY_VERSION,
  isJsonObject,
  isLogLevel,
  isRequestId,
  type JsonObject,
  LATEST_LEGACY_VERSION,
  LEGACY_VERSIONS,
  type RequestId,
} from '../core/mcp.ts';
import type { Flow } from '../core/ports.ts';
import { toAnswer } from '../core/to-wire.ts';
import { dispatch } from '../router/dispatch.ts';
import { initializeResult } from '../router/lifecycle.ts';
import { resolveUri } from '../router/resources.ts';
import type { Services } from '../router/services.ts';
import { Subscriber } from '../router/subscriber.ts';
import { ViewWatch } from '../router/view-watch.ts';
import { profileOf } from '../upstream/profile.ts';
import { type Message, MessageError } from './classify.ts';
import { encodeNotification } from './encode.ts';
import type { Agreement, Outlet, Session } from './session.ts';

type Request = Extract<Message, { kind: 'request' }>;

/** What one request of a session may use besides the session. */
export interface SessionRequest {
  readonly session: Session;
  readonly message: Request;
  readonly caller: Caller;
  /** As `begin` of the session takes it. */
  readonly shared?: boolean;
  /** Where notifications and questions of this request go; absent when its connection takes JSON only. */
  readonly outlet?: Outlet | undefined;
  /** Whether the client reads what goes there. */
  readonly flow?: Flow;
  readonly headers?: Exchange['headers'];
  readonly stopped: AbortSignal;
  readonly report: (error: unknown) => void;
}

/** What a client declares is kept while its session lives; nobody needs more for it, in bytes. */
const MAX_INITIALIZE_BYTES = 64 * 1024;

/**
 * What `initialize` agrees on: the asked revision if it is ours, else the newest. Throws `request/params`.
 * @param also a revision that is served at this door besides
 */
export function readInitialize(message: Request, also?: string): Agreement {
  const { protocolVersion, capabilities, clientInfo } = message.body;
  if (message.params.length > MAX_INITIALIZE_BYTES)
    throw new MessageError(message.id, 'request/params', `params of initialize are larger than ${MAX_INITIALIZE_BYTES} bytes`);
  if (typeof protocolVersion !== 'string') throw new MessageError(message.id, 'request/params', 'params.protocolVersion must be a string');
  if (capabilities !== undefined && !isJsonObject(capabilities))
    throw new MessageError(message.id, 'request/params', 'params.capabilities must be an object');
  const known = protocolVersion === also || (LEGACY_VERSIONS as readonly string[]).includes(protocolVersion);
  const named = isJsonObject(clientInfo) && typeof clientInfo.name === 'string' && typeof clientInfo.version === 'string';
  return {
    version: known ? protocolVersion : LATEST_LEGACY_VERSION,
    capabilities: capabilities ?? {},
    ...(named ? { clientInfo: { name: String(clientInfo.name), version: String(clientInfo.version) } } : {}),
  };
}

/** What a client answered to something that it was asked. */
export function responseOf({ result, error }: Extract<Message, { kind: 'response' }>): Answer {
  if (result !== undefined) return { kind: 'result', result };
  const bytes = error ?? toJson({});
  return { kind: 'error', error: bytes, code: Number((JSON.parse(bytes.toString('utf8')) as { code?: unknown }).code ?? 0) };
}

/** The answer to `initialize`, and the watch that tells the session of changes. */
export function initialized(services: Services, session: Session): Buffer {
  const watch = new ViewWatch({
    clock: services.clock,
    view: () => services.catalog.viewFor(session.caller),
    source: (listener) => services.catalog.onChange(listener),
    onChange: (kind) => session.tell(`notifications/${kind}/list_changed`, toJson({})),
  });
  session.ended.addEventListener('abort', () => watch[Symbol.dispose](), { once: true });
  return initializeResult(services, session.caller, session.version);
}

/** One request of a session → its answer. Errors of handlers are answers; `auth/scope` is thrown, it has a status. */
export async function answerInSession(services: Services, request: SessionRequest): Promise<Answer> {
  const { session, message, stopped } = request;
  using life = new LinkedAbort(stopped);
  const place = session.begin(message.id, life, request.shared);
  const exchange = new SessionExchange(request, life.signal);
  try {
    return await answer(services, session, exchange);
  } catch (error) {
    const { code } = asTurnpikeError(error);
    if (code === 'auth/scope') throw error;
    if (code === 'internal' || ERRORS[code].http >= 500) request.report(error);
    return toAnswer(error, 'legacy', message.method);
  } finally {
    exchange.end();
    session.finish(place);
  }
}

/** One request of a session. Its body is parsed when somebody asks for it. */
class SessionExchange implements Exchange {
  readonly era = 'legacy';
  readonly version: string;
  readonly id: RequestId;
  readonly method: string;
  readonly params: Buffer;
  readonly spans: readonly MemberSpan[] | undefined;
  readonly caller: Caller;
  readonly signal: AbortSignal;
  readonly capabilities: JsonObject;
  readonly owner: Session;
  readonly logLevel: Exchange['logLevel'];
  readonly progressToken: Exchange['progressToken'];
  readonly headers: Exchange['headers'];
  readonly flow: Flow | undefined;
  /** Absent on a connection that takes JSON only. */
  readonly ask?: NonNullable<Exchange['ask']>;
  readonly #message: Request;
  readonly #outlet: Outlet | undefined;
  #done = false;

  constructor({ session, message, caller, outlet, flow, headers }: SessionRequest, signal: AbortSignal) {
    const { principal, tenant, scopes, credential, clientInfo } = caller;
    this.#message = message;
    this.#outlet = outlet;
    this.version = session.version;
    this.id = message.id;
    this.method = message.method;
    this.params = message.params;
    this.spans = message.spans;
    this.caller = {
      ...{ principal, tenant, scopes, sessionId: session.id },
      ...(credential === undefined ? {} : { credential }),
      ...(clientInfo === undefined ? {} : { clientInfo }),
    };
    this.signal = signal;
    this.capabilities = session.capabilities;
    this.owner = session;
    this.logLevel = session.logLevel;
    this.progressToken = tokenIn(message.progressToken);
    this.headers = headers;
    this.flow = flow;
    if (outlet !== undefined) this.ask = (method, params, until) => this.#ask(outlet, method, params, until);
  }

  get body(): JsonObject {
    return this.#message.body;
  }

  notify(method: string, params: Buffer): void {
    if (!this.#done && !this.signal.aborted) this.#outlet?.(encodeNotification(method, params));
  }

  /** After the answer nothing leaves any more. */
  end(): void {
    this.#done = true;
  }

  async #ask(outlet: Outlet, method: string, params: Buffer, until: AbortSignal): Promise<Answer> {
    using both = new LinkedAbort(until, this.signal);
    return await this.owner.ask(outlet, method, params, both.signal);
  }
}

/** The token under which the client wants progress, if it is one. */
function tokenIn(token: unknown): string | number | undefined {
  return typeof token === 'string' || typeof token === 'number' ? token : undefined;
}

function answer(services: Services, session: Session, exchange: Exchange): Promise<Answer> {
  switch (exchange.method) {
    case 'logging/setLevel':
      return setLevel(session, exchange);
    case 'resources/subscribe':
    case 'resources/unsubscribe':
      return subscribe(services, session, exchange);
    default:
      return dispatch(services, exchange);
  }
}

async function setLevel(session: Session, { body }: Exchange): Promise<Answer> {
  if (!isLogLevel(body.level)) throw new TurnpikeError('request/params', 'params.level must be one of the log levels');
  session.logLevel = body.level;
  return { kind: 'result', result: toJson({}) };
}

async function subscribe(services: Services, session: Session, exchange: Exchange): Promise<Answer> {
  const { uri } = exchange.body;
  if (typeof uri !== 'string') throw new TurnpikeError('request/params', 'params.uri must be a string');
  const { upstream, original } = resolveUri(services, exchange, uri);
  if (session.subscriber === undefined) {
    const profile = profileOf(session.capabilities, services.settings.bridge.interactive);
    session.subscriber = new Subscriber({
      services,
      caller: session.caller,
      profile,
      signal: session.ended,
      owner: session,
      notify: (method, params) => session.tell(method, params),
    });
  }
  if (exchange.method === 'resources/subscribe') await session.subscriber.watchResource(upstream, original, uri);
  else await session.subscriber.unwatchResource(upstream, original);
  return { kind: 'result', result: toJson({}) };
}

/** A notification of the client. */
export async function notedInSession(services: Services, session: Session, message: Extract<Message, { kind: 'notification' }>): Promise<void> {
  if (message.method === 'notifications/cancelled' && isRequestId(message.body.requestId)) session.cancel(message.body.requestId as RequestId);
  if (message.method === 'notifications/roots/list_changed') await services.connections.notifySession(session.id, message.method, message.params);
}

/** Whether a version header is one a session may carry. Absent: the session's own. */
export function isSessionVersion(header: string | undefined): boolean {
  return header === undefined || (LEGACY_VERSIONS as readonly string[]).includes(header) || header === ASSUMED_LEGACY_VERSION;
}
