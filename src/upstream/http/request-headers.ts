import { type Era, MODERN_VERSION } from '../../core/mcp.ts';
import { encodeHeaderValue } from '../../core/mcp-headers.ts';

/** What the handshake agreed on. */
export interface Protocol {
  readonly era: Era;
  readonly version: string;
}

type Headers = Readonly<Record<string, string>>;

const SESSION = 'mcp-session-id';
const VERSION = 'mcp-protocol-version';
const METHOD = 'mcp-method';
const CONTENT: Headers = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };

/**
 * The headers of one transport's requests, as lists of names and values by turns. What is the same for every message is
 * put together once for each credential, handshake and session; a message adds what repeats its body.
 */
export class RequestHeaders {
  #configured: Headers = {};
  #protocol: Protocol | undefined;
  #sessionId: string | undefined;
  #fixed: string[] | undefined;
  /** Names of the fixed headers, and those that a message adds by other rules. */
  #names: ReadonlySet<string> = new Set();
  /** The last method and how it travels: nearly all messages have the same. */
  #method = '';
  #encodedMethod = '';

  /** @param headers by lower-case name; those of the protocol win over them */
  configure(headers: Headers): void {
    this.#configured = headers;
    this.#fixed = undefined;
  }

  get protocol(): Protocol | undefined {
    return this.#protocol;
  }

  set protocol(protocol: Protocol) {
    this.#protocol = protocol;
    this.#fixed = undefined;
  }

  get sessionId(): string | undefined {
    return this.#sessionId;
  }

  set sessionId(id: string | undefined) {
    this.#sessionId = id;
    this.#fixed = undefined;
  }

  /** Whether the messages name a session. */
  get inSession(): boolean {
    return this.#configured[SESSION] !== undefined || (this.#sessionId !== undefined && this.#protocol?.era !== 'modern');
  }

  /**
   * For one message. The list may be used again: it is not to be changed.
   *
   * @param minted the headers that repeat the body; not sent to a legacy upstream
   */
  ofMessage(method: string | undefined, minted: Headers | undefined): string[] {
    this.#fixed ??= this.#fix();
    const era = this.#protocol?.era;
    if (era === 'legacy') return method === 'initialize' ? list({ ...this.#configured, ...CONTENT }) : this.#fixed;
    const headers = this.#fixed.slice();
    for (const name in minted) {
      // Nothing is said twice.
      if (this.#names.has(name)) return this.#merged(method, minted);
      headers.push(name, minted[name] ?? '');
    }
    if (era !== 'modern' || method === undefined) return headers;
    if (this.#configured[METHOD] !== undefined) return this.#merged(method, minted ?? {});
    headers.push(METHOD, this.#encoded(method));
    return headers;
  }

  /** For a GET stream. */
  ofStream(lastEventId: string | undefined): string[] {
    return list({ ...this.#session(), accept: 'text/event-stream', ...(lastEventId === undefined ? {} : { 'last-event-id': lastEventId }) });
  }

  /** For the end of the session. */
  ofEnd(): string[] {
    return list(this.#session());
  }

  #fix(): string[] {
    const headers = this.#record({});
    this.#names = new Set([...Object.keys(headers), METHOD, SESSION]);
    return list(headers);
  }

  #merged(method: string | undefined, minted: Headers): string[] {
    const own = this.#protocol === undefined || method === undefined ? {} : { [METHOD]: this.#encoded(method) };
    return list({ ...this.#record(minted), ...own });
  }

  #record(minted: Headers): Headers {
    const { era } = this.#protocol ?? {};
    if (era === 'legacy') return { ...this.#session(), ...CONTENT };
    if (era === 'modern') return { ...this.#configured, ...minted, ...CONTENT, [VERSION]: MODERN_VERSION };
    return { ...this.#configured, ...minted, ...CONTENT, ...(this.#sessionId === undefined ? {} : { [SESSION]: this.#sessionId }) };
  }

  #session(): Headers {
    return {
      ...this.#configured,
      ...(this.#protocol?.era === 'legacy' ? { [VERSION]: this.#protocol.version } : {}),
      ...(this.#sessionId === undefined ? {} : { [SESSION]: this.#sessionId }),
    };
  }

  #encoded(method: string): string {
    if (method !== this.#method) {
      this.#encodedMethod = encodeHeaderValue(method);
      this.#method = method;
    }
    return this.#encodedMethod;
  }
}

/** As undici takes them: names and values by turns. */
export function list(headers: Headers): string[] {
  return Object.entries(headers).flat();
}
