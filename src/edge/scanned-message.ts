import { TurnpikeError } from '../core/errors.ts';
import type { MemberSpan } from '../core/json.ts';
import { isJsonObject, type JsonObject, type RequestId } from '../core/mcp.ts';
import { spanOf } from '../core/param-value.ts';
import type { ScannedRequest } from '../core/scan.ts';
import type { Metas } from './metas.ts';

/** A request that the scanner could read: what nobody asks for is never parsed. */
export class ScannedMessage {
  readonly kind = 'request';
  readonly id: RequestId;
  readonly method: string;
  readonly params: Buffer;
  readonly spans: readonly MemberSpan[];
  readonly meta: JsonObject | undefined;
  readonly progressToken: unknown;
  #body: JsonObject | undefined;

  constructor({ id, method, params, spans, meta }: ScannedRequest, metas: Metas) {
    this.id = id;
    this.method = method;
    this.params = params;
    this.spans = spans;
    const span = meta === undefined ? undefined : spanOf(spans, '_meta');
    const said = span && metas.parse(params, span.valueStart, span.end, meta ?? []);
    this.meta = said?.meta;
    this.progressToken = said?.progressToken;
  }

  /** Throws `request/invalid` when parser and scanner disagree: two readers of one message are a way around a denylist. */
  get body(): JsonObject {
    this.#body ??= this.#parsed();
    return this.#body;
  }

  #parsed(): JsonObject {
    const body: unknown = JSON.parse(this.params.toString('utf8'));
    if (!isJsonObject(body) || Object.keys(body).length !== this.spans.length || !this.spans.every((span) => this.#agrees(span, body)))
      throw new TurnpikeError('request/invalid', 'Invalid Request: params can be read in two ways');
    return body;
  }

  #agrees({ key, valueStart, end }: MemberSpan, body: JsonObject): boolean {
    if (!Object.hasOwn(body, key)) return false;
    const value = body[key];
    return typeof value !== 'string' || value === JSON.parse(this.params.toString('utf8', valueStart, end));
  }
}
