import { TurnpikeError } from '../../../core/errors.ts';
import type { ToolDeclaration, Work } from './declaration.ts';
import { flag, integer, integers, joined, must, text, texts, word } from './parameters.ts';
import { viaRest } from './rest.ts';
import { DISCUSSION, ISSUE, ISSUE_ITEM, NOTE } from './shapes.ts';

const KEYSET = [
  'created_at',
  'updated_at',
  'title',
  'due_date',
  'relative_position',
  'label_priority',
  'milestone_due',
  'popularity',
  'priority',
  'weight',
];

/** GitLab has no word for it on a reply and would pass over it: what was meant for few would be seen by all. */
function comment(work: Work) {
  const { discussion_id, internal } = work.args;
  if (discussion_id !== undefined && internal !== undefined) {
    throw new TurnpikeError('request/params', 'internal is for new comments; a reply is as internal as its thread. Leave one of the two out');
  }
  return viaRest(work);
}

export const ISSUES: readonly ToolDeclaration[] = [
  {
    name: 'list_issues',
    title: 'List issues',
    description: 'Issues of a project, of a group, or across projects (scope).',
    ...{ toolset: 'issues', tier: 1, kind: 'R', routes: ['P/issues', 'G/issues', '/issues'], list: true, shape: ISSUE, projectOf: 'project_id' },
    keyset: KEYSET,
    params: {
      scope: word('created_by_me', 'assigned_to_me', 'all'),
      state: word('opened', 'closed', 'all'),
      labels: joined(),
      milestone: text('title'),
      assignee_username: texts(),
      author_username: text(),
      search: text(),
      created_after: text('ISO 8601'),
      order_by: word('created_at', 'updated_at', 'due_date', 'priority', 'title', 'weight', 'popularity'),
    },
    hints: ({ first }) =>
      typeof first.iid === 'number'
        ? [{ tool: 'get_issue', arguments: { project_id: first.project_id, issue_iid: first.iid }, why: 'the first issue in full' }]
        : [],
  },
  {
    name: 'get_issue',
    title: 'Get an issue',
    description: 'One issue with its description.',
    ...{ toolset: 'issues', tier: 1, kind: 'R', routes: ['I'], shape: ISSUE_ITEM },
    goOn: { say: 'open it in a browser (web_url); the API has no parts of a description' },
    hints: ({ args }) => {
      const at = { project_id: args.project_id, issue_iid: args.issue_iid };
      return [{ tool: 'list_issue_discussions', arguments: at, why: 'what was said about it' }];
    },
  },
  {
    name: 'create_issue',
    title: 'Create an issue',
    description: 'Creates an issue in a project.',
    ...{ toolset: 'issues', tier: 1, kind: 'W', method: 'POST', routes: ['P/issues'], shape: ISSUE_ITEM },
    params: {
      title: must(text()),
      description: text('Markdown'),
      labels: joined(),
      assignee_ids: integers(),
      milestone_id: integer(),
      due_date: text('YYYY-MM-DD'),
      confidential: flag(),
      issue_type: word('issue', 'incident', 'test_case', 'task'),
    },
    hints: ({ first }) => [{ tool: 'get_issue', arguments: { project_id: first.project_id, issue_iid: first.iid }, why: 'the issue as it is now' }],
  },
  {
    name: 'update_issue',
    title: 'Update an issue',
    description: 'Changes, closes or reopens an issue; only what is given.',
    ...{ toolset: 'issues', tier: 1, kind: 'W', method: 'PUT', routes: ['I'], shape: ISSUE_ITEM, idempotent: true },
    params: {
      title: text(),
      description: text('Markdown'),
      add_labels: joined(),
      remove_labels: joined(),
      state_event: word('close', 'reopen'),
      assignee_ids: integers(),
      due_date: text('YYYY-MM-DD'),
    },
  },
  {
    name: 'list_issue_discussions',
    title: 'List discussions of an issue',
    description: 'Threads and notes of an issue.',
    ...{ toolset: 'issues', tier: 1, kind: 'R', routes: ['I/discussions'], list: true, shape: DISCUSSION },
  },
  {
    name: 'create_issue_note',
    title: 'Comment on an issue',
    description: 'Adds a comment, or a reply if discussion_id is given.',
    ...{ toolset: 'issues', tier: 1, kind: 'W', method: 'POST', shape: NOTE },
    routes: ['I/discussions/{discussion_id}/notes', 'I/notes'],
    params: { body: must(text('Markdown')), internal: flag() },
    run: comment,
  },
  {
    name: 'create_issue_link',
    title: 'Link two issues',
    description: 'Links an issue to another one.',
    ...{ toolset: 'issues', tier: 2, kind: 'W', method: 'POST', routes: ['I/links'], projects: ['target_project_id'] },
    params: {
      target_project_id: must({ schema: { type: ['string', 'integer'], description: 'id or group/path' } }),
      target_issue_iid: must(integer()),
      link_type: word('relates_to', 'blocks', 'is_blocked_by'),
    },
    shape: { source_issue: ISSUE, target_issue: ISSUE, link_type: true },
  },
];
