import type { Dispatcher } from 'undici';
import type { Lease } from '../../../pool/lease.ts';

/** Where a client gets connections to its instance, for one attempt of one request at a time. */
export interface InstanceSource {
  /**
   * The dispatcher of a canonical API URL. Every lease must be released.
   *
   * @throws `GitLabError` `capacity` when all places are taken by instances with requests under way
   */
  lease(apiUrl: string, signal: AbortSignal): Promise<Lease<Dispatcher>>;
}
