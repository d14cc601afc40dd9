import { isJsonObject, type JsonObject } from '../../../core/mcp.ts';
import type { Query } from '../client/api.ts';
import type { Work } from './declaration.ts';
import { listed } from './listing.ts';
import type { Produced, ProducedItem } from './produced.ts';
import { pathOf, routeOf, sentOf } from './routing.ts';

/** The tool as its declaration says: one request, one item or one page. */
export async function viaRest(work: Work): Promise<Produced> {
  return work.declaration.list === true ? listed(work) : produced(await sent(work));
}

/** What the declared request answers, arguments as given or changed. */
export async function sent(work: Work, args: JsonObject = work.args, more: { readonly query?: Query } = {}): Promise<JsonObject> {
  const { declaration, api, signal } = work;
  const route = routeOf(declaration, args);
  const { query, body } = sentOf(declaration, route, args);
  const { method } = declaration;
  const answer = await api.request({
    ...(method === undefined ? {} : { method }),
    path: pathOf(route, args),
    query: { ...query, ...more.query },
    ...(method === 'POST' || method === 'PUT' ? { body } : {}),
    signal,
  });
  if (isJsonObject(answer.body)) return answer.body;
  // A 2xx is success whatever its body; a list where one thing was expected is shown as it is.
  return Array.isArray(answer.body) ? { items: answer.body } : { status: answer.status };
}

export function produced(item: JsonObject): ProducedItem {
  return { kind: 'item', item };
}

/** One object of the API, read besides the tool's own request. */
export async function readObject(work: Work, route: string, query: Query = {}): Promise<JsonObject> {
  const { body } = await work.api.request({ path: pathOf(route, work.args), query, signal: work.signal });
  return isJsonObject(body) ? body : {};
}
