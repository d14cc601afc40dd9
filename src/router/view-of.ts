import type { View } from '../catalog/view.ts';
import type { Caller } from '../core/caller.ts';
import type { Exchange } from '../core/exchange.ts';
import type { Services } from './services.ts';

/** The caller's view for this request, narrowed by its `X-Turnpike-Toolset` header. */
export function viewOf({ catalog }: Services, exchange: Exchange): View {
  return catalog.viewFor(exchange.caller, toolsetOf(exchange));
}

/** The caller, and what this request narrows its view to. */
export function narrowedCaller(exchange: Exchange): Caller {
  const toolset = toolsetOf(exchange);
  return toolset === undefined ? exchange.caller : { ...exchange.caller, toolset };
}

function toolsetOf({ headers }: Exchange): string | undefined {
  const toolset = headers?.['x-turnpike-toolset'];
  return Array.isArray(toolset) ? toolset.join(',') : toolset;
}

/** What a name means. One that is unknown while upstreams start for the first time is looked for again when they have. */
export function resolveIn<R extends { readonly kind: string }>(services: Services, exchange: Exchange, resolve: (view: View) => R): R | Promise<R> {
  const found = resolve(viewOf(services, exchange));
  if (found.kind !== 'unknown') return found;
  return services.started(exchange.signal).then(() => resolve(viewOf(services, exchange)));
}
