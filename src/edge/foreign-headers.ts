import type { IncomingMessage } from 'node:http';
import type { Exchange } from '../core/exchange.ts';
import { valuesOf } from './header-values.ts';

type ForeignHeaders = NonNullable<Exchange['headers']>;

const NONE: ForeignHeaders = Object.freeze({});

/**
 * The request headers that the router may see, by lower-case name; credentials are never among them. One that was sent twice is a
 * list: joined into one text, two values could pass for a third one (security class 19).
 */
export function foreignHeaders(request: IncomingMessage): ForeignHeaders {
  let kept: Record<string, string | string[]> | undefined;
  for (const name in request.headers) {
    if (!name.startsWith('mcp-param-') && !name.startsWith('x-turnpike-')) continue;
    const [first, ...others] = valuesOf(request, name) ?? [];
    if (first === undefined) continue;
    kept ??= {};
    kept[name] = others.length === 0 ? first : [first, ...others];
  }
  return kept ?? NONE;
}
