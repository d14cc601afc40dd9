import { TurnpikeError } from '../../core/errors.ts';
import type { Exchange } from '../../core/exchange.ts';
import { toJson } from '../../core/json.ts';
import type { Connection } from '../../core/ports.ts';
import type { Services } from '../services.ts';
import { declaresTasks, needsTasks, runsTasks, type TaskSupport } from './task-shapes.ts';

/** That a session upstream is asked to make a task of a call. */
export interface TaskWish {
  /** The bytes of the `task` parameter. */
  readonly task: Buffer;
  /** Of a task that we drive: aborts when it is over for us. Until then it is its call that goes on. */
  readonly over?: AbortSignal;
  /** Nothing comes of it, or all that came of it is over: gives the place back that the task would have. Idempotent. */
  end(): void;
}

/** How long an upstream is asked to keep what a client without a session may come back for. Milliseconds. */
const HOSTED_TTL_MS = 24 * 3_600_000;

/**
 * Whether this call is to become a task of a session upstream: for a stateless client that declared tasks wherever the tool
 * allows, for a session client only where the tool insists (protocol.md section 8). Throws `request/capability` for a stateless
 * client without tasks at a tool that insists, `upstream/capacity`.
 */
export function taskWish(
  services: Services,
  exchange: Exchange,
  { upstream, taskSupport }: { readonly upstream: string; readonly taskSupport?: TaskSupport | undefined },
  { era, capabilities }: Connection,
): TaskWish | undefined {
  // Without the capability the tool's word means nothing (2025-11-25, "Tool-Level Negotiation").
  if (taskSupport === undefined || era !== 'legacy' || !runsTasks(capabilities)) return undefined;
  if (exchange.era === 'modern' && taskSupport === 'required' && !declaresTasks(exchange)) throw needsTasks();
  if (exchange.era === 'modern' ? !declaresTasks(exchange) : taskSupport === 'optional') return undefined;
  if (exchange.era === 'modern') {
    const place = services.hosted.reserve(exchange.caller, upstream);
    return { task: toJson({ ttl: HOSTED_TTL_MS }), end: () => place.free() };
  }
  const over = new AbortController();
  // The time of a person is no time of the call, and the task must outlive both.
  const ttl = 2 * (services.settings.upstreams.get(upstream)?.timeouts.callMax ?? 0);
  return { task: toJson({ ttl }), over: over.signal, end: () => over.abort(new TurnpikeError('request/cancelled')) };
}
