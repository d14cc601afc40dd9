import { createHmac, randomBytes } from 'node:crypto';
import type { CredentialKind } from '../client/api.ts';

/**
 * Names of credentials at instances: keys of pools, words in logs. Made with a random key of the process, so that nobody can test a
 * guess against one (gitlab.md 1.3).
 */
export class CredentialNames {
  readonly #key = randomBytes(32);

  /** 64 hex digits. @param apiUrl canonical */
  of(kind: CredentialKind, token: string, apiUrl: string): string {
    return createHmac('sha256', this.#key).update(`${kind}\0${token}\0${apiUrl}`).digest('hex');
  }
}

/** As much of a name as logs show. */
export function shortName(name: string): string {
  return name.slice(0, 8);
}
