import { TurnpikeError } from '../core/errors.ts';
import type { Exchange } from '../core/exchange.ts';
import { paramOf } from '../core/param-value.ts';

/** A required text among the params. Throws `request/params` naming it. */
export function requireText(exchange: Exchange, key: string): string {
  const value = paramOf(exchange, key);
  if (typeof value !== 'string')
    throw new TurnpikeError('request/params', `params.${key} must be a string${value === undefined ? ', and is missing' : ''}`);
  return value;
}
