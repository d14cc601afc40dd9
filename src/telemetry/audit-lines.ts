import type { NamedPrincipal } from '../core/fingerprinter.ts';
import type { Era, RequestId } from '../core/mcp.ts';
import type { Secret } from '../core/secret.ts';
import type { CallOutcome } from './instruments.ts';
import { redactText } from './redact.ts';
import { ValueMask } from './value-mask.ts';

/** What is recorded of one call. Arguments and results never are. */
export interface AuditRecord {
  readonly requestId: RequestId;
  readonly tenant: string;
  /** One object for each principal spares its text being made anew. */
  readonly principal: NamedPrincipal;
  /** Fingerprint of the session, when there is one. */
  readonly session?: string | undefined;
  readonly era: Era;
  readonly method: string;
  /** The name the caller used. */
  readonly tool: string;
  /** The name the upstream uses. */
  readonly original?: string | undefined;
  readonly upstream?: string | undefined;
  /** `allowed`, or the rule that refused. */
  readonly decision: string;
  readonly outcome: CallOutcome;
  /** Error code: ours as text, or the JSON-RPC one. */
  readonly code?: string | number | undefined;
  readonly error?: string | undefined;
  readonly durationMs: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** `auth.mode` of the upstream. */
  readonly credentialMode?: string | undefined;
}

/** Foreign texts are cut to so many UTF-16 units. */
const MAX_NAME = 256;
/** Names whose text is remembered. */
const MAX_KNOWN = 2000;

/** How the log line names what was called (aggregator.md 9, "Metrics and logs"). */
const WORDS: ReadonlyMap<string, string> = new Map([
  ['tools/call', words('tool call', 'MCP-Tool')],
  ['prompts/get', words('prompt get', 'MCP-Prompt')],
  ['resources/read', words('resource read', 'MCP-Resource')],
  ['skills/get', words('skill get', 'MCP-Skill')],
  ['resources/directory/read', words('directory read', 'MCP-Resource')],
  ['tasks/get', words('task get', 'MCP-Task')],
  ['tasks/update', words('task update', 'MCP-Task')],
  ['tasks/cancel', words('task cancel', 'MCP-Task')],
]);
const OTHER_WORDS = words('call', 'MCP');
/** Methods whose subject is a URI. */
const NAMED_BY_URI: ReadonlySet<string> = new Set(['resources/read', 'skills/get', 'resources/directory/read']);
/** What JSON writes as it is. */
const PLAIN = /^[\x20\x21\x23-\x5b\x5d-\x7e]*$/;

/**
 * Audit records as lines: what `JSON.stringify` would write of them, pieced together, because a call has no time for
 * an object of twenty members. Only texts of foreign origin are redacted; what the gateway itself made is clean.
 */
export class AuditLines {
  readonly #mask: ValueMask;
  readonly #who = new WeakMap<NamedPrincipal, { readonly tenant: string; readonly text: string }>();
  /** Texts of what the catalog knows, by the name that the caller used. */
  readonly #what = new Map<string, Pick<AuditRecord, 'method' | 'original' | 'upstream'> & { readonly text: string }>();
  readonly #cleaned = new Map<string, string>();
  #second = Number.NaN;
  /** `{"time":"…` up to the milliseconds of `#second`. */
  #head = '';

  /** `secrets` are masked wherever they stand in a text of foreign origin; the list may change. */
  constructor(secrets: readonly Secret[]) {
    this.#mask = new ValueMask(secrets);
  }

  /** The line of one record, its end included. @param now milliseconds since the epoch */
  of(record: AuditRecord, now: number): string {
    const { requestId, session, era, method, decision, outcome, code, error, credentialMode } = record;
    let line = this.#timeOf(now) + (WORDS.get(method) ?? OTHER_WORDS);
    line += (typeof requestId === 'string' ? quoted(this.#clean(requestId, MAX_NAME)) : number(requestId)) + this.#whoOf(record);
    if (session !== undefined) line += `,"session":${quoted(session)}`;
    line += `,"era":"${era}"${this.#whatOf(record)}`;
    line += `,"decision":${decision === 'allowed' ? '"allowed"' : quoted(decision)},"outcome":"${outcome}"`;
    if (code !== undefined) line += `,"code":${typeof code === 'string' ? quoted(code) : number(code)}`;
    if (error !== undefined) line += `,"error":${quoted(this.#clean(error))}`;
    line += `,"duration_s":${seconds(Math.round(record.durationMs * 1000))}`;
    line += `,"bytesIn":${number(record.bytesIn)},"bytesOut":${number(record.bytesOut)}`;
    return credentialMode === undefined ? `${line}}\n` : `${line},"credentialMode":${quoted(credentialMode)}}\n`;
  }

  #whoOf({ principal, tenant }: AuditRecord): string {
    const known = this.#who.get(principal);
    if (known?.tenant === tenant) return known.text;
    const text = `,"tenant":${quoted(tenant)},"principal":${JSON.stringify(principal)}`;
    this.#who.set(principal, { tenant, text });
    return text;
  }

  #whatOf({ method, tool, original, upstream }: AuditRecord): string {
    const known = this.#what.get(tool);
    if (known !== undefined && known.upstream === upstream && known.original === original && known.method === method) return known.text;
    const said = method.length > MAX_NAME ? this.#clean(method, MAX_NAME) : method;
    // What the catalog knows is clean; any other name is the caller's own text, and so is a URI, which templates let through.
    if (upstream === undefined || NAMED_BY_URI.has(method)) return whatText(said, this.#name(tool), original && this.#name(original), upstream);
    const text = whatText(said, tool, original, upstream);
    if (said !== method) return text;
    if (this.#what.size >= MAX_KNOWN) this.#what.clear();
    this.#what.set(tool, { method, original, upstream, text });
    return text;
  }

  #clean(text: string, max?: number): string {
    return redactText(this.#mask.mask(text), max);
  }

  /** A foreign name: callers come back with the same ones, and patterns cost more than the rest of the line. */
  #name(text: string): string {
    const masked = this.#mask.mask(text);
    const known = this.#cleaned.get(masked);
    if (known !== undefined) return known;
    const clean = redactText(masked, MAX_NAME);
    if (masked.length > MAX_NAME) return clean;
    if (this.#cleaned.size >= MAX_KNOWN) this.#cleaned.clear();
    this.#cleaned.set(masked, clean);
    return clean;
  }

  #timeOf(now: number): string {
    const second = Math.floor(now / 1000);
    if (second !== this.#second) {
      this.#head = `{"time":"${new Date(second * 1000).toISOString().slice(0, -4)}`;
      this.#second = second;
    }
    const ms = Math.floor(now - second * 1000);
    return `${this.#head}${ms < 10 ? '00' : ms < 100 ? '0' : ''}${ms}Z"`;
  }
}

function words(message: string, subsystem: string): string {
  return `,"message":"${message}","subsystem":"${subsystem}","requestId":`;
}

function whatText(method: string, tool: string, original: string | undefined, upstream: string | undefined): string {
  const names = `,"method":${quoted(method)},"tool":${quoted(tool)}`;
  const led = original === undefined ? '' : `,"original":${quoted(original)}`;
  return upstream === undefined ? names + led : `${names}${led},"upstream":${quoted(upstream)}`;
}

function quoted(text: string): string {
  return PLAIN.test(text) ? `"${text}"` : JSON.stringify(text);
}

function number(value: number): string {
  return Number.isFinite(value) ? String(value) : 'null';
}

const MICRO = 1_000_000;

/** Microseconds as seconds. Of whole numbers alone: how V8 finds the shortest text of a fraction costs as much as the rest of the line. */
function seconds(micro: number): string {
  if (!(micro >= 0 && micro < 1e12)) return number(micro / MICRO);
  const whole = Math.floor(micro / MICRO);
  let fraction = micro - whole * MICRO;
  if (fraction === 0) return String(whole);
  let digits = 6;
  while (fraction % 10 === 0) {
    fraction /= 10;
    digits--;
  }
  const text = String(fraction);
  return `${whole}.${'00000'.slice(0, digits - text.length)}${text}`;
}
