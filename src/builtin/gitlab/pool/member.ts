import type { Timer } from '../../../core/clock.ts';
import type { CredentialKind, GitLabApi } from '../client/api.ts';
import type { Identity } from './identity.ts';

/** One credential at one instance that was proven, and the server made for it. */
export interface Member<S> {
  /** As `CredentialNames` gives it. */
  readonly name: string;
  readonly kind: CredentialKind;
  readonly identity: Identity;
  /** Holds the credential; nothing else does. */
  readonly client: GitLabApi;
  readonly server: S;
  /** Aborts when it is over, with the reason that its calls give. */
  readonly ended: AbortController;
  /** When it is asked about next. */
  timer: Timer | undefined;
  /** The question under way. */
  check: Promise<void> | undefined;
  /** Consecutive questions without a verdict. */
  unanswered: number;
  /** It was retired: nothing that is still under way counts. */
  gone: boolean;
}
