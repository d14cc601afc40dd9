import type { Era } from '../core/mcp.ts';
import { sha256 } from '../core/secret.ts';
import type { UpstreamSettings } from './settings.ts';

/** The store, as far as eras need it: small values that may be lost. */
export interface EraStore {
  get(space: string, id: string, signal?: AbortSignal): Promise<Buffer | undefined>;
  set(space: string, id: string, value: Buffer, options?: { readonly ttl?: number }, signal?: AbortSignal): Promise<boolean>;
  delete(space: string, id: string, signal?: AbortSignal): Promise<boolean>;
}

const SPACE = 'upstream/era';
/** A legacy upstream may have learned the modern revision by tomorrow (protocol.md section 4). */
const LEGACY_MS = 24 * 3_600_000;

/** Which era an upstream spoke last, per name and address. A store that fails costs a probe, never a call. */
export class EraMemory {
  readonly #store: EraStore;
  readonly #onFailure: (error: unknown) => void;

  constructor(store: EraStore, onFailure: (error: unknown) => void) {
    this.#store = store;
    this.#onFailure = onFailure;
  }

  async recall(settings: UpstreamSettings, signal: AbortSignal): Promise<Era | undefined> {
    const value = await this.#quietly(() => this.#store.get(SPACE, idOf(settings), signal));
    const text = value?.toString('utf8');
    return text === 'modern' || text === 'legacy' ? text : undefined;
  }

  async remember(settings: UpstreamSettings, era: Era, signal: AbortSignal): Promise<void> {
    await this.#quietly(() => this.#store.set(SPACE, idOf(settings), Buffer.from(era), era === 'legacy' ? { ttl: LEGACY_MS } : {}, signal));
  }

  async forget(settings: UpstreamSettings, signal: AbortSignal): Promise<void> {
    await this.#quietly(() => this.#store.delete(SPACE, idOf(settings), signal));
  }

  async #quietly<T>(work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work();
    } catch (error) {
      this.#onFailure(error);
      return undefined;
    }
  }
}

function idOf({ name, target }: UpstreamSettings): string {
  const address =
    target.type === 'stdio' ? [target.command, ...target.args] : target.type === 'builtin' ? [target.kind] : target.endpoints.map(({ url }) => url);
  return sha256(JSON.stringify([name, address])).toString('base64url');
}
