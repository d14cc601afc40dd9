import { isJsonObject } from '../../../core/mcp.ts';
import { GitLabError } from '../client/gitlab-error.ts';
import { shape } from '../output/shape.ts';
import type { ToolDeclaration, Work } from './declaration.ts';
import { flag, integer, text, word } from './parameters.ts';
import { produced, readObject, sent } from './rest.ts';
import { USER } from './shapes.ts';

/** Days before its end from which on a token is warned about (gitlab.md 1.3). */
const WARNED_DAYS = 7;
const DAY = 86_400_000;

/** `/user` is closed to jobs; `/job` names the job and its user (gitlab.md 1.2). */
async function whoami(work: Work) {
  if (work.call.context.kind !== 'job-token') return produced(await sent(work));
  const { user, ...job } = await readObject(work, '/job');
  return produced({ ...(isJsonObject(user) ? user : {}), job });
}

async function health(work: Work) {
  // To a job GitLab does not tell its version.
  const isJob = work.call.context.kind === 'job-token';
  if (isJob) await readObject(work, '/job');
  const version = isJob ? {} : await sent(work);
  const expires = isJob ? undefined : await tokenEnd(work);
  const left = expires === undefined ? undefined : Math.ceil((Date.parse(expires) - work.clock.now()) / DAY);
  return produced({
    ...version,
    status: 'ok',
    api_url: work.api.apiUrl,
    token_expires_at: expires,
    warning: left !== undefined && left <= WARNED_DAYS ? `the token expires in ${Math.max(0, left)} days` : undefined,
  });
}

/** Only a personal access token can be asked; whatever else the credential is, health does not depend on it. */
async function tokenEnd(work: Work): Promise<string | undefined> {
  try {
    const { expires_at } = await readObject(work, '/personal_access_tokens/self');
    return typeof expires_at === 'string' && !Number.isNaN(Date.parse(expires_at)) ? expires_at : undefined;
  } catch (error) {
    if (error instanceof GitLabError) return undefined;
    throw error;
  }
}

const TODO = shape(
  'id state action_name target_type target_url body created_at project{id path_with_namespace} author{username} target{id iid title state}',
);

export const IDENTITY: readonly ToolDeclaration[] = [
  {
    name: 'whoami',
    title: 'Who am I',
    description: 'The user whose credential is used.',
    ...{ toolset: 'identity', tier: 1, kind: 'R', routes: ['/user'], trusted: true, run: whoami },
    shape: shape(
      'id username name state email public_email web_url bot is_admin created_at two_factor_enabled external job{id name stage status ref web_url pipeline{id project_id ref sha}}',
    ),
  },
  {
    name: 'health_check',
    title: 'Health check',
    description: 'Whether GitLab answers, its version, and whether the token ends soon.',
    ...{ toolset: 'identity', tier: 1, kind: 'R', routes: ['/version'], trusted: true, run: health },
    shape: shape('status version revision enterprise api_url token_expires_at warning'),
  },
  {
    name: 'get_users',
    title: 'Find users',
    description: 'Finds users by exact username, or by name or e-mail.',
    ...{ toolset: 'identity', tier: 1, kind: 'R', routes: ['/users'], list: true, shape: USER },
    params: { username: text(), search: text(), active: flag() },
  },
  {
    name: 'list_todos',
    title: 'List to-do items',
    description: 'The to-do items of the caller.',
    ...{ toolset: 'identity', tier: 2, kind: 'R', routes: ['/todos'], list: true, shape: TODO, projectOf: 'project.id' },
    params: {
      state: word('pending', 'done'),
      type: text('such as Issue, MergeRequest'),
      action: text('such as assigned, mentioned, review_requested'),
      project_id: integer(),
    },
    hints: ({ first }) =>
      typeof first.id === 'number' ? [{ tool: 'mark_todo_done', arguments: { id: first.id }, why: 'tick the first one off' }] : [],
  },
  {
    name: 'mark_todo_done',
    title: 'Mark a to-do item as done',
    description: 'Marks one to-do item of the caller as done.',
    ...{ toolset: 'identity', tier: 2, kind: 'W', method: 'POST', routes: ['/todos/{id}/mark_as_done'], idempotent: true, shape: TODO },
    beyondFence: ({ id }) => `of to-do item ${String(id)}`,
  },
];
