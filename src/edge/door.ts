import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Caller, Principal } from '../core/caller.ts';
import type { ErrorCode } from '../core/errors.ts';
import type { Admission } from '../limit/admission.ts';
import type { Message } from './classify.ts';
import type { Session } from './session.ts';

/** Where the ways of this process to let requests in may differ from the gateway's own. Which door there is, the composition decides. */
export interface Door {
  /** What is said to new work while the process ends; undefined: the usual sentence. */
  readonly draining: string | undefined;
  /**
   * Charges the messages of one body, before anything is done for them; what is left may be said on the answer. Throws `limit/user`; a
   * promise only when the limit has to be asked for.
   */
  charge(principal: Principal, messages: readonly Message[], response: ServerResponse): void | Promise<void>;
  /** The session of messages that name none; undefined: they must. Throws `session/full`. */
  sessionFor(caller: Caller, messages: readonly Message[]): Session | undefined;
  /** A request that belongs to this session is let in. */
  entered(session: Session, request: IncomingMessage): void;
  /** A credential was refused, for a reason that counts as a failure. */
  credentialRefused(): void;
  /** A request was answered with this error. */
  refused(code: ErrorCode): void;
}

/** The gateway's own. Of each body, one message was charged before it was read. */
export class GatewayDoor implements Door {
  readonly draining = undefined;
  readonly #admission: () => Admission;

  constructor(admission: () => Admission) {
    this.#admission = admission;
  }

  charge(principal: Principal, messages: readonly Message[]): void | Promise<void> {
    if (messages.length > 1) return this.#chargeOthers(principal, messages.length);
  }

  sessionFor(): undefined {
    return undefined;
  }

  entered(): void {}

  credentialRefused(): void {}

  refused(): void {}

  /** Every message of a batch is a request of its principal. */
  async #chargeOthers(principal: Principal, count: number): Promise<void> {
    for (let more = count; more > 1; more--) await this.#admission().admitPrincipal(principal);
  }
}
