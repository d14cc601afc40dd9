import type { GitLabApi } from '../builtin/gitlab/client/api.ts';
import { GitLabClient as Client, type GitLabClientOptions } from '../builtin/gitlab/client/gitlab-client.ts';

/**
 * One credential at one instance, as programs have it: made by `new GitLabClient(options)`, or given to the factory of a `ServerPool`,
 * whose clients tell the pool besides when GitLab answers 401. The same type, so that a factory may say what it takes (gitlab.md 1.3).
 */
export type GitLabClient = GitLabApi;
export const GitLabClient: new (options: GitLabClientOptions) => GitLabClient = Client;
