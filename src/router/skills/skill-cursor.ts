import { principalKey } from '../../core/caller.ts';
import { TurnpikeError } from '../../core/errors.ts';
import type { Exchange } from '../../core/exchange.ts';
import type { Services } from '../services.ts';

/** Where the next page starts, in a list of these bytes. */
export interface Place {
  readonly offset: number;
  readonly digest: string;
}

/** The cursor of the next page of `skills/list`, for this caller alone. */
export function sealCursor(services: Services, exchange: Exchange, place: Place): string {
  return services.seals.state.seal('skills/list', { ...place, ...holder(services, exchange) });
}

/** The place in the client's cursor. Throws `catalog/cursor`, one text for all that is wrong with it. */
export function openCursor(services: Services, exchange: Exchange): Place | undefined {
  const { cursor } = exchange.body;
  if (cursor === undefined) return undefined;
  const opened = typeof cursor === 'string' ? services.seals.state.openJson('skills/list', cursor) : undefined;
  if (opened?.ok !== true) throw new TurnpikeError('catalog/cursor');
  const { offset, digest, who, tenant } = opened.value;
  const own = holder(services, exchange);
  if (typeof offset !== 'number' || typeof digest !== 'string' || who !== own.who || tenant !== own.tenant) throw new TurnpikeError('catalog/cursor');
  return { offset, digest };
}

function holder({ fingerprint }: Services, { caller }: Exchange) {
  return { who: fingerprint.of('state', principalKey(caller.principal)), tenant: caller.tenant };
}
