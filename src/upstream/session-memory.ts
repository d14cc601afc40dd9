import { parseJson } from '../core/json.ts';
import { isJsonObject } from '../core/mcp.ts';
import type { UpstreamCall } from '../core/ports.ts';

/** Subscriptions that are remembered for one session. */
const MAX_URIS = 1_000;

interface Told {
  readonly method: string;
  readonly params: Buffer;
}

/** What a session upstream was told and keeps in its session: said again when it forgot the session. */
export class SessionMemory {
  #level: Told | undefined;
  readonly #subscriptions = new Map<string, Told>();

  /** Called with every request that was answered with a result. */
  note({ method, params }: UpstreamCall): void {
    if (method === 'logging/setLevel') this.#level = { method, params };
    if (method !== 'resources/subscribe' && method !== 'resources/unsubscribe') return;
    const parsed = parseJson(params);
    const uri = parsed.ok && isJsonObject(parsed.value) ? parsed.value.uri : undefined;
    if (typeof uri !== 'string') return;
    this.#subscriptions.delete(uri);
    if (method === 'resources/subscribe' && this.#subscriptions.size < MAX_URIS) this.#subscriptions.set(uri, { method, params });
  }

  /** What a new session must be told. */
  told(): readonly Told[] {
    return [...(this.#level === undefined ? [] : [this.#level]), ...this.#subscriptions.values()];
  }
}
