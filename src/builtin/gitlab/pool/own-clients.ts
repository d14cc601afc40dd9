import type { Clock } from '../../../core/clock.ts';
import { packageVersion } from '../../../version.ts';
import { knownApiUrl } from '../client/api-url.ts';
import { GitLabClient } from '../client/gitlab-client.ts';
import { GitLabClientPool } from '../client/instance-pool.ts';
import type { ClientFactory, ServerPoolConfig } from './server-pool-options.ts';

/** Clients over connections of a pool's own, for a pool that is given none. @throws `config/invalid` */
export function ownClients(
  { gitlabUrl, skipTlsVerify = false, caFile, proxy }: ServerPoolConfig,
  clock: Clock,
): { readonly clients: ClientFactory; readonly close: () => Promise<void> } {
  // Only what the operator wrote is exempt from the guard of addresses (gitlab.md 2.3).
  const named = gitlabUrl === undefined ? undefined : knownApiUrl(gitlabUrl).canonical;
  const instances = new GitLabClientPool({
    clock,
    rejectUnauthorized: !skipTlsVerify,
    isExempt: (canonical) => canonical === named,
    ...(caFile === undefined ? {} : { caCertPath: caFile }),
    ...(proxy === undefined ? {} : { httpProxy: proxy, httpsProxy: proxy }),
  });
  const version = packageVersion();
  return {
    clients: (apiUrl, credential) => new GitLabClient({ apiUrl, credential, instances, clock, version }),
    close: () => instances.close(),
  };
}
