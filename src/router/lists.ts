import { dialectOf } from '../catalog/dialects.ts';
import type { Exchange } from '../core/exchange.ts';
import type { Answer } from '../core/mcp.ts';
import { paramOf } from '../core/param-value.ts';
import type { CapabilityKind } from '../core/ports.ts';
import type { Services } from './services.ts';
import { requireScope } from './tools.ts';
import { viewOf } from './view-of.ts';

/** A list, joined for whoever needs it in one piece. */
class ListAnswer {
  readonly kind = 'result';
  readonly pieces: readonly Buffer[];

  constructor(pieces: readonly Buffer[]) {
    this.pieces = pieces;
  }

  get result(): Buffer {
    return Buffer.concat(this.pieces);
  }
}

/** The four lists, from the caller's view. */
export function list(kind: CapabilityKind): (services: Services, exchange: Exchange) => Promise<Answer> {
  return async (services, exchange) => {
    requireScope(exchange, 'turnpike:read');
    await services.started(exchange.signal);
    const { caller, era, version } = exchange;
    return new ListAnswer(services.lists.pieces(kind, viewOf(services, exchange), caller, dialectOf(era, version), paramOf(exchange, 'cursor')));
  };
}
