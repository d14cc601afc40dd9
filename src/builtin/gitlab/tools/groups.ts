import type { ToolDeclaration } from './declaration.ts';
import { flag, integer, text, word } from './parameters.ts';
import { produced, sent } from './rest.ts';
import { GROUP, GROUP_ITEM, MEMBER, PROJECT } from './shapes.ts';

const ORDERS = ['id', 'name', 'path', 'created_at', 'updated_at', 'last_activity_at', 'similarity', 'star_count'];

export const GROUPS: readonly ToolDeclaration[] = [
  {
    name: 'list_groups',
    title: 'List groups',
    description: 'Groups that the caller can see.',
    ...{ toolset: 'groups', tier: 1, kind: 'R', routes: ['/groups'], list: true, shape: GROUP },
    params: { search: text(), owned: flag(), top_level_only: flag(), min_access_level: integer('10 guest - 50 owner') },
    hints: ({ first }) =>
      typeof first.id === 'number' ? [{ tool: 'list_group_projects', arguments: { group_id: first.id }, why: 'projects of the first group' }] : [],
  },
  {
    name: 'get_group',
    title: 'Get a group',
    description: 'One group; with_projects adds its projects.',
    ...{ toolset: 'groups', tier: 1, kind: 'R', routes: ['G'], shape: GROUP_ITEM, projectOf: 'id' },
    params: { with_projects: flag() },
    goOn: { say: 'list its projects with list_group_projects', tool: 'list_group_projects' },
    run: async (work) => {
      const group = await sent(work, { ...work.args, with_projects: work.args.with_projects === true });
      const { isAllowed } = work;
      if (isAllowed === undefined || !Array.isArray(group.projects)) return produced(group);
      return produced({ ...group, projects: group.projects.filter(isAllowed), shared_projects: [] });
    },
    hints: ({ args }) => [{ tool: 'list_group_projects', arguments: { group_id: args.group_id }, why: 'projects of this group' }],
  },
  {
    name: 'list_group_projects',
    title: 'List projects of a group',
    description: 'Projects of a group, of its subgroups as well if asked.',
    ...{ toolset: 'groups', tier: 1, kind: 'R', routes: ['G/projects'], list: true, shape: PROJECT, projectOf: 'id' },
    params: { include_subgroups: flag(), search: text(), archived: flag(), order_by: word(...ORDERS) },
    hints: ({ first }) =>
      typeof first.id === 'number' ? [{ tool: 'get_project', arguments: { project_id: first.id }, why: 'the first project in full' }] : [],
  },
  {
    name: 'list_group_members',
    title: 'List members of a group',
    description: 'Members of a group, inherited ones included.',
    ...{ toolset: 'groups', tier: 2, kind: 'R', routes: ['G/members/all'], list: true, shape: MEMBER },
    params: { query: text() },
  },
];
