import type { Clock } from '../../../core/clock.ts';
import type { CredentialKind, GitLabApi } from '../client/api.ts';
import { CredentialRejectedError } from './errors.ts';
import { Gate } from './gate.ts';
import { askIdentity, type Identity, patiently } from './identity.ts';

/** Questions to one instance at once (gitlab.md 1.2). */
const AT_ONCE = 16;
/** How long, and of how many, it is remembered that GitLab rejected them. */
const REJECTED_MS = 30_000;
const MAX_REJECTED = 10_000;

/** Proves credentials, a few at a time for each instance, and remembers for a moment which were rejected (gitlab.md 1.2). */
export class CredentialCheck {
  readonly #clock: Clock;
  readonly #gates = new Map<string, Gate>();
  /** When each is forgotten, in monotonic milliseconds; oldest first. */
  readonly #rejected = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Whose credential it is. The time that it waits for its turn counts: a flood of others does not hold it up for longer than 5 s.
   * @param name of the credential
   * @throws as `askIdentity`
   */
  async prove(name: string, client: GitLabApi, kind: CredentialKind, signal: AbortSignal): Promise<Identity> {
    if (this.#isRejected(name)) throw new CredentialRejectedError();
    const { apiUrl } = client;
    const gate = this.#gates.get(apiUrl) ?? new Gate(AT_ONCE);
    this.#gates.set(apiUrl, gate);
    try {
      return await patiently(this.#clock, signal, (until) => gate.run(until, () => askIdentity(client, kind, until)));
    } catch (error) {
      if (error instanceof CredentialRejectedError && error.scopes.length === 0 && error.code === 'auth/invalid') this.reject(name);
      throw error;
    } finally {
      if (gate.empty && this.#gates.get(apiUrl) === gate) this.#gates.delete(apiUrl);
    }
  }

  /** GitLab said so. */
  reject(name: string): void {
    const now = this.#clock.monotonic();
    for (const [oldest, until] of this.#rejected) {
      if (until > now && this.#rejected.size < MAX_REJECTED) break;
      this.#rejected.delete(oldest);
    }
    this.#rejected.delete(name);
    this.#rejected.set(name, now + REJECTED_MS);
  }

  #isRejected(name: string): boolean {
    return (this.#rejected.get(name) ?? Number.NEGATIVE_INFINITY) > this.#clock.monotonic();
  }
}
