import type { IncomingMessage } from 'node:http';
import type { Exchange } from '../core/exchange.ts';

const PREFIXES = ['mcp-param-', 'x-turnpike-'];

/**
 * The request headers that the router may see, by lower-case name; credentials are never among them. One that was sent twice is a
 * list: joined into one text, two values could pass for a third one (security class 19).
 */
export function foreignHeaders(request: IncomingMessage): NonNullable<Exchange['headers']> {
  const kept: Record<string, string | string[]> = {};
  const all = request.headersDistinct;
  for (const name in all) {
    if (!PREFIXES.some((prefix) => name.startsWith(prefix))) continue;
    const [first, ...others] = all[name] ?? [];
    if (first !== undefined) kept[name] = others.length === 0 ? first : [first, ...others];
  }
  return kept;
}
