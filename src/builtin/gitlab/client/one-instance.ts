import { type Clock, systemClock } from '../../../core/clock.ts';
import { TurnpikeError } from '../../../core/errors.ts';
import type { Origin } from '../../../net/origin.ts';
import type { Lease } from '../../../pool/lease.ts';
import { type ApiUrl, knownApiUrl } from './api-url.ts';
import { GitLabError } from './gitlab-error.ts';
import type { InstanceSource } from './instance-source.ts';
import { type OriginSettings, originMaker } from './origin-maker.ts';

/** The connections to the one instance that the operator named: neither a pool nor a guard (gitlab.md 2.6, "disabled"). */
export class OneInstance implements InstanceSource, AsyncDisposable {
  readonly #url: ApiUrl;
  readonly #make: () => Origin;
  readonly #closing = new AbortController();
  #origin: Origin | undefined;

  /** @throws `config/invalid` when a proxy or the CA certificate cannot be used */
  constructor(apiUrl: string, settings: OriginSettings = {}, clock: Clock = systemClock) {
    const url = knownApiUrl(apiUrl);
    const make = originMaker({ ...settings, isExempt: () => true }, clock);
    this.#url = url;
    this.#make = () => make(url);
  }

  async getOrCreate(apiUrl: string): Promise<Lease<Origin>> {
    if (this.#closing.signal.aborted) throw new TurnpikeError('pool/closed');
    if (knownApiUrl(apiUrl).canonical !== this.#url.canonical) throw new GitLabError('invalid_request', 'there is only one GitLab instance here');
    this.#origin ??= this.#make();
    return { value: this.#origin, signal: this.#closing.signal, release: () => undefined, fail: () => undefined };
  }

  /** Fails what is under way. Idempotent. */
  async close(): Promise<void> {
    this.#closing.abort(new TurnpikeError('pool/closed'));
    await this.#origin?.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
