import type { ToolDeclaration } from './declaration.ts';
import { flag, integer, integers, must, text, word } from './parameters.ts';
import { LABEL, MILESTONE } from './shapes.ts';

export const PLANNING: readonly ToolDeclaration[] = [
  {
    name: 'list_labels',
    title: 'List labels',
    description: 'Labels of a project or a group.',
    ...{ toolset: 'planning', tier: 1, kind: 'R', routes: ['P/labels', 'G/labels'], list: true, shape: LABEL, projectOf: 'project_id' },
    params: { search: text(), with_counts: flag(), include_ancestor_groups: flag() },
  },
  {
    name: 'create_label',
    title: 'Create a label',
    description: 'Creates a label in a project.',
    ...{ toolset: 'planning', tier: 2, kind: 'W', method: 'POST', routes: ['P/labels'], shape: LABEL },
    params: { name: must(text()), color: must(text('#rrggbb or a CSS name')), description: text(), priority: integer() },
  },
  {
    name: 'list_milestones',
    title: 'List milestones',
    description: 'Milestones of a project or a group.',
    ...{ toolset: 'planning', tier: 1, kind: 'R', routes: ['P/milestones', 'G/milestones'], list: true, shape: MILESTONE, projectOf: 'project_id' },
    params: { state: word('active', 'closed'), search: text(), iids: integers() },
  },
  {
    name: 'create_milestone',
    title: 'Create a milestone',
    description: 'Creates a milestone in a project.',
    ...{ toolset: 'planning', tier: 2, kind: 'W', method: 'POST', routes: ['P/milestones'], shape: MILESTONE },
    params: { title: must(text()), description: text(), start_date: text('YYYY-MM-DD'), due_date: text('YYYY-MM-DD') },
  },
];
