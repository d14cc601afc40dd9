import type { Clock } from '../core/clock.ts';
import { TurnpikeError } from '../core/errors.ts';
import { toJson } from '../core/json.ts';
import {
  type Answer,
  type Era,
  isJsonObject,
  type JsonObject,
  LATEST_LEGACY_VERSION,
  META,
  MODERN_VERSION,
  RPC,
  UPSTREAM_LEGACY_VERSIONS,
} from '../core/mcp.ts';
import type { Handshake, Link } from './connection.ts';
import { settledWithin, unlessAborted, within } from './deadline.ts';
import { NoCommonRevision } from './failure.ts';
import { StreamableHttpTransport } from './http/streamable-http-transport.ts';
import { ownCall } from './own-call.ts';
import { capabilitiesOf, type Profile } from './profile.ts';
import { messageOf, refusalStatus, supportsOurs } from './refusal.ts';

export interface HandshakeOptions {
  readonly name: string;
  readonly clock: Clock;
  readonly profile: Profile;
  readonly clientInfo: JsonObject;
  readonly signal: AbortSignal;
}

/** How long a child may keep silent before it counts as one that does not know `server/discover` (protocol.md section 4). */
export const DISCOVER_MS = 3_000;
/** What a modern upstream may list, when its discovery says nothing about it: asking is harmless. */
const UNKNOWN_CAPABILITIES: JsonObject = { tools: {}, prompts: {}, resources: {} };

/** What a probe says: the upstream is modern (and this is what it offers), or it is not. `silent`: the child must be started again. */
export type Verdict = { readonly era: 'modern'; readonly handshake: Handshake } | { readonly era: 'legacy'; readonly silent: boolean };

/**
 * Asks `server/discover` (protocol.md section 4, "Era"). A discover result, -32020, -32021, or -32022 with a usable list mean
 * modern; another refusal means legacy; a failure of the network is no verdict and is thrown.
 *
 * @param patience milliseconds that a child may keep silent
 */
export async function probe(link: Link, patience: number, options: HandshakeOptions): Promise<Verdict> {
  const { name, clock, signal } = options;
  const isChannel = link.transport.kind === 'channel';
  link.peer.era = 'modern';
  setProtocol(link, 'modern', MODERN_VERSION);
  const ask = (until: AbortSignal) => link.peer.request(ownCall('server/discover', toJson({}), until));
  const late = () => new TurnpikeError('upstream/timeout', `upstream '${name}' did not answer server/discover`, { upstream: name });
  let answer: Answer;
  try {
    answer = isChannel ? await within({ clock, ms: patience, late, signals: [signal] }, ask) : await ask(signal);
  } catch (error) {
    signal.throwIfAborted();
    if (isChannel) return { era: 'legacy', silent: true };
    if (refusalStatus(error) !== undefined) return { era: 'legacy', silent: false };
    throw error;
  }
  const handshake = answer.kind === 'result' ? fromDiscover(answer.result) : isModernError(answer) ? unknownModern() : undefined;
  return handshake === undefined ? { era: 'legacy', silent: false } : { era: 'modern', handshake };
}

/** How long the first call waits for a session's stream. */
const STREAM_MS = 500;

/** `initialize` and `notifications/initialized` (MCP 2025-11-25, "Lifecycle"). `version`: what we ask for. */
export async function initialize(link: Link, version: string, options: HandshakeOptions): Promise<Handshake> {
  const { name, clock, profile, clientInfo, signal } = options;
  link.peer.era = 'legacy';
  // `initialize` itself goes out without a protocol header.
  setProtocol(link, 'legacy', version);
  const params = toJson({ protocolVersion: version, capabilities: capabilitiesOf(profile, version), clientInfo });
  const answer = await link.peer.request(ownCall('initialize', params, signal));
  if (answer.kind === 'error') throw noCommonRevision(name, `refused to initialize (code ${answer.code})`, messageOf(answer.error));
  const result = JSON.parse(answer.result.toString('utf8')) as JsonObject;
  const agreed = result.protocolVersion;
  if (typeof agreed !== 'string' || !UPSTREAM_LEGACY_VERSIONS.includes(agreed)) {
    throw noCommonRevision(name, 'speaks no revision that Turnpike speaks', `it answered ${JSON.stringify(agreed)?.slice(0, 64)}`);
  }
  setProtocol(link, 'legacy', agreed);
  await link.peer.notify('notifications/initialized', toJson({}), signal);
  if (link.transport instanceof StreamableHttpTransport) {
    const offered = link.transport.openServerStream(link.ended);
    link.hearing(offered);
    // What a server asks outside any request before it has a stream is lost; but one may be slow to say whether it has one.
    await unlessAborted(settledWithin(clock, offered, STREAM_MS), signal);
  }
  return {
    era: 'legacy',
    version: agreed,
    serverInfo: objectAt(result, 'serverInfo'),
    capabilities: objectAt(result, 'capabilities'),
    ...(typeof result.instructions === 'string' ? { instructions: result.instructions } : {}),
  };
}

export function noCommonRevision(upstream: string, what: string, reason: string): TurnpikeError {
  return new TurnpikeError('upstream/protocol', `upstream '${upstream}' ${what}`, { upstream, reason, cause: new NoCommonRevision(what) });
}

/** The version asked of an upstream whose `protocol` names a session revision, or of any other. */
export function askedVersion(protocol: string): string {
  return UPSTREAM_LEGACY_VERSIONS.includes(protocol) ? protocol : LATEST_LEGACY_VERSION;
}

function setProtocol({ transport }: Link, era: Era, version: string): void {
  if (transport instanceof StreamableHttpTransport) transport.setProtocol({ era, version });
}

function fromDiscover(result: Buffer): Handshake | undefined {
  const body = JSON.parse(result.toString('utf8')) as JsonObject;
  if (!Array.isArray(body.supportedVersions) || !body.supportedVersions.includes(MODERN_VERSION)) return undefined;
  return {
    era: 'modern',
    version: MODERN_VERSION,
    serverInfo: objectAt(objectAt(body, '_meta'), META.serverInfo),
    capabilities: objectAt(body, 'capabilities'),
    ...(typeof body.instructions === 'string' ? { instructions: body.instructions } : {}),
  };
}

function isModernError({ error, code }: Extract<Answer, { kind: 'error' }>): boolean {
  return code === RPC.headerMismatch || code === RPC.missingCapability || (code === RPC.unsupportedVersion && supportsOurs(error));
}

function unknownModern(): Handshake {
  return { era: 'modern', version: MODERN_VERSION, serverInfo: {}, capabilities: UNKNOWN_CAPABILITIES };
}

function objectAt(object: JsonObject, key: string): JsonObject {
  const value = object[key];
  return isJsonObject(value) ? value : {};
}
