import { type Caller, principalKey } from '../core/caller.ts';
import { TurnpikeError } from '../core/errors.ts';
import { toJson } from '../core/json.ts';
import type { CapabilityKind } from '../core/ports.ts';
import { sha256 } from '../core/secret.ts';
import type { View } from './view.ts';

/** Items of one page of a list (protocol.md section 4). */
export const PAGE_SIZE = 500;
/** Ours are far shorter. */
const MAX_CURSOR_LENGTH = 1_024;

/** Authenticated encryption of short texts; `open` answers `undefined` for anything it did not seal. */
export interface Sealer {
  seal(payload: string): string;
  open(text: string): string | undefined;
}

/**
 * Cursors of lists: an offset, sealed together with whom and what it is for. It is good for the same principal and tenant, the
 * same kind, and a view in which this list is the same; there is nothing to keep and nothing to expire.
 */
export class Cursors {
  readonly #sealer: Sealer;

  constructor(sealer: Sealer) {
    this.#sealer = sealer;
  }

  /** The cursor of the page that starts at `offset`. */
  make(caller: Caller, kind: CapabilityKind, view: View, offset: number): string {
    return this.#sealer.seal(`${offset}.${binding(caller, kind, view)}`);
  }

  /** The offset in a cursor; without a cursor 0. Throws `catalog/cursor` for all that is wrong with one, in one text. */
  read(cursor: unknown, caller: Caller, kind: CapabilityKind, view: View): number {
    if (cursor === undefined) return 0;
    const payload = typeof cursor === 'string' && cursor.length <= MAX_CURSOR_LENGTH ? this.#sealer.open(cursor) : undefined;
    const [, offset, bound] = /^([0-9]{1,9})\.(.+)$/.exec(payload ?? '') ?? [];
    if (offset === undefined || bound !== binding(caller, kind, view)) throw new TurnpikeError('catalog/cursor');
    return Number(offset);
  }
}

function binding(caller: Caller, kind: CapabilityKind, view: View): string {
  return sha256(toJson([caller.tenant, principalKey(caller.principal), kind, view.fingerprint(kind)])).toString('base64url');
}
