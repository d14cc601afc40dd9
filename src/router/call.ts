import { asTurnpikeError, TurnpikeError } from '../core/errors.ts';
import type { Exchange } from '../core/exchange.ts';
import { editObject, toJson } from '../core/json.ts';
import { LinkedAbort } from '../core/linked-abort.ts';
import { type Answer, CARRIED_EXTENSIONS, isJsonObject, type JsonObject, LOG_LEVELS, type LogLevel } from '../core/mcp.ts';
import { encodeHeaderValue } from '../core/mcp-headers.ts';
import type { Connection, ConnectionLease } from '../core/ports.ts';
import { NO_PROFILE, profileOf } from '../upstream/profile.ts';
import { Deadline } from './deadline.ts';
import { permitted } from './interactions.ts';
import { ownerThrough } from './outside.ts';
import { CallRelay, refusedInteraction } from './relay.ts';
import { openState, sealState } from './request-state.ts';
import { convertAnswer, nameOf } from './results.ts';
import type { Services } from './services.ts';
import { sealTask } from './task-ids.ts';

/** A request that goes to one upstream. */
export interface UpstreamRequest {
  readonly upstream: string;
  /** The upstream's own name, URI or task id: for `Mcp-Name` and the request state. */
  readonly original: string;
  readonly method: string;
  /** Params with the upstream's own name or URI in them. */
  readonly params: Buffer;
  /** Whether a request whose outcome is unknown may be sent again (trusted `readOnlyHint` or `idempotentHint`). */
  readonly repeatable: boolean;
  /** `mcp-param-*` headers computed from the body with the upstream's schema. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly wrapped?: boolean;
}

/** The log level that a connection was last told, so that it is told once. */
const toldLevels = new WeakMap<Connection, LogLevel>();

/**
 * Lease, request, convert; once more where that is certain not to run twice (security class 27): the request was certainly not
 * sent, or the call is repeatable and nothing of it has reached the client.
 */
export async function callUpstream(services: Services, exchange: Exchange, request: UpstreamRequest): Promise<Answer> {
  const { settings, clock } = services;
  const upstreamSettings = settings.upstreams.get(request.upstream);
  if (upstreamSettings === undefined)
    throw new TurnpikeError('upstream/down', `server '${request.upstream}' not found in config`, { upstream: request.upstream });
  const expired = new AbortController();
  const deadline = new Deadline(clock, upstreamSettings.timeouts, (ms) => {
    expired.abort(new TurnpikeError('upstream/timeout', `tool '${nameOf(exchange)}' timed out after ${ms / 1000}s`, { upstream: request.upstream }));
  });
  const label = upstreamSettings.naming !== 'passthrough';
  const attempt: Attempt = { services, exchange, request, deadline, label, expired: expired.signal, reached: false };
  try {
    try {
      return await callOnce(attempt);
    } catch (error) {
      if (!mayRepeat(asTurnpikeError(error), attempt)) throw error;
      return await callOnce(attempt);
    }
  } finally {
    deadline.end();
  }
}

interface Attempt {
  readonly services: Services;
  readonly exchange: Exchange;
  readonly request: UpstreamRequest;
  readonly deadline: Deadline;
  readonly label: boolean;
  readonly expired: AbortSignal;
  /** Whether something of it has reached the client. */
  reached: boolean;
}

async function callOnce(attempt: Attempt): Promise<Answer> {
  const { services, exchange, request, deadline, label, expired } = attempt;
  const { connections, settings, instruments } = services;
  const { upstream, original } = request;
  const profile = profileOf(exchange.capabilities, settings.bridge.interactive);
  const owner = exchange.owner && ownerThrough(exchange.owner, { upstream, label, profile });
  using waiting = new LinkedAbort(exchange.signal, expired);
  const lease = await connections.lease(upstream, exchange.caller, exchange.era === 'legacy' ? profile : NO_PROFILE, waiting.signal, owner);
  using life = new LinkedAbort(exchange.signal, expired, lease.ended);
  const { connection } = lease;
  const relay = new CallRelay({ exchange, upstream, label, profile, deadline, dropped: (reason) => instruments.droppedNotifications(reason).add() });
  let outcome: 'ok' | 'transport-error' = 'ok';
  try {
    instruments.bridgeCalls(exchange.era, connection.era).add();
    const params = paramsFor(connection, services, exchange, request);
    const { signal } = life;
    await tellLevel(connection, exchange.logLevel, signal);
    const answer = await connection.request({
      method: request.method,
      params,
      capabilities: carried(exchange, settings.bridge.interactive),
      progress: exchange.progressToken !== undefined || exchange.era === 'legacy',
      headers: { ...request.headers, 'mcp-name': encodeHeaderValue(original) },
      relay,
      signal,
      ...(exchange.logLevel === undefined ? {} : { logLevel: exchange.logLevel }),
    });
    if (relay.refused !== undefined && isFailure(answer))
      throw refusedInteraction(relay.refused, exchange, upstream, connection.era, nameOf(exchange));
    return convertAnswer(answer, {
      exchange,
      upstream,
      upstreamEra: connection.era,
      serverInfo: settings.serverInfo,
      profile,
      label,
      wrapped: request.wrapped ?? false,
      sealState: (state) => sealState(services, exchange, request, state),
      sealTask: (taskId) => sealTask(services, exchange.caller, upstream, taskId),
    });
  } catch (error) {
    outcome = outcomeOf(error, exchange);
    throw forCaller(error, exchange, expired, lease, upstream);
  } finally {
    relay.end();
    attempt.reached ||= relay.reached;
    lease.release(outcome);
  }
}

function paramsFor(connection: Connection, services: Services, exchange: Exchange, request: UpstreamRequest): Buffer {
  const edits: Record<string, Buffer | undefined> = { task: undefined };
  if (connection.era === 'legacy') return editObject(request.params, { ...edits, inputResponses: undefined, requestState: undefined });
  checkInputResponses(exchange.body.inputResponses);
  const state = openState(services, exchange, request);
  if (state !== undefined) edits.requestState = toJson(state);
  return editObject(request.params, edits);
}

/** Answers to input requests are objects by key (protocol.md section 9); which keys count is the upstream's to say. */
function checkInputResponses(responses: unknown): void {
  if (responses === undefined || (isJsonObject(responses) && Object.values(responses).every(isJsonObject))) return;
  throw new TurnpikeError('request/params', 'params.inputResponses must be an object whose values are objects');
}

/** Capabilities for a modern upstream: the caller's, minus what is not carried or not allowed. Session clients: interaction comes with the bridge. */
function carried({ era, capabilities }: Exchange, interactive: readonly string[]): JsonObject {
  if (era === 'legacy') return {};
  const { extensions, ...others } = permitted(capabilities, interactive);
  if (!isJsonObject(extensions)) return others;
  return { ...others, extensions: Object.fromEntries(Object.entries(extensions).filter(([name]) => CARRIED_EXTENSIONS.includes(name))) };
}

/**
 * A session upstream is told the most verbose level that was asked for on its connection (protocol.md section 7). When the
 * connection is lost meanwhile, the call itself was not sent.
 */
async function tellLevel(connection: Connection, level: LogLevel | undefined, signal: AbortSignal): Promise<void> {
  if (level === undefined || connection.era !== 'legacy' || !isJsonObject(connection.capabilities.logging)) return;
  const told = toldLevels.get(connection);
  if (told !== undefined && LOG_LEVELS.indexOf(told) <= LOG_LEVELS.indexOf(level)) return;
  toldLevels.set(connection, level);
  const relay = { notification: () => {}, request: async () => Promise.reject(new TurnpikeError('request/method')) };
  try {
    await connection.request({ method: 'logging/setLevel', params: toJson({ level }), capabilities: {}, progress: false, relay, signal });
  } catch (error) {
    toldLevels.delete(connection);
    const { code, message, details } = asTurnpikeError(error);
    throw code === 'upstream/lost' ? new TurnpikeError('upstream/down', message, { ...details, retryable: true }) : error;
  }
}

function isFailure(answer: Answer): boolean {
  return answer.kind === 'error' || (JSON.parse(answer.result.toString('utf8')) as { isError?: unknown }).isError === true;
}

/** Connection refused or lost, malformed frames, deadlines count against a connection; answers and cancels do not (aggregator.md section 6). */
function outcomeOf(error: unknown, exchange: Exchange): 'ok' | 'transport-error' {
  if (exchange.signal.aborted) return 'ok';
  const { code } = asTurnpikeError(error);
  return code === 'upstream/lost' || code === 'upstream/timeout' || code === 'upstream/down' || code === 'upstream/protocol'
    ? 'transport-error'
    : 'ok';
}

/** The client cancelled, or we end: then the client must not believe that nothing happened. */
function cutShort(reason: unknown, upstream: string): TurnpikeError {
  if (asTurnpikeError(reason).code !== 'gateway/draining') return new TurnpikeError('request/cancelled');
  return new TurnpikeError('upstream/lost', 'the gateway shut down before the answer came; the outcome is unknown', { upstream, retryable: false });
}

/** The reason of whichever signal ended the call, else the error itself. */
function forCaller(error: unknown, exchange: Exchange, expired: AbortSignal, lease: ConnectionLease, upstream: string): unknown {
  if (exchange.signal.aborted) return cutShort(exchange.signal.reason, upstream);
  if (expired.aborted) return expired.reason;
  if (lease.ended.aborted && !(error instanceof TurnpikeError)) {
    return new TurnpikeError('upstream/lost', `upstream '${upstream}' closed the connection after the request was sent; the outcome is unknown`, {
      upstream,
    });
  }
  return error;
}

function mayRepeat({ code, details }: TurnpikeError, { exchange, request, reached }: Attempt): boolean {
  if (exchange.signal.aborted) return false;
  if (code === 'upstream/down' && details.retryable === true) return true;
  return code === 'upstream/lost' && request.repeatable && !reached;
}
