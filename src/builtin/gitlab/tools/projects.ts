import type { ToolDeclaration } from './declaration.ts';
import { flag, integer, must, text, texts, word } from './parameters.ts';
import { MEMBER, PROJECT, PROJECT_ITEM } from './shapes.ts';

const FEATURE = word('disabled', 'private', 'enabled');
const VISIBILITY = word('private', 'internal', 'public');

export const PROJECTS: readonly ToolDeclaration[] = [
  {
    name: 'list_projects',
    title: 'List projects',
    description: 'Projects that the caller can see. On large instances set membership.',
    ...{ toolset: 'projects', tier: 1, kind: 'R', routes: ['/projects'], list: true, shape: PROJECT, keyset: ['id'], projectOf: 'id' },
    params: {
      membership: flag(),
      owned: flag(),
      search: text(),
      visibility: VISIBILITY,
      archived: flag(),
      min_access_level: integer('10 guest - 50 owner'),
    },
    hints: ({ first }) =>
      typeof first.id === 'number' ? [{ tool: 'get_project', arguments: { project_id: first.id }, why: 'the first project in full' }] : [],
  },
  {
    name: 'get_project',
    title: 'Get a project',
    description: 'One project with its settings.',
    ...{ toolset: 'projects', tier: 1, kind: 'R', routes: ['P'], shape: PROJECT_ITEM },
    params: { statistics: flag(), license: flag() },
    hints: ({ args }) => [
      { tool: 'get_repository_tree', arguments: { project_id: args.project_id }, why: 'its files' },
      { tool: 'list_merge_requests', arguments: { project_id: args.project_id, state: 'opened' }, why: 'its open merge requests' },
    ],
  },
  {
    name: 'create_repository',
    title: 'Create a project',
    description: 'Creates a project; its repository can begin with a README.',
    ...{ toolset: 'projects', tier: 1, kind: 'W', method: 'POST', routes: ['/projects'], shape: PROJECT_ITEM },
    params: {
      name: must(text()),
      path: text(),
      namespace_id: integer(),
      visibility: VISIBILITY,
      initialize_with_readme: flag(),
      default_branch: text(),
    },
    // A project that is not there yet is in no list.
    beyondFence: ({ path, name }) => String(path ?? name),
  },
  {
    name: 'update_project',
    title: 'Update a project',
    description: 'Changes settings of a project; only what is given.',
    ...{ toolset: 'projects', tier: 2, kind: 'W', method: 'PUT', routes: ['P'], shape: PROJECT_ITEM, idempotent: true },
    params: {
      name: text(),
      description: text(),
      default_branch: text(),
      visibility: VISIBILITY,
      topics: texts(),
      issues_access_level: FEATURE,
      merge_requests_access_level: FEATURE,
      wiki_access_level: FEATURE,
      merge_method: word('merge', 'rebase_merge', 'ff'),
      squash_option: word('never', 'always', 'default_on', 'default_off'),
      only_allow_merge_if_pipeline_succeeds: flag(),
      only_allow_merge_if_all_discussions_are_resolved: flag(),
      remove_source_branch_after_merge: flag(),
      ci_config_path: text(),
    },
  },
  {
    name: 'fork_repository',
    title: 'Fork a project',
    description: 'Forks a project into a namespace.',
    ...{ toolset: 'projects', tier: 2, kind: 'W', method: 'POST', routes: ['P/fork'], shape: PROJECT_ITEM },
    params: { namespace_path: text(), name: text(), path: text() },
    beyondFence: ({ namespace_path, path, name, project_id }) =>
      [namespace_path, path ?? name ?? `fork of ${String(project_id)}`].filter(Boolean).join('/'),
  },
  {
    name: 'list_project_members',
    title: 'List members of a project',
    description: 'Members of a project, inherited ones included.',
    ...{ toolset: 'projects', tier: 1, kind: 'R', routes: ['P/members/all'], list: true, shape: MEMBER },
    params: { query: text() },
  },
];
