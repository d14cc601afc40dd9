/** `turnpike/gitlab`: one server for each GitLab credential, connections by instance, and what a front of one's own needs around them (gitlab.md 1 to 3). */
export type {
  ApiAnswer,
  ApiPage,
  ApiRequest,
  BoundedRequest,
  CredentialKind,
  GitLabApi,
  GitLabCredential as Credential,
  Pagination,
  Query,
} from '../builtin/gitlab/client/api.ts';
export { apiPath, type PathPart, projectOrGroup } from '../builtin/gitlab/client/api-path.ts';
export { type ApiUrl, type ApiUrlResult, parseApiUrl } from '../builtin/gitlab/client/api-url.ts';
export type { GitLabClientOptions } from '../builtin/gitlab/client/gitlab-client.ts';
export { GitLabError, type GitLabErrorCode, type GitLabErrorDetails, type GitLabErrorFacts } from '../builtin/gitlab/client/gitlab-error.ts';
export { type InstanceAnswer, type InstanceRules, Instances } from '../builtin/gitlab/client/instance.ts';
export { GitLabClientPool, type GitLabClientPoolOptions, type GitLabClientPoolStats } from '../builtin/gitlab/client/instance-pool.ts';
export { type InstanceSettings, instanceRules } from '../builtin/gitlab/client/instance-rules.ts';
export type { InstanceSource } from '../builtin/gitlab/client/instance-source.ts';
export { AuthRateLimiter } from '../builtin/gitlab/pool/auth-rate-limiter.ts';
export { type CredentialCarrier, extractCredential, extractOnlyCredential, extractToken } from '../builtin/gitlab/pool/credential.ts';
export {
  CredentialRejectedError,
  InvalidUrlError,
  isAuthenticationFailure,
  MalformedCredentialError,
  PoolCapacityError,
  UpstreamUnavailableError,
} from '../builtin/gitlab/pool/errors.ts';
export type { Identity } from '../builtin/gitlab/pool/identity.ts';
export { ServerPool } from '../builtin/gitlab/pool/server-pool.ts';
export {
  type ClientFactory,
  DEFAULT_REVALIDATE_INTERVAL,
  type GetOptions,
  type Metrics,
  type ServerFactory,
  type ServerLease,
  type ServerPoolConfig,
  type ServerPoolEvent,
  type ServerPoolOptions,
  type Snapshot,
} from '../builtin/gitlab/pool/server-pool-options.ts';
export type { Principal } from '../core/caller.ts';
export { type Clock, systemClock } from '../core/clock.ts';
export { Secret } from '../core/secret.ts';
export { GitLabClient } from './gitlab-client.ts';
