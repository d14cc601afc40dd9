import type { Secret } from '../core/secret.ts';

/** How a credential was presented. */
export type CredentialScheme = 'bearer' | 'private-token' | 'job-token';

/** What a caller presents to us. */
export interface Credential {
  readonly scheme: CredentialScheme;
  readonly token: Secret;
  /** SHA-256 of the token: what maps and comparisons use. It never leaves the process. */
  readonly digest: Buffer;
}
