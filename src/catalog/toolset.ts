import { TurnpikeError } from '../core/errors.ts';

/** Most selectors in one `X-Turnpike-Toolset` header (aggregator.md section 3). */
const MAX_SELECTORS = 32;

/** What a request narrowed its view to; the selectors are united. */
export interface Toolset {
  readonly servers: ReadonlySet<string>;
  /** Exposed names. */
  readonly tools: ReadonlySet<string>;
}

/** What can be selected in the view before narrowing. */
export interface Selectable {
  readonly hasServer: (name: string) => boolean;
  readonly hasTool: (exposed: string) => boolean;
  /** Upstreams that a family shows under its own name; none: there is no such family. */
  readonly membersOf: (family: string) => readonly string[];
}

/**
 * Reads `X-Turnpike-Toolset`. Throws `request/params` with `unknown toolset selector 'SEL'` for a selector that is malformed,
 * of an unknown sort, or names something outside the caller's view: all alike, so that nothing can be probed.
 */
export function parseToolset(header: string, selectable: Selectable): Toolset {
  const selectors = header.split(',').map((selector) => selector.trim());
  if (selectors.length > MAX_SELECTORS) throw new TurnpikeError('request/params', `at most ${MAX_SELECTORS} toolset selectors are allowed`);
  const servers = new Set<string>();
  const tools = new Set<string>();
  for (const selector of selectors) {
    const colon = selector.indexOf(':');
    const sort = selector.slice(0, Math.max(0, colon));
    const name = selector.slice(colon + 1);
    if (sort === 'server' && selectable.hasServer(name)) servers.add(name);
    else if (sort === 'family' && selectable.membersOf(name).length > 0) for (const member of selectable.membersOf(name)) servers.add(member);
    else if (sort === 'tool' && selectable.hasTool(name)) tools.add(name);
    else throw new TurnpikeError('request/params', `unknown toolset selector '${selector}'`);
  }
  return { servers, tools };
}
