import { GitLabError } from './gitlab-error.ts';
import type { HttpHead } from './http-attempt.ts';

const MAX_HOPS = 3;

/**
 * Where a redirect that may be followed leads: the same origin, below the root of the instance, for reads, three times. The
 * connection is the instance's own, so its guard applies again.
 *
 * @throws `GitLabError` `redirected`
 */
export function redirectTarget(head: HttpHead, from: URL, root: URL, { isRead, hops }: { readonly isRead: boolean; readonly hops: number }): URL {
  const { status } = head;
  const target = URL.parse(head.headers.location ?? '', from.href);
  if (target === null || head.headers.location === undefined) throw redirected(status, 'GitLab redirected to nowhere');
  if (target.origin !== from.origin || target.username !== '' || target.password !== '')
    throw redirected(status, 'GitLab redirected to another origin');
  if (!`${target.pathname}/`.startsWith(root.pathname.replace(/\/*$/, '/'))) throw redirected(status, 'GitLab redirected out of its instance');
  if (!isRead) throw redirected(status, 'GitLab redirected a write, which is not followed');
  if (hops >= MAX_HOPS) throw redirected(status, `GitLab redirected more than ${MAX_HOPS} times`);
  target.hash = '';
  return target;
}

function redirected(status: number, message: string): GitLabError {
  return new GitLabError('redirected', message, { status, hint: 'Use the URL and the path that the instance names itself.' });
}
