import type { IncomingMessage } from 'node:http';
import { asTurnpikeError } from '../core/errors.ts';
import { addressKey } from '../limit/address.ts';
import type { Edge } from './edge.ts';

/** A host is forbidden where a credential asks to be shown to it. */
const FAILURES: ReadonlySet<string> = new Set(['auth/invalid', 'auth/scope', 'guard/host']);

/** Counts and logs a credential that was rejected, that lacks a scope, or was to go to a forbidden host; other errors are none of its business (identity.md 6). */
export function noteRefusal(edge: Edge, request: IncomingMessage, error: unknown): void {
  const { code } = asTurnpikeError(error);
  if (!FAILURES.has(code)) return;
  edge.door.credentialRefused();
  const address = edge.proxies.addressOf(request);
  edge.admission.recordFailure(address);
  edge.securityLog.warn('authentication', addressKey(address), 'authentication failed', { code });
}
