import { TurnpikeError } from '../../../core/errors.ts';
import { isJsonObject, type JsonObject } from '../../../core/mcp.ts';
import { sha256 } from '../../../core/secret.ts';
import type { Query } from '../client/api.ts';
import type { Sealing } from './settings.ts';

const PURPOSE = 'gitlab/cursor';
/** Characters of a cursor: an instance that names more has no next page. */
const MAX_CURSOR = 2_000;

/** A place in a list: the query of a page, and how many of its items were shown already. */
export interface Place {
  readonly query: Query;
  readonly skip: number;
}

/** The list that a cursor belongs to. */
export interface List {
  readonly apiUrl: string;
  readonly tool: string;
  readonly args: JsonObject;
  /** The query of its first page, made from the arguments: a cursor holds what differs from it. */
  readonly first: Query;
}

/** Cursors of lists, sealed to instance, tool and arguments (gitlab.md 4, "Output"). */
export class Cursors {
  readonly #sealing: Sealing;

  constructor(sealing: Sealing) {
    this.#sealing = sealing;
  }

  /** Undefined where it would be longer than anybody should carry. */
  make({ apiUrl, tool, args, first }: List, { query, skip }: Place): string | undefined {
    const changed = Object.entries(query).filter(([name, value]) => first[name] === undefined || textOf(value) !== textOf(first[name]));
    const gone = Object.keys(first).filter((name) => query[name] === undefined);
    const cursor = this.#sealing.seal(PURPOSE, { bound: binding(apiUrl, tool, args), query: Object.fromEntries(changed), gone, skip });
    return cursor.length > MAX_CURSOR ? undefined : cursor;
  }

  /** @throws `request/params` for a cursor of another instance, tool or arguments, and for anything else */
  read(cursor: string, { apiUrl, tool, args, first }: List): Place {
    const opened = this.#sealing.open(PURPOSE, cursor);
    if (opened === undefined || opened.bound !== binding(apiUrl, tool, args) || !isJsonObject(opened.query)) {
      throw new TurnpikeError('request/params', `cursor is not a next_cursor of ${tool} with these arguments; repeat the call without it`);
    }
    const gone: ReadonlySet<unknown> = new Set(Array.isArray(opened.gone) ? opened.gone : []);
    const left = Object.entries(first).filter(([name]) => !gone.has(name));
    return { query: { ...Object.fromEntries(left), ...(opened.query as Query) }, skip: typeof opened.skip === 'number' ? opened.skip : 0 };
  }
}

/** As a query says it: what a link names is text. */
function textOf(value: Query[string]): string {
  return JSON.stringify(Array.isArray(value) ? value.map(String) : String(value));
}

/** The arguments without the cursor, in one spelling. */
function binding(apiUrl: string, tool: string, args: JsonObject): string {
  const given = Object.entries(args).filter(([name, value]) => name !== 'cursor' && value !== undefined);
  return sha256(JSON.stringify([apiUrl, tool, given.sort(([a], [b]) => (a < b ? -1 : 1))])).toString('base64url');
}
