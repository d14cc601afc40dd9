import { asTurnpikeError } from '../core/errors.ts';
import { parseJson } from '../core/json.ts';
import { type Answer, type Era, isJsonObject, META, MODERN_VERSION, RPC } from '../core/mcp.ts';

/** Statuses that say nothing about eras: credentials, proxies, time, size, load. */
const NO_VERDICT: ReadonlySet<number> = new Set([401, 403, 407, 408, 413, 429, 431]);

/** HTTP status of an answer, if the error is one. */
export function statusOf(error: unknown): number | undefined {
  const { data } = asTurnpikeError(error).details;
  return isJsonObject(data) && typeof data.status === 'number' ? data.status : undefined;
}

/** HTTP status that refused a request unprocessed because of what it is, if the error is one. */
export function refusalStatus(error: unknown): number | undefined {
  const { code } = asTurnpikeError(error);
  const status = statusOf(error);
  if (status === undefined || (code !== 'upstream/protocol' && code !== 'upstream/session')) return undefined;
  return status >= 400 && status < 500 && !NO_VERDICT.has(status) ? status : undefined;
}

/** Whether a session upstream refused a request because it does not know the session, though not with the 404 it should. */
export function namesSession(error: unknown): boolean {
  const { data } = asTurnpikeError(error).details;
  if (refusalStatus(error) !== 400 || !isJsonObject(data) || !isJsonObject(data.body)) return false;
  const { error: said } = data.body;
  return isJsonObject(said) && typeof said.message === 'string' && /session|not initialized/i.test(said.message);
}

/** Whether an error answer says that the upstream does not speak the era it was asked in. Such a request was not processed. */
export function contradicts(era: Era, answer: Answer): boolean {
  if (answer.kind !== 'error') return false;
  if (answer.code === RPC.unsupportedVersion) return true;
  if (era === 'modern') return false;
  const isRefusal = answer.code === RPC.headerMismatch || answer.code === RPC.invalidParams || answer.code === RPC.invalidRequest;
  return isRefusal && messageOf(answer.error).includes(META.protocolVersion);
}

/** Whether an error of `server/discover` lists our modern revision among the supported ones. */
export function supportsOurs(error: Buffer): boolean {
  const parsed = parseJson(error);
  const data = parsed.ok && isJsonObject(parsed.value) ? parsed.value.data : undefined;
  return isJsonObject(data) && Array.isArray(data.supported) && data.supported.includes(MODERN_VERSION);
}

/** What an upstream wrote into an error: for the log, never for a status. */
export function messageOf(error: Buffer): string {
  const parsed = parseJson(error);
  const message = parsed.ok && isJsonObject(parsed.value) ? parsed.value.message : undefined;
  return typeof message === 'string' ? message.slice(0, 500) : '';
}
