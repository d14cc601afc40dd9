import { type Clock, sleep } from '../core/clock.ts';
import { asTurnpikeError, TurnpikeError } from '../core/errors.ts';
import { toJson } from '../core/json.ts';
import {
  type Answer,
  type Era,
  isJsonObject,
  type JsonObject,
  LATEST_LEGACY_VERSION,
  MODERN_VERSION,
  RPC,
  UPSTREAM_LEGACY_VERSIONS,
} from '../core/mcp.ts';
import type { UpstreamCall } from '../core/ports.ts';
import type { Handshake, Link } from './connection.ts';
import { StreamableHttpTransport } from './http/streamable-http-transport.ts';
import { NO_RELAY } from './peer.ts';
import { capabilitiesOf, type Profile } from './profile.ts';

export interface HandshakeOptions {
  readonly name: string;
  readonly clock: Clock;
  readonly profile: Profile;
  readonly clientInfo: JsonObject;
  readonly signal: AbortSignal;
}

/** How long a child may keep silent before it counts as one that does not know `server/discover` (protocol.md section 4). */
const DISCOVER_MS = 3_000;

/** What a probe says: the upstream is modern (and this is what it offers), or it is not. */
export type Verdict = { readonly era: 'modern'; readonly handshake: Handshake } | { readonly era: 'legacy'; readonly silent?: boolean };

/**
 * Asks `server/discover` (protocol.md section 4, "Era"). A discover result, -32020, -32021, or -32022 with a usable list mean
 * modern; another refusal means legacy; a failure of the network is no verdict and is thrown.
 */
export async function probe(link: Link, options: HandshakeOptions): Promise<Verdict> {
  link.peer.era = 'modern';
  setProtocol(link, 'modern', MODERN_VERSION);
  const patience =
    link.transport.kind === 'channel' ? AbortSignal.any([options.signal, timeout(options.clock, DISCOVER_MS, link.ended)]) : options.signal;
  let answer: Answer;
  try {
    answer = await link.peer.request(ownCall('server/discover', toJson({}), patience));
  } catch (error) {
    options.signal.throwIfAborted();
    if (link.transport.kind === 'channel') return { era: 'legacy', silent: true };
    const status = refusalStatus(error);
    if (status !== undefined && ![401, 403, 407, 408, 429].includes(status)) return { era: 'legacy' };
    throw error;
  }
  if (answer.kind === 'result') {
    const handshake = fromDiscover(answer.result);
    return handshake === undefined ? { era: 'legacy' } : { era: 'modern', handshake };
  }
  if (answer.code === RPC.unsupportedVersion && !supportsOurs(answer.error)) return { era: 'legacy' };
  if (answer.code === RPC.unsupportedVersion || answer.code === RPC.headerMismatch || answer.code === RPC.missingCapability) {
    return { era: 'modern', handshake: { era: 'modern', version: MODERN_VERSION, serverInfo: {}, capabilities: {} } };
  }
  return { era: 'legacy' };
}

/** `initialize` and `notifications/initialized` (MCP 2025-11-25, "Lifecycle"). `version`: what we ask for. */
export async function initialize(link: Link, version: string, options: HandshakeOptions): Promise<Handshake> {
  link.peer.era = 'legacy';
  setProtocol(link, undefined, version);
  const params = toJson({ protocolVersion: version, capabilities: capabilitiesOf(options.profile, version), clientInfo: options.clientInfo });
  const answer = await link.peer.request(ownCall('initialize', params, options.signal));
  if (answer.kind === 'error') {
    const { message } = JSON.parse(answer.error.toString('utf8')) as { message: string };
    throw new TurnpikeError('upstream/protocol', `upstream '${options.name}' refused to initialize: ${message}`, { upstream: options.name });
  }
  const result = JSON.parse(answer.result.toString('utf8')) as JsonObject;
  const agreed = result.protocolVersion;
  if (typeof agreed !== 'string' || !UPSTREAM_LEGACY_VERSIONS.includes(agreed)) {
    throw new TurnpikeError(
      'upstream/protocol',
      `upstream '${options.name}' speaks no revision that Turnpike speaks: it answered ${JSON.stringify(agreed)}`,
      {
        upstream: options.name,
      },
    );
  }
  setProtocol(link, 'legacy', agreed);
  await link.peer.notify('notifications/initialized', toJson({}), options.signal);
  if (link.transport instanceof StreamableHttpTransport) {
    // A server may be slow to say whether it has a stream; nothing waits for it.
    link.transport.openServerStream(link.ended).catch(() => {});
  }
  return {
    era: 'legacy',
    version: agreed,
    serverInfo: objectAt(result, 'serverInfo'),
    capabilities: objectAt(result, 'capabilities'),
    ...(typeof result.instructions === 'string' ? { instructions: result.instructions } : {}),
  };
}

/** A request of our own: nobody hears its notifications. */
export function ownCall(method: string, params: Buffer, signal: AbortSignal): UpstreamCall {
  return { method, params, capabilities: {}, progress: false, relay: NO_RELAY, signal };
}

/** The version asked of an upstream whose `protocol` names a session revision, or of any other. */
export function askedVersion(protocol: string): string {
  return UPSTREAM_LEGACY_VERSIONS.includes(protocol) ? protocol : LATEST_LEGACY_VERSION;
}

/** HTTP status of an answer that refused a request unprocessed, if the error is one. */
export function refusalStatus(error: unknown): number | undefined {
  const { code, details } = asTurnpikeError(error);
  const status = isJsonObject(details.data) ? details.data.status : undefined;
  if (code !== 'upstream/protocol' && code !== 'upstream/session') return undefined;
  return typeof status === 'number' && status >= 400 && status < 500 ? status : undefined;
}

export function timeout(clock: Clock, ms: number, until: AbortSignal): AbortSignal {
  const controller = new AbortController();
  sleep(clock, ms, until).then(
    () => controller.abort(new TurnpikeError('upstream/timeout', `no answer within ${ms / 1000}s`)),
    () => {},
  );
  return controller.signal;
}

function setProtocol(link: Link, era: Era | undefined, version: string): void {
  const { transport } = link;
  if (!(transport instanceof StreamableHttpTransport)) return;
  // `initialize` itself goes out without a protocol header.
  transport.setProtocol({ era: era ?? 'legacy', version });
}

function fromDiscover(result: Buffer): Handshake | undefined {
  const body = JSON.parse(result.toString('utf8')) as JsonObject;
  if (!Array.isArray(body.supportedVersions) || !body.supportedVersions.includes(MODERN_VERSION)) return undefined;
  const meta = objectAt(body, '_meta');
  return {
    era: 'modern',
    version: MODERN_VERSION,
    serverInfo: objectAt(meta, 'io.modelcontextprotocol/serverInfo'),
    capabilities: objectAt(body, 'capabilities'),
    ...(typeof body.instructions === 'string' ? { instructions: body.instructions } : {}),
  };
}

function supportsOurs(error: Buffer): boolean {
  const { data } = JSON.parse(error.toString('utf8')) as { data?: unknown };
  return isJsonObject(data) && Array.isArray(data.supported) && data.supported.includes(MODERN_VERSION);
}

function objectAt(object: JsonObject, key: string): JsonObject {
  const value = object[key];
  return isJsonObject(value) ? value : {};
}
