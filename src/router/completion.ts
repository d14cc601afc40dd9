import { TurnpikeError } from '../core/errors.ts';
import type { Exchange } from '../core/exchange.ts';
import { editObject, member, toJson } from '../core/json.ts';
import { type Answer, isJsonObject } from '../core/mcp.ts';
import { callUpstream } from './call.ts';
import type { Services } from './services.ts';
import { requireScope } from './tools.ts';
import { viewOf } from './view-of.ts';

/** `completion/complete`: routed by what it refers to. */
export async function complete(services: Services, exchange: Exchange): Promise<Answer> {
  const { ref } = exchange.body;
  const bytes = isJsonObject(ref) ? member(exchange.params, 'ref') : undefined;
  if (!isJsonObject(ref) || bytes === undefined) throw new TurnpikeError('request/params', 'params.ref must be an object');
  requireScope(exchange, 'turnpike:read');
  const view = viewOf(services, exchange);
  if (ref.type === 'ref/prompt' && typeof ref.name === 'string') {
    const found = view.resolvePrompt(ref.name);
    if (found.kind !== 'found') throw new TurnpikeError('catalog/prompt', found.text);
    return forward(services, exchange, found.upstream, found.original, editObject(bytes, { name: toJson(found.original) }));
  }
  if (ref.type === 'ref/resource' && typeof ref.uri === 'string') {
    const template = view.resolveTemplate(ref.uri);
    const found = template.kind === 'found' ? template : view.resolveResource(ref.uri);
    if (found.kind !== 'found') throw new TurnpikeError('catalog/resource', found.text, { data: { uri: ref.uri } });
    return forward(services, exchange, found.upstream, found.original, editObject(bytes, { uri: toJson(found.original) }));
  }
  throw new TurnpikeError('request/params', 'params.ref must be a ref/prompt with a name or a ref/resource with a uri');
}

function forward(services: Services, exchange: Exchange, upstream: string, original: string, ref: Buffer): Promise<Answer> {
  return callUpstream(services, exchange, {
    upstream,
    original,
    method: 'completion/complete',
    params: editObject(exchange.params, { ref }),
    repeatable: true,
  });
}
