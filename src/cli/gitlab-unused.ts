import { randomBytes } from 'node:crypto';
import type { Config } from '../config/schema.ts';
import type { Clock } from '../core/clock.ts';
import { GitLabOnDemand } from '../gitlab-on-demand.ts';
import { Sealer } from '../store/seal.ts';
import { Instruments } from '../telemetry/instruments.ts';
import { silentLogger } from '../telemetry/log.ts';
import { packageVersion } from '../version.ts';

/**
 * The GitLab upstreams of a configuration for commands that only look at it: as a start would make them, but nobody calls them and
 * nothing is told.
 *
 * @throws `config/invalid` for what a start would refuse: toolsets, patterns, hosts, certificates
 */
export async function gitlabUnused(config: Config, clock: Clock): Promise<GitLabOnDemand> {
  const gitlab = new GitLabOnDemand({
    ...{ clock, version: packageVersion(), logger: silentLogger, instruments: new Instruments(clock), proxies: {} },
    sealer: new Sealer([{ id: 'unused', key: randomBytes(32) }], 'gl1.', clock),
    callOf: () => undefined,
    endSessions: () => {},
  });
  await gitlab.load(config);
  gitlab.reconfigure(config);
  return gitlab;
}
