import { TurnpikeError } from '../core/errors.ts';
import type { JsonObject } from '../core/mcp.ts';

/** What a request state carries, besides what it is bound to. */
export type State =
  /** The upstream's own state, and our answers to questions that the client was not shown. */
  | { readonly kind: 'relay'; readonly state?: string; readonly forced?: JsonObject }
  /** The handle of a call that waits in one process. */
  | { readonly kind: 'park'; readonly node: string; readonly id: string; readonly round: number }
  /** The call is made afresh: how often it was. */
  | { readonly kind: 'recall'; readonly round: number };

/** The one text for every cause (protocol.md section 9). */
export function invalidState(): TurnpikeError {
  return new TurnpikeError('state/invalid', 'Invalid or expired request state');
}
