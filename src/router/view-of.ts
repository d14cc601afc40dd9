import type { View } from '../catalog/view.ts';
import type { Exchange } from '../core/exchange.ts';
import type { Services } from './services.ts';

/** The caller's view for this request, narrowed by its `X-Turnpike-Toolset` header. */
export function viewOf({ catalog }: Services, { caller, headers }: Exchange): View {
  const toolset = headers?.['x-turnpike-toolset'];
  return catalog.viewFor(caller, Array.isArray(toolset) ? toolset.join(',') : toolset);
}
