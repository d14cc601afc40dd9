import { type Secret, sha256Key } from '../core/secret.ts';

/** How a credential was presented. */
export type CredentialScheme = 'bearer' | 'private-token' | 'job-token';

/** What a caller presents to us. */
export class Credential {
  readonly scheme: CredentialScheme;
  readonly token: Secret;
  /** SHA-256 of the token as text: what maps are keyed by. It never leaves the process. */
  readonly key: string;
  /** A token of GitLab that came along for upstreams, and says nothing about who calls us (identity.md 1). */
  readonly beside: Credential | undefined;
  #digest: Buffer | undefined;

  constructor(scheme: CredentialScheme, token: Secret, beside?: Credential) {
    this.beside = beside;
    this.scheme = scheme;
    this.token = token;
    this.key = sha256Key(token.reveal());
  }

  /** The same as bytes: what comparisons in constant time use. */
  get digest(): Buffer {
    this.#digest ??= Buffer.from(this.key, 'base64url');
    return this.#digest;
  }
}
