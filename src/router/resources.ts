import { TurnpikeError } from '../core/errors.ts';
import type { Exchange } from '../core/exchange.ts';
import { editObject, toJson } from '../core/json.ts';
import type { Answer } from '../core/mcp.ts';
import { callUpstream } from './call.ts';
import type { CallNote } from './call-note.ts';
import { requireText } from './params.ts';
import type { Services } from './services.ts';
import { requireScope } from './tools.ts';
import { viewOf } from './view-of.ts';

export async function readResource(services: Services, exchange: Exchange, note: CallNote): Promise<Answer> {
  const uri = requireText(exchange, 'uri');
  note.exposed(uri);
  const { upstream, original } = resolveUri(services, exchange, uri);
  note.resolved(upstream, original);
  requireScope(exchange, 'turnpike:read');
  const params = uri === original ? exchange.params : editObject(exchange.params, { uri: toJson(original) });
  return callUpstream(services, exchange, { upstream, original, method: 'resources/read', params, repeatable: true });
}

/** Where a URI leads in the caller's view. Throws `catalog/resource` and `catalog/ambiguous`. */
export function resolveUri(services: Services, exchange: Exchange, uri: string): { readonly upstream: string; readonly original: string } {
  const found = viewOf(services, exchange).resolveResource(uri);
  if (found.kind === 'found') return found;
  throw new TurnpikeError(found.kind === 'ambiguous' ? 'catalog/ambiguous' : 'catalog/resource', found.text, { data: { uri } });
}
