import { TurnpikeError } from '../../../core/errors.ts';
import { isJsonObject, type JsonObject } from '../../../core/mcp.ts';
import { sha256 } from '../../../core/secret.ts';
import type { Query } from '../client/api.ts';
import type { Sealing } from './settings.ts';

const PURPOSE = 'gitlab/cursor';

/** A place in a list: the query of a page, and how many of its items were shown already. */
export interface Place {
  readonly query: Query;
  readonly skip: number;
}

/** Cursors of lists, sealed to instance, tool and arguments (gitlab.md 4, "Output"). */
export class Cursors {
  readonly #sealing: Sealing;

  constructor(sealing: Sealing) {
    this.#sealing = sealing;
  }

  make(apiUrl: string, tool: string, args: JsonObject, place: Place): string {
    return this.#sealing.seal(PURPOSE, { bound: binding(apiUrl, tool, args), query: place.query, skip: place.skip });
  }

  /** @throws `request/params` for a cursor of another instance, tool or arguments, and for anything else */
  read(cursor: string, apiUrl: string, tool: string, args: JsonObject): Place {
    const opened = this.#sealing.open(PURPOSE, cursor);
    if (opened === undefined || opened.bound !== binding(apiUrl, tool, args) || !isJsonObject(opened.query)) {
      throw new TurnpikeError('request/params', `cursor is not a next_cursor of ${tool} with these arguments; repeat the call without it`);
    }
    return { query: opened.query as Query, skip: typeof opened.skip === 'number' ? opened.skip : 0 };
  }
}

/** The arguments without the cursor, in one spelling. */
function binding(apiUrl: string, tool: string, args: JsonObject): string {
  const given = Object.entries(args).filter(([name, value]) => name !== 'cursor' && value !== undefined);
  return sha256(JSON.stringify([apiUrl, tool, given.sort(([a], [b]) => (a < b ? -1 : 1))])).toString('base64url');
}
