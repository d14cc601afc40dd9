import { type Agent, request } from 'undici';
import type { Clock } from '../../core/clock.ts';
import { parseJson } from '../../core/json.ts';
import { isJsonObject } from '../../core/mcp.ts';
import type { Secret } from '../../core/secret.ts';
import { redactText } from '../../telemetry/redact.ts';
import { type MetricsPage, readMetrics } from './metrics-page.ts';

/** How long one answer may take. Milliseconds. */
export const PATIENCE = 5_000;
/** Largest answer that is read. Bytes. */
const MAX_ANSWER = 64 * 1024 * 1024;

/** The gateway would not tell. */
export class Refused extends Error {
  readonly status: number;

  constructor(status: number) {
    super(`the gateway answered HTTP ${status}`);
    this.status = status;
  }
}

export interface Source {
  /** `/metrics` of the gateway. */
  readonly url: URL;
  readonly agent: Agent;
  readonly token?: Secret;
}

/** One look at a gateway. */
export interface Look {
  readonly page: MetricsPage;
  /** Something that its operator should know besides. */
  readonly notice?: string;
}

/** Reads the metrics, and how the last reload went. Throws `Refused`, what the connection fails with, and the signal's reason. */
export async function lookAt(source: Source, clock: Clock, signal: AbortSignal): Promise<Look> {
  const deadline = new AbortController();
  const timer = clock.after(PATIENCE, () => deadline.abort(new Error(`no answer within ${PATIENCE / 1000} s`)));
  const until = AbortSignal.any([signal, deadline.signal]);
  try {
    const page = readMetrics((await read(source, '/metrics', until)).toString('utf8'), clock.monotonic());
    // What is no answer of ours to this question is no reason to show nothing.
    const health = await read(source, '/healthz', until).catch(() => undefined);
    const notice = health === undefined ? undefined : reloadNotice(health);
    return { page, ...(notice === undefined ? {} : { notice }) };
  } finally {
    timer.cancel();
  }
}

/** What `/healthz` tells operators about the last reload, if they need to know it. */
export function reloadNotice(health: Buffer): string | undefined {
  const parsed = parseJson(health);
  const reload = parsed.ok && isJsonObject(parsed.value) ? parsed.value.reload : undefined;
  if (!isJsonObject(reload)) return undefined;
  const { at, result, error, needsRestart } = reload;
  if (result === 'failed') return `The reload of ${redactText(String(at), 40)} failed: ${redactText(String(error).split('\n', 1)[0] ?? '')}`;
  const waiting = Array.isArray(needsRestart) ? needsRestart.map((setting) => redactText(String(setting), 80)) : [];
  return waiting.length === 0 ? undefined : `Changed, but in force with the next start only: ${waiting.join(', ')}`;
}

async function read({ url, agent, token }: Source, path: string, signal: AbortSignal): Promise<Buffer> {
  const { statusCode, body } = await request(new URL(path, url), {
    dispatcher: agent,
    signal,
    headers: token === undefined ? {} : { authorization: `Bearer ${token.reveal()}` },
  });
  if (statusCode !== 200) {
    await body.dump();
    throw new Refused(statusCode);
  }
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_ANSWER) throw new Error(`the answer is larger than ${MAX_ANSWER} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
