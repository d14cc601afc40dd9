import type { IncomingMessage } from 'node:http';
import { asTurnpikeError } from '../core/errors.ts';
import { addressKey } from '../limit/address.ts';
import type { Edge } from './edge.ts';

/** Counts and logs a credential that was rejected, or that lacks a scope; other errors are none of its business (identity.md 6). */
export function noteRefusal(edge: Edge, request: IncomingMessage, error: unknown): void {
  const { code } = asTurnpikeError(error);
  if (code !== 'auth/invalid' && code !== 'auth/scope') return;
  const address = edge.proxies.addressOf(request);
  edge.admission.recordFailure(address);
  edge.securityLog.warn('authentication', addressKey(address), 'authentication failed', { code });
}
