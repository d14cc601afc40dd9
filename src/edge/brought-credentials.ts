import { timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Authentication } from '../auth/authenticator.ts';
import type { Credential } from '../auth/credential.ts';
import type { DistinctHeaders } from '../auth/extract.ts';
import { Secret } from '../core/secret.ts';
import { isPlain, valuesOf } from './header-values.ts';

/** What a connection brought last, and who read it: after a reload it is read anew. */
interface Brought {
  readonly authentication: Authentication;
  readonly authorization: Secret;
  readonly credential: Credential;
}

/**
 * The credentials of requests. A client brings the same `Authorization` with every request of a connection, and to read it costs a hash
 * (performance.md, "Authentication"), so what a connection brought last is known as long as it is open. Only its form is: whose it
 * is, is asked each time.
 */
export class BroughtCredentials {
  readonly #last = new WeakMap<Socket, Brought>();

  /** As `Authentication.extract`. */
  of(request: IncomingMessage, authentication: Authentication): Credential | undefined {
    const alone = onlyAuthorization(request);
    if (alone === undefined) return authentication.extract(credentialHeaders(request));
    const known = this.#last.get(request.socket);
    if (known?.authentication === authentication && isSame(known.authorization, alone)) return known.credential;
    const credential = authentication.extract({ authorization: [alone] });
    if (credential !== undefined) this.#last.set(request.socket, { authentication, authorization: new Secret(alone), credential });
    return credential;
  }
}

/** A proxy sends the requests of many over one connection: the time must not tell what another one brought (security class 28), but for its length. */
function isSame(known: Secret, brought: string): boolean {
  const [before, now] = [Buffer.from(known.reveal()), Buffer.from(brought)];
  return before.length === now.length && timingSafeEqual(before, now);
}

/** `Authorization`, if that is all that a request brings. */
function onlyAuthorization(request: IncomingMessage): string | undefined {
  const { authorization, 'private-token': privateToken, 'job-token': jobToken } = request.headers;
  return privateToken === undefined && jobToken === undefined && isPlain(request) ? authorization : undefined;
}

function credentialHeaders(request: IncomingMessage): DistinctHeaders {
  if (!isPlain(request)) return request.headersDistinct;
  return {
    authorization: valuesOf(request, 'authorization'),
    'private-token': valuesOf(request, 'private-token'),
    'job-token': valuesOf(request, 'job-token'),
  };
}
