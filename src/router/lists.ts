import { dialectOf } from '../catalog/dialects.ts';
import type { Exchange } from '../core/exchange.ts';
import type { Answer } from '../core/mcp.ts';
import { paramOf } from '../core/param-value.ts';
import { PiecedResult } from '../core/pieced-result.ts';
import type { CapabilityKind } from '../core/ports.ts';
import type { Services } from './services.ts';
import { requireScope } from './tools.ts';
import { viewOf } from './view-of.ts';

/** The four lists, from the caller's view. */
export function list(kind: CapabilityKind): (services: Services, exchange: Exchange) => Promise<Answer> {
  return async (services, exchange) => {
    requireScope(exchange, 'turnpike:read');
    await services.started(exchange.signal);
    const { caller, era, version } = exchange;
    return new PiecedResult(services.lists.pieces(kind, viewOf(services, exchange), caller, dialectOf(era, version), paramOf(exchange, 'cursor')));
  };
}
