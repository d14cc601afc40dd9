import { asTurnpikeError, TurnpikeError } from '../core/errors.ts';
import type { Exchange } from '../core/exchange.ts';
import { type Edits, type MemberSpan, toJson } from '../core/json.ts';
import type { Answer, Era, JsonObject } from '../core/mcp.ts';
import type { ConnectionLease, ConnectionOwner, UpstreamCall } from '../core/ports.ts';
import type { Profile } from '../upstream/profile.ts';
import type { CallLife } from './call-life.ts';
import { invalidState } from './carried-state.ts';
import { ownerThrough } from './outside.ts';
import type { CallRelay } from './relay.ts';
import type { Services } from './services.ts';
import { type CreatedTask, createdTask, type TaskSupport } from './tasks/task-shapes.ts';
import { type TaskWish, taskWish } from './tasks/task-wish.ts';
import { narrowedCaller } from './view-of.ts';

/** A request that goes to one upstream. */
export interface UpstreamRequest {
  readonly upstream: string;
  /** The upstream's own name, URI or task id: for `Mcp-Name` and the request state. */
  readonly original: string;
  readonly method: string;
  /** The client's params; let go when the upstream asks something, for then it has read them. */
  params: Buffer;
  /** Where their members lie, if that is known. */
  readonly spans?: readonly MemberSpan[] | undefined;
  /** What is still to be changed in them. */
  readonly edits?: Edits | undefined;
  /** Whether a request whose outcome is unknown may be sent again (trusted `readOnlyHint` or `idempotentHint`). */
  readonly repeatable: boolean;
  /** `mcp-param-*` headers computed from the body with the upstream's schema. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly wrapped?: boolean;
  /** Whether a session upstream's tool can run as a task. */
  readonly taskSupport?: TaskSupport | undefined;
}

/** One call on its way to an upstream: who made it, what it is, how long it may take. */
export interface Call {
  readonly services: Services;
  /** The request that began it; a parked call is continued by others of the same caller. */
  readonly exchange: Exchange;
  readonly request: UpstreamRequest;
  readonly life: CallLife;
  readonly relay: CallRelay;
  /** What the client declared and the configuration allows. */
  readonly profile: Profile;
  /** Whether questions name their asker. */
  readonly label: boolean;
  /** The era that its upstream must speak: one who cannot be asked meanwhile must not be asked. */
  readonly assumed: Era | undefined;
  /** As `UpstreamSettings.waits`. */
  readonly waits: boolean;
}

/** What a round of questions brought: goes to modern upstreams only. */
export interface RoundInput {
  /** The bytes of `inputResponses`. */
  readonly responses?: Buffer;
  /** The upstream's own `requestState`. */
  readonly state?: string;
  /** Declares tasks for a client that knows none. */
  readonly tasks?: true;
}

/** A task that a session upstream made of a call. Whoever takes it ends the wish and the lease. */
export interface KeptTask extends CreatedTask {
  readonly lease: ConnectionLease;
  readonly wish: TaskWish;
}

/** What an upstream answered, and in which era it spoke. */
export interface Answered {
  readonly answer: Answer;
  readonly era: Era;
  readonly created?: KeptTask;
  /** The answer is a task that we host. */
  readonly hosted?: boolean;
}

/** A session upstream was told at its handshake. */
const NONE: JsonObject = {};

/** A connection that turned serial sends calls on to a sibling; as often as it has siblings, twice. */
const MAX_MOVES = 8;

/**
 * Lease and request; once more where that is certain not to run twice (security class 27): the request was certainly not
 * sent, or the call is repeatable and nothing of it has reached the client. Throws `upstream/*`, or why the call was to end.
 */
export async function send(call: Call, input: RoundInput): Promise<Answered> {
  const { services, exchange, request, life, relay, profile } = call;
  const { upstream } = request;
  let moves = 0;
  let repeated = false;
  for (;;) {
    let lease: ConnectionLease | undefined;
    let outcome: 'ok' | 'transport-error' = 'ok';
    let wish: TaskWish | undefined;
    let kept = false;
    try {
      const given = services.connections.lease(upstream, exchange.caller, profile, life.signal, ownerOf(call));
      lease = given instanceof Promise ? await given : given;
      const { connection } = lease;
      if (call.assumed !== undefined && connection.era !== call.assumed) throw new EraChanged();
      // What we ask about a task of the call is no call of the client.
      if (request.method === exchange.method) services.instruments.bridgeCalls(exchange.era, connection.era).add();
      wish = taskWish(services, exchange, request, connection);
      if (exchange.logLevel !== undefined) await services.levels.tell(connection, exchange.logLevel, life.signal);
      const sent = sentTo(connection.era, call, input, wish);
      relay.sending(connection, sent, request);
      const answer = await connection.request(sent);
      const created = wish === undefined ? undefined : createdTask(answer, upstream, services.clock);
      if (wish === undefined || created === undefined) return { answer, era: connection.era };
      kept = true;
      return { answer, era: connection.era, created: { ...created, lease, wish } };
    } catch (error) {
      if (error instanceof EraChanged) throw error;
      outcome = outcomeOf(error, life);
      const failure = asTurnpikeError(forCaller(error, life, lease, upstream));
      if (life.signal.aborted) throw failure;
      if (failure.code === 'upstream/busy' && moves < MAX_MOVES) moves++;
      else if (repeated || !mayRepeat(failure, call)) throw failure;
      else repeated = true;
    } finally {
      if (!kept) {
        wish?.end();
        lease?.release(outcome);
      }
    }
  }
}

function ownerOf({ services, exchange, request: { upstream }, label, profile }: Call): ConnectionOwner | undefined {
  return exchange.owner && ownerThrough(exchange.owner, { services, caller: exchange.caller, upstream, label, profile });
}

/** The call as it goes to an upstream of an era. */
function sentTo(era: Era, call: Call, input: RoundInput, wish: TaskWish | undefined): UpstreamCall & { params: Buffer } {
  const { services, exchange, request, life, relay } = call;
  return {
    method: request.method,
    params: request.params,
    spans: request.spans,
    meta: request.params === exchange.params && exchange.meta !== undefined && Object.isFrozen(exchange.meta) ? exchange.meta : undefined,
    edits: editsFor(era, request, input, wish),
    capabilities: era === 'legacy' ? NONE : services.offers.toModern(exchange, services.settings.bridge.interactive, input.tasks),
    // A session upstream's call may be continued by a request that wants progress, although this one does not.
    progress: call.waits || exchange.progressToken !== undefined || exchange.era === 'legacy' || era === 'legacy',
    headers: era === 'legacy' ? undefined : request.headers,
    relay,
    signal: life.signal,
    caller: narrowedCaller(exchange),
    lasting: wish?.over,
    logLevel: exchange.logLevel,
  };
}

/** The connection speaks another era than the call was begun for. Nothing was sent. */
export class EraChanged extends Error {}

function editsFor(era: Era, request: UpstreamRequest, { responses, state }: RoundInput, wish: TaskWish | undefined): Edits | undefined {
  // A state of an upstream that meanwhile speaks another era: nobody is left who could read it.
  if (era === 'legacy' && state !== undefined) throw invalidState();
  if (responses === undefined && state === undefined && wish === undefined && request.spans !== undefined && !hasOwnMember(request.spans))
    return request.edits;
  return {
    ...request.edits,
    // What the client sent is not meant for this hop.
    task: wish?.task,
    inputResponses: era === 'legacy' ? undefined : responses,
    requestState: state === undefined ? undefined : toJson(state),
  };
}

/** Whether anything stands there that is set or removed for every hop. */
function hasOwnMember(spans: readonly MemberSpan[]): boolean {
  for (const { key } of spans) if (key === 'task' || key === 'inputResponses' || key === 'requestState') return true;
  return false;
}

/** Connection refused or lost, malformed frames, deadlines count against a connection; answers and cancels do not (aggregator.md section 6). */
export function outcomeOf(error: unknown, { signal }: CallLife): 'ok' | 'transport-error' {
  const { code } = asTurnpikeError(signal.aborted ? signal.reason : error);
  return code === 'upstream/lost' || code === 'upstream/timeout' || code === 'upstream/down' || code === 'upstream/protocol'
    ? 'transport-error'
    : 'ok';
}

/** Why the call was to end, else why the connection ended, else the error itself. */
export function forCaller(error: unknown, life: CallLife, lease: ConnectionLease | undefined, upstream: string): unknown {
  if (life.signal.aborted) return endOf(life, upstream);
  if (lease?.ended.aborted && !(error instanceof TurnpikeError)) {
    return new TurnpikeError('upstream/lost', `upstream '${upstream}' closed the connection after the request was sent; the outcome is unknown`, {
      upstream,
    });
  }
  return error;
}

/** The time was over, the client cancelled, or we end: then the client must not believe that nothing happened. */
function endOf({ signal }: CallLife, upstream: string): TurnpikeError {
  const reason = asTurnpikeError(signal.reason);
  if (reason.code === 'upstream/timeout') return reason;
  if (reason.code !== 'gateway/draining') return new TurnpikeError('request/cancelled');
  return new TurnpikeError('upstream/lost', 'the gateway shut down before the answer came; the outcome is unknown', { upstream, retryable: false });
}

function mayRepeat({ code, details }: TurnpikeError, { request, relay }: Call): boolean {
  if (code === 'upstream/down' && details.retryable === true) return true;
  return code === 'upstream/lost' && request.repeatable && !relay.reached;
}
