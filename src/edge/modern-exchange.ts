import type { Caller } from '../core/caller.ts';
import type { Exchange } from '../core/exchange.ts';
import type { MemberSpan } from '../core/json.ts';
import { type JsonObject, MODERN_VERSION, type RequestId } from '../core/mcp.ts';
import type { Flow } from '../core/ports.ts';
import type { RequestMessage } from './classify.ts';
import type { Envelope } from './envelope.ts';

export interface ModernExchangeOptions {
  readonly message: RequestMessage;
  readonly envelope: Envelope;
  readonly caller: Caller;
  readonly signal: AbortSignal;
  readonly headers?: Exchange['headers'];
  /** Takes what is said besides the answer, until that. */
  readonly notify: (method: string, params: Buffer) => void;
  readonly flow?: Flow;
}

/** One request of revision 2026-07-28. Its body is parsed when somebody asks for it. */
export class ModernExchange implements Exchange {
  readonly era = 'modern';
  readonly version = MODERN_VERSION;
  readonly id: RequestId;
  readonly method: string;
  readonly params: Buffer;
  readonly spans: readonly MemberSpan[] | undefined;
  readonly meta: JsonObject | undefined;
  readonly caller: Caller;
  readonly signal: AbortSignal;
  readonly capabilities: JsonObject;
  readonly headers: Exchange['headers'];
  readonly logLevel: Exchange['logLevel'];
  readonly progressToken: Exchange['progressToken'];
  readonly notify: Exchange['notify'];
  readonly flow: Flow | undefined;
  readonly #message: RequestMessage;

  constructor({ message, envelope, caller, signal, headers, notify, flow }: ModernExchangeOptions) {
    this.#message = message;
    this.id = message.id;
    this.method = message.method;
    this.params = message.params;
    this.spans = message.spans;
    this.meta = message.meta;
    this.caller = envelope.clientInfo === undefined ? caller : withClient(caller, envelope.clientInfo);
    this.signal = signal;
    this.capabilities = envelope.capabilities;
    this.headers = headers;
    this.logLevel = envelope.logLevel;
    this.progressToken = message.progressToken as Exchange['progressToken'];
    this.notify = notify;
    this.flow = flow;
  }

  get body(): JsonObject {
    return this.#message.body;
  }
}

function withClient({ principal, tenant, scopes }: Caller, clientInfo: NonNullable<Caller['clientInfo']>): Caller {
  return { principal, tenant, scopes, clientInfo };
}
