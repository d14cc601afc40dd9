import { createRequire } from 'node:module';
import type * as undici from 'undici';

/**
 * The parts of undici that calls to upstreams need. Its index loads fetch, caches, mocks and WebSockets besides: some MB that an idle
 * process has no use for (performance.md, "undici parts lazily"). Whoever needs more imports `undici` when it is needed: the classes are
 * the same ones. Dispatchers have `request`, `connect` and the like only then.
 */
const part = createRequire(import.meta.url);

export const Pool: typeof undici.Pool = part('undici/lib/dispatcher/pool.js');
export const buildConnector: typeof undici.buildConnector = part('undici/lib/core/connect.js');
export const errors: typeof undici.errors = part('undici/lib/core/errors.js');
