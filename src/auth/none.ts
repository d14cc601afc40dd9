import { isLoopback } from '../limit/address.ts';
import type { AuthContext, Authenticator, Verdict } from './authenticator.ts';
import type { Credential } from './credential.ts';
import { ANONYMOUS } from './identity.ts';

/**
 * Mode `none` (identity.md 1): takes everything that comes over loopback, from the socket and from the client that
 * a trusted proxy names. The guard has checked Host and Origin; the configuration refuses other listeners.
 */
export class NoAuthenticator implements Authenticator {
  readonly mode = 'none';

  authenticate(_credential: Credential | undefined, context: AuthContext): Verdict {
    if (isLoopback(context.peer) && isLoopback(context.address)) return { kind: 'accepted', identity: ANONYMOUS };
    return { kind: 'refused', reason: 'mode none serves loopback only' };
  }
}
