import * as z from 'zod';
import { duration, integer, number } from '../leaves.ts';

/** `limits`: rates per second and caps (identity.md 6, protocol.md 3). */
export const limitsSection = z
  .strictObject({
    ip: number({ above: 0 }).prefault(10).meta({ description: 'Requests per second per address whose credential is not yet known good.' }),
    ipBurst: integer(1).prefault(20).meta({ description: 'How many of these may come at once.' }),
    user: number({ above: 0 }).prefault(100).meta({ description: 'Requests per second per principal; principal `local` has no limit.' }),
    userBurst: integer(1).prefault(200).meta({ description: 'How many of these may come at once.' }),
    sessions: integer(1).prefault(1000).meta({ description: 'Sessions of session revisions at a time; beyond: 503.' }),
    sessionIdle: duration({ min: 1000 }).prefault('1h').meta({ description: 'A session unused for so long ends.' }),
  })
  .prefault({})
  .meta({ description: 'Rates per second, and caps.' });

/** Settings that the pool has as a whole and each upstream may set for itself. */
export const poolTimes = {
  idleTimeout: duration({ min: 1000 }),
  maxErrorCount: integer(1),
  closeDelay: duration(),
};

/** `pool`: connections to upstreams (aggregator.md 6). */
export const poolSection = z
  .strictObject({
    idleTimeout: poolTimes.idleTimeout.prefault('30m').meta({ description: 'An upstream connection unused for so long is closed.' }),
    cleanupInterval: duration({ min: 1000 }).prefault('5m').meta({ reload: false, description: 'How often idle connections are looked for.' }),
    maxErrorCount: poolTimes.maxErrorCount.prefault(10).meta({ description: 'Consecutive transport failures after which a connection retires.' }),
    closeDelay: poolTimes.closeDelay.prefault('60s').meta({ description: 'How long calls on a retired connection may go on.' }),
    limits: z
      .strictObject({
        total: integer(1).prefault(512).meta({ reload: false, description: 'Upstream connections in all.' }),
        perUpstream: integer(1).prefault(128).meta({ description: 'Connections per upstream.' }),
        perPrincipal: integer(1).prefault(32).meta({ description: 'Connections per principal; not for principal `local`.' }),
        stdio: integer(1).prefault(64).meta({ description: 'Child processes.' }),
        gitlabCredentials: integer(1, 1_000_000).exactOptional().meta({
          reload: false,
          description: 'Credentials of GitLab in use, of all upstreams of `type: gitlab`; beyond, the least recently used is asked about anew.',
          defaultText: '`limits.sessions`, at least 100',
        }),
      })
      .prefault({}),
  })
  .prefault({})
  .meta({ description: 'Connections to upstreams.' });
