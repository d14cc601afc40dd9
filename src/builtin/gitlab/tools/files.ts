import { isJsonObject } from '../../../core/mcp.ts';
import { GitLabError } from '../client/gitlab-error.ts';
import { shape } from '../output/shape.ts';
import type { ToolDeclaration, Work } from './declaration.ts';
import { readFile } from './file-window.ts';
import { as, flag, integer, must, objects, own, text, word } from './parameters.ts';
import { produced } from './rest.ts';
import { pathOf, sentOf } from './routing.ts';
import { COMMIT_ITEM } from './shapes.ts';

const FILE = 'RP/files/{file_path}';
const ACTION = {
  action: must(word('create', 'delete', 'move', 'update', 'chmod')),
  file_path: must(text()),
  previous_path: text('of move'),
  content: text(),
  encoding: word('text', 'base64'),
  last_commit_id: text(),
  execute_filemode: flag(),
};

/** Updates with the commit that is known, so that a concurrent change is refused by GitLab; creates where there is no file. */
async function writeFile(work: Work) {
  const { args, api, signal, declaration } = work;
  const last = typeof args.last_commit_id === 'string' ? args.last_commit_id : await lastCommit(work);
  const { body } = sentOf(declaration, FILE, args);
  const answer = await api.request({
    method: last === undefined ? 'POST' : 'PUT',
    path: pathOf(FILE, args),
    body: last === undefined ? body : { ...body, last_commit_id: last },
    signal,
  });
  const written = isJsonObject(answer.body) ? answer.body : {};
  return produced({ ...written, action: last === undefined ? 'created' : 'updated' });
}

/** The commit that last changed the file; undefined if there is none on that branch. */
async function lastCommit({ args, api, signal }: Work): Promise<string | undefined> {
  try {
    const ref = String(args.start_branch ?? args.branch);
    const { headers } = await api.request({ method: 'HEAD', path: pathOf(FILE, args), query: { ref }, signal });
    const id = headers['x-gitlab-last-commit-id'];
    // Without it a later change would be overwritten.
    if (id === undefined || id === '')
      throw new GitLabError('invalid_response', 'GitLab did not say which commit changed the file last; pass last_commit_id');
    return id;
  } catch (error) {
    if (error instanceof GitLabError && error.status === 404) return undefined;
    throw error;
  }
}

export const FILES: readonly ToolDeclaration[] = [
  {
    name: 'get_file_contents',
    title: 'Read a file',
    description: 'Text of a file, whole or from start_line to end_line.',
    ...{ toolset: 'repository', tier: 1, kind: 'R', routes: [FILE], run: readFile },
    params: { ref: text('default HEAD'), start_line: own(integer('from 1')), end_line: own(integer()), max_bytes: own(integer()) },
    shape: shape('file_path ref size blob_id commit_id last_commit_id start_line end_line total_lines encoding content complete note'),
  },
  {
    name: 'create_or_update_file',
    title: 'Write a file',
    description: 'Commits one file. A change by others since last_commit_id is an error; omitted, it is what the file has now.',
    ...{ toolset: 'repository', tier: 1, kind: 'D', method: 'PUT', routes: [FILE], run: writeFile },
    params: {
      branch: must(text()),
      commit_message: must(text()),
      content: must(text()),
      encoding: word('text', 'base64'),
      start_branch: text('where a new branch begins'),
      last_commit_id: text(),
    },
    shape: shape('file_path branch action'),
    effect: ({ file_path, branch, project_id }) => `Write ${String(file_path)} on ${String(branch)} of project ${String(project_id)}?`,
    hints: ({ args }) => [
      {
        tool: 'get_file_contents',
        arguments: { project_id: args.project_id, file_path: args.file_path, ref: args.branch },
        why: 'the file as it is now',
      },
    ],
  },
  {
    name: 'push_files',
    title: 'Commit several files',
    description: 'One commit of many changes. force replaces the branch.',
    ...{ toolset: 'repository', tier: 1, kind: 'D', method: 'POST', routes: ['RP/commits'], shape: COMMIT_ITEM },
    params: {
      branch: must(text()),
      commit_message: must(text()),
      actions: must(objects(ACTION)),
      start_branch: text(),
      force: flag(),
    },
    effect: ({ branch, actions, project_id, force }) =>
      `Commit ${Array.isArray(actions) ? actions.length : 0} changes to ${String(branch)} of project ${String(project_id)}${force === true ? ', REPLACING the branch' : ''}?`,
    hints: ({ args, first }) =>
      typeof first.id === 'string'
        ? [{ tool: 'get_commit_diff', arguments: { project_id: args.project_id, sha: first.id }, why: 'what was committed' }]
        : [],
  },
  {
    name: 'get_file_blame',
    title: 'Blame a file',
    description: 'Which commit changed which lines last.',
    ...{ toolset: 'repository', tier: 2, kind: 'R', routes: [`${FILE}/blame`], list: true, unpaged: true },
    params: {
      ref: must(text()),
      range_start: as('range[start]', integer()),
      range_end: as('range[end]', integer()),
    },
    shape: { commit: { id: true, message: true, author_name: true, authored_date: true }, lines: true },
  },
];
