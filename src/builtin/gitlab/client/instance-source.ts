import type { Origin } from '../../../net/origin.ts';
import type { Lease } from '../../../pool/lease.ts';

/** Where a client gets connections to its instance, for one attempt of one request at a time. */
export interface InstanceSource {
  /**
   * The connections to an instance, made on first use, shared by all credentials. The lease ends after the last byte of the
   * answer: idleness counts from there.
   *
   * @param apiUrl in any spelling
   * @param signal its abort gives up waiting
   * @throws `GitLabError` `capacity` when all places are taken by instances with requests under way, `invalid_request` when it
   * is no URL of an instance; `pool/closed`
   */
  getOrCreate(apiUrl: string, signal: AbortSignal): Promise<Lease<Origin>>;
}
