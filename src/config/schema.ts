import * as z from 'zod';
import { nearest } from './nearest.ts';
import { ALWAYS, listOf, objectOf } from './rules.ts';
import { authSection } from './sections/auth.ts';
import { bridgeSection } from './sections/bridge.ts';
import { limitsSection, poolSection } from './sections/limits.ts';
import { listenSection } from './sections/listen.ts';
import { catalogSection, policySection } from './sections/policy.ts';
import { storeSection } from './sections/store.ts';
import { telemetrySection } from './sections/telemetry.ts';
import { upstreamsSection } from './sections/upstreams.ts';

/**
 * The one declaration of every setting (configuration.md): file, environment, flags, `--help`, JSON Schema, reference
 * page and example are made from it. Durations come out in milliseconds, sizes in bytes, secrets as `Secret`.
 *
 * Parsing does no I/O. What needs some is the loader's: references, files of secrets, and `~` in `store.dir`.
 */
export const configSchema = z
  .strictObject({
    listen: listenSection,
    auth: authSection,
    store: storeSection,
    limits: limitsSection,
    pool: poolSection,
    upstreams: upstreamsSection,
    catalog: catalogSection,
    policy: policySection,
    bridge: bridgeSection,
    telemetry: telemetrySection,
  })
  .superRefine(namesAreUpstreams, ALWAYS)
  .transform(({ upstreams, ...config }) => {
    const { idleTimeout, maxErrorCount, closeDelay, limits } = config.pool;
    const defaults = { idleTimeout, maxErrorCount, closeDelay, maxConnections: limits.perUpstream };
    const complete = <T extends (typeof upstreams)[number]>(upstream: T) => ({ ...upstream, pool: { ...defaults, ...upstream.pool } });
    return {
      ...config,
      upstreams: upstreams.map((upstream) => (upstream.type === 'stdio' ? { cwd: config.store.dir, ...complete(upstream) } : complete(upstream))),
    };
  });

/** The configuration as the program reads it: complete, checked, every default filled in. */
export type Config = z.output<typeof configSchema>;

/** One upstream; `type` tells which fields it has. */
export type UpstreamConfig = Config['upstreams'][number];

/** What names an upstream names one that is there. */
function namesAreUpstreams(config: unknown, context: Pick<z.RefinementCtx, 'addIssue'>): void {
  const { auth, bridge, policy, upstreams } = objectOf(config);
  const known = listOf(upstreams).map((upstream) => String(objectOf(upstream).name));
  if (listOf(objectOf(auth).modes).includes('gitlab') && !listOf(upstreams).some((upstream) => objectOf(upstream).type === 'gitlab')) {
    const message = 'holds gitlab, and no upstream is a GitLab that could be asked (expected an upstream of type gitlab)';
    context.addIssue({ code: 'custom', path: ['auth', 'modes'], message });
  }
  const check = (name: string, path: string[]) => {
    if (known.includes(name)) return;
    const like = nearest(name, known);
    const hint = like === undefined ? '' : `; did you mean "${like}"?`;
    context.addIssue({ code: 'custom', path, message: `names '${name}' (expected the name of an upstream)${hint}` });
  };
  for (const pair of listOf(objectOf(objectOf(policy).denylist).except)) check(String(pair).split(':', 1)[0] ?? '', ['policy', 'denylist', 'except']);
  for (const name of Object.keys(objectOf(objectOf(bridge).roots))) check(name, ['bridge', 'roots', name]);
}
