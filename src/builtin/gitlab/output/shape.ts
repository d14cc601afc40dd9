import { isJsonObject, type JsonObject } from '../../../core/mcp.ts';

/** Which fields of an answer are kept: a name, or a name with what is kept inside. */
export interface Shape {
  readonly [field: string]: Shape | true;
}

/**
 * Reads `'iid title author{username} assignees{username}'`.
 * @throws TypeError when braces do not match: a mistake of ours
 */
export function shape(text: string): Shape {
  const root: Record<string, Shape | true> = {};
  const open: Record<string, Shape | true>[] = [root];
  for (const [token] of text.matchAll(/[A-Za-z0-9_]+\{?|\}/g)) {
    const top = open.at(-1);
    if (top === undefined) throw new TypeError(`too many } in shape ${text}`);
    if (token === '}') open.pop();
    else if (token.endsWith('{')) {
      const inner: Record<string, Shape | true> = {};
      top[token.slice(0, -1)] = inner;
      open.push(inner);
    } else top[token] = true;
  }
  if (open.length !== 1) throw new TypeError(`unmatched braces in shape ${text}`);
  return root;
}

/** The known fields of an answer, in the order of the shape. Null, missing and fields of an unexpected type are tolerated (gitlab.md 3). */
export function pick(value: unknown, kept: Shape): unknown {
  if (Array.isArray(value)) return value.map((entry) => pick(entry, kept));
  if (!isJsonObject(value)) return value;
  const picked: [string, unknown][] = [];
  for (const [field, inner] of Object.entries(kept)) {
    const found = value[field];
    if (found === null || found === undefined) continue;
    picked.push([field, inner === true ? found : pick(found, inner)]);
  }
  return Object.fromEntries(picked);
}

/** As `pick`, for what must be an object; anything else becomes `{}`: a successful write is a success whatever its body. */
export function pickObject(value: unknown, kept: Shape): JsonObject {
  return isJsonObject(value) ? (pick(value, kept) as JsonObject) : {};
}
