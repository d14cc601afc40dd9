import { shape } from '../output/shape.ts';
import type { Found, ToolDeclaration } from './declaration.ts';
import { flag, must, text, word } from './parameters.ts';
import type { Hint } from './produced.ts';
import { BRANCH, COMMIT, COMMIT_ITEM, DIFF, TAG } from './shapes.ts';

const REPOSITORY_TOOL = { toolset: 'repository' } as const;

function firstEntry({ args, first }: Found): readonly Hint[] {
  const { path, type } = first;
  if (typeof path !== 'string') return [];
  const at = { project_id: args.project_id, ...(args.ref === undefined ? {} : { ref: args.ref }) };
  if (type === 'tree') return [{ tool: 'get_repository_tree', arguments: { ...at, path }, why: 'the first folder' }];
  return type === 'blob' ? [{ tool: 'get_file_contents', arguments: { ...at, file_path: path }, why: 'the first file' }] : [];
}

export const REPOSITORY: readonly ToolDeclaration[] = [
  {
    name: 'get_repository_tree',
    title: 'List files',
    description: 'Files and folders of a repository.',
    ...{ ...REPOSITORY_TOOL, tier: 1, kind: 'R', routes: ['RP/tree'], list: true, shape: shape('name type path mode'), keyset: [''] },
    params: { path: text('folder'), ref: text(), recursive: flag() },
    hints: firstEntry,
  },
  {
    name: 'get_branch_diffs',
    title: 'Compare branches',
    description: 'Commits and changes between two branches, tags or commits.',
    ...{ ...REPOSITORY_TOOL, tier: 1, kind: 'R', routes: ['RP/compare'] },
    params: { from: must(text()), to: must(text()), straight: flag('from..to instead of from...to') },
    shape: { commit: COMMIT, commits: COMMIT, diffs: DIFF, compare_timeout: true, compare_same_ref: true, web_url: true },
    goOn: { say: 'see single commits with get_commit_diff, or compare fewer commits', tool: 'get_commit_diff' },
  },
  {
    name: 'list_branches',
    title: 'List branches',
    description: 'Branches of a repository.',
    ...{ ...REPOSITORY_TOOL, tier: 1, kind: 'R', routes: ['RP/branches'], list: true, shape: BRANCH },
    params: { search: text('^a begins, a$ ends'), regex: text('RE2') },
  },
  {
    name: 'create_branch',
    title: 'Create a branch',
    description: 'Creates a branch at ref.',
    ...{ ...REPOSITORY_TOOL, tier: 1, kind: 'W', method: 'POST', routes: ['RP/branches'], shape: BRANCH },
    params: { branch: must(text()), ref: must(text('branch or commit')) },
  },
  {
    name: 'delete_branch',
    title: 'Delete a branch',
    description: 'Deletes a branch.',
    ...{
      ...REPOSITORY_TOOL,
      tier: 1,
      kind: 'D',
      method: 'DELETE',
      routes: ['RP/branches/{branch}'],
      shape: {},
      idempotent: true,
      trusted: true,
    },
    effect: ({ branch, project_id }) => `Delete the branch ${String(branch)} of project ${String(project_id)}?`,
  },
  {
    name: 'list_commits',
    title: 'List commits',
    description: 'Commits of a branch or a path, newest first.',
    ...{ ...REPOSITORY_TOOL, tier: 1, kind: 'R', routes: ['RP/commits'], list: true, shape: COMMIT },
    params: {
      ref_name: text(),
      path: text(),
      since: text('ISO 8601'),
      until: text('ISO 8601'),
      author: text(),
      all: flag(),
      with_stats: flag(),
    },
    hints: ({ args, first }) =>
      typeof first.id === 'string'
        ? [{ tool: 'get_commit_diff', arguments: { project_id: args.project_id, sha: first.id }, why: 'changes of the first commit' }]
        : [],
  },
  {
    name: 'get_commit',
    title: 'Get a commit',
    description: 'One commit.',
    ...{ ...REPOSITORY_TOOL, tier: 1, kind: 'R', routes: ['RP/commits/{sha}'], shape: COMMIT_ITEM },
    params: { stats: flag() },
    hints: ({ args, first }) => [
      { tool: 'get_commit_diff', arguments: { project_id: args.project_id, sha: first.id ?? args.sha }, why: 'its changes' },
    ],
  },
  {
    name: 'get_commit_diff',
    title: 'Get changes of a commit',
    description: 'Diffs of a commit, file by file.',
    ...{ ...REPOSITORY_TOOL, tier: 1, kind: 'R', routes: ['RP/commits/{sha}/diff'], list: true, shape: DIFF },
    params: { unidiff: flag() },
    goOn: { say: 'read the file with get_file_contents', tool: 'get_file_contents' },
  },
  {
    name: 'list_tags',
    title: 'List tags',
    description: 'Tags of a repository.',
    ...{ ...REPOSITORY_TOOL, tier: 1, kind: 'R', routes: ['RP/tags'], list: true, shape: TAG },
    params: { search: text('^a begins, a$ ends'), order_by: word('name', 'updated', 'version'), sort: word('asc', 'desc') },
  },
  {
    name: 'create_tag',
    title: 'Create a tag',
    description: 'Creates a tag at ref; with a message it is annotated.',
    ...{ ...REPOSITORY_TOOL, tier: 2, kind: 'W', method: 'POST', routes: ['RP/tags'], shape: TAG },
    params: { tag_name: must(text()), ref: must(text()), message: text() },
  },
];
