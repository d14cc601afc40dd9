import type { Clock } from '../../../core/clock.ts';
import { packageVersion } from '../../../version.ts';
import type { ApiUrl } from '../client/api-url.ts';
import { GitLabClient } from '../client/gitlab-client.ts';
import { GitLabClientPool } from '../client/instance-pool.ts';
import type { ClientFactory, ServerPoolConfig } from './server-pool-options.ts';

/** Clients over connections of a pool's own, for a pool that is given none. @throws `config/invalid` */
export function ownClients(
  { skipTlsVerify = false, caFile, proxy }: ServerPoolConfig,
  home: ApiUrl,
  clock: Clock,
): { readonly clients: ClientFactory; readonly close: () => Promise<void> } {
  const instances = new GitLabClientPool({
    clock,
    rejectUnauthorized: !skipTlsVerify,
    isExempt: (canonical) => canonical === home.canonical,
    ...(caFile === undefined ? {} : { caCertPath: caFile }),
    ...(proxy === undefined ? {} : { httpProxy: proxy, httpsProxy: proxy }),
  });
  const version = packageVersion();
  return {
    clients: (apiUrl, credential) => new GitLabClient({ apiUrl, credential, instances, clock, version }),
    close: () => instances.close(),
  };
}
