import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { type Clock, systemClock } from '../core/clock.ts';
import { Secret } from '../core/secret.ts';
import { redactText } from '../telemetry/redact.ts';
import { packageVersion } from '../version.ts';
import { GatewayClient, type Reply } from './client.ts';
import { EXIT, type ExitCode } from './exit-code.ts';
import type { Surroundings } from './surroundings.ts';

/** Which gateway `list` and `call` talk to. */
export interface Target {
  readonly url?: string;
  readonly tokenFile?: string;
  /** Milliseconds for everything. */
  readonly timeout: number;
}

export const NO_URL = 'the URL of the gateway is no http or https URL; set --url or TURNPIKE_URL to one such as http://127.0.0.1:8080/mcp';
export const DEFAULT_URL = 'http://127.0.0.1:8080/mcp';
/** RFC 6750 section 2.1. */
const TOKEN = /^[A-Za-z0-9\-._~+/]+=*$/;
const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;

/** A client for the target and the signal of its deadline; what goes wrong is told and becomes an exit code. */
export async function talk(
  target: Target,
  around: Surroundings,
  work: (client: GatewayClient, signal: AbortSignal) => Promise<ExitCode>,
  clock: Clock = systemClock,
): Promise<ExitCode> {
  const say = (text: string) => void around.stderr.write(`turnpike: ${text}\n`);
  const url = endpointOf(target.url ?? around.env.TURNPIKE_URL ?? DEFAULT_URL);
  if (url === undefined) {
    say(NO_URL);
    return EXIT.usage;
  }
  const token = await tokenFrom({ ...(target.tokenFile === undefined ? {} : { file: target.tokenFile }), variable: 'TURNPIKE_TOKEN' }, around);
  if (typeof token === 'string') {
    say(token);
    return EXIT.failed;
  }
  if (token !== undefined && isExposed(url)) say(`warning: the token travels unencrypted to ${url.host}; use https`);
  const deadline = new AbortController();
  const timer = clock.after(target.timeout, () => deadline.abort(new Error(`no answer within ${target.timeout / 1000} s`)));
  await using client = new GatewayClient({ url, version: packageVersion(), ...(token === undefined ? {} : { token }) });
  try {
    return await work(client, deadline.signal);
  } catch (error) {
    say(connectProblem(error, url));
    return EXIT.failed;
  } finally {
    timer.cancel();
  }
}

/** Tells a reply that is an error, and which exit code it means. */
export function failure(reply: Extract<Reply, { kind: 'error' }>, around: Surroundings): ExitCode {
  const { status, message } = reply;
  const isDenied = status === 401 || status === 403;
  const hint = status === 401 ? ' (set TURNPIKE_TOKEN or --token-file)' : '';
  around.stderr.write(`turnpike: ${redactText(message, 1000)}${hint}\n`);
  return isDenied ? EXIT.denied : EXIT.failed;
}

/** Whether what is sent to this address can be read on the way. */
export function isExposed(url: URL): boolean {
  return url.protocol === 'http:' && !LOOPBACK.test(url.hostname);
}

/** A URL without a path means the endpoint that every gateway has. */
export function endpointOf(text: string): URL | undefined {
  if (!URL.canParse(text)) return undefined;
  const url = new URL(text);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return undefined;
  if (url.pathname === '/') url.pathname = '/mcp';
  url.hash = '';
  return url;
}

/** Where a token may come from: the file, else the variable. */
export interface TokenSource {
  readonly file?: string;
  readonly variable: string;
}

/** The token to send, if there is one; a text says what is wrong with it. */
export async function tokenFrom({ file, variable }: TokenSource, { cwd, env }: Surroundings): Promise<Secret | string | undefined> {
  let text = env[variable];
  if (file !== undefined) {
    try {
      text = (await readFile(resolve(cwd, file), 'utf8')).replace(/\r?\n$/, '');
    } catch (error) {
      return `the token file cannot be read: ${(error as NodeJS.ErrnoException).code ?? 'unknown error'}`;
    }
  }
  if (file === undefined && (text === undefined || text === '')) return undefined;
  const name = file === undefined ? variable : 'the token file';
  return text !== undefined && TOKEN.test(text) ? new Secret(text) : `${name} holds no token: letters, digits and -._~+/ (RFC 6750)`;
}

/** Why a gateway does not answer, and what to do about it. */
export function connectProblem(error: unknown, url: URL): string {
  const place = `${url.origin}${url.pathname}`;
  const codes = codesOf(error);
  if (codes.includes('ECONNREFUSED')) return `no gateway answers at ${place}. Start one with turnpike serve, or name it with --url or TURNPIKE_URL.`;
  if (codes.includes('ENOTFOUND') || codes.includes('EAI_AGAIN')) return `${url.hostname} has no address. Check --url or TURNPIKE_URL.`;
  const text = error instanceof Error ? error.message : String(error);
  return `${place}: ${redactText(text)}`;
}

/** Codes of an error, of its causes, and of what it is made of (one per address that was tried). */
function codesOf(error: unknown, depth = 0): string[] {
  if (!(error instanceof Error) || depth > 4) return [];
  const { code } = error as NodeJS.ErrnoException;
  const inner = error instanceof AggregateError ? error.errors.flatMap((one) => codesOf(one, depth + 1)) : [];
  return [...(code === undefined ? [] : [code]), ...inner, ...codesOf(error.cause, depth + 1)];
}
