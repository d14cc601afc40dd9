import { TurnpikeError } from '../../../core/errors.ts';
import type { JsonObject } from '../../../core/mcp.ts';
import { type Shape, shape } from '../output/shape.ts';
import type { ToolDeclaration, Work } from './declaration.ts';
import { flag, must, text, word } from './parameters.ts';
import { viaRest } from './rest.ts';
import { COMMIT, ISSUE, MERGE_REQUEST, MILESTONE, NOTE, PROJECT, USER } from './shapes.ts';

const BLOB = shape('project_id path filename ref startline basename data');
const SHAPES: Readonly<Record<string, Shape>> = {
  projects: PROJECT,
  issues: ISSUE,
  merge_requests: MERGE_REQUEST,
  milestones: MILESTONE,
  users: USER,
  blobs: BLOB,
  commits: { ...COMMIT, project_id: true },
  wiki_blobs: BLOB,
  notes: NOTE,
  snippet_titles: shape('id project_id title description file_name author{username} visibility created_at updated_at web_url'),
};

const shapeOf = ({ scope }: JsonObject): Shape => SHAPES[String(scope)] ?? BLOB;

/** GitLab would pass over it: the answer would be of another branch than was asked for. */
function search(work: Work) {
  const { project_id, ref } = work.args;
  if (ref !== undefined && project_id === undefined)
    throw new TurnpikeError('request/params', 'ref is for a search in one project: give project_id, or leave ref out');
  return viaRest(work);
}

export const SEARCH: readonly ToolDeclaration[] = [
  {
    name: 'search',
    title: 'Search',
    description: 'Searches a project, a group, or the instance. Code (blobs) beyond one project needs advanced search.',
    ...{ toolset: 'search', tier: 1, kind: 'R', routes: ['P/search', 'G/search', '/search'], list: true, shape: shapeOf },
    params: {
      scope: must(word(...Object.keys(SHAPES))),
      search: must(text()),
      ref: text('branch or tag, in one project'),
      state: word('opened', 'closed', 'merged', 'all'),
      confidential: flag(),
    },
    run: search,
    projectOf: ({ scope }) => (scope === 'projects' ? 'id' : 'project_id'),
    hints: ({ args, first }) =>
      args.scope === 'blobs' && typeof first.path === 'string'
        ? [
            {
              tool: 'get_file_contents',
              arguments: { project_id: first.project_id, file_path: first.path, ref: first.ref ?? 'HEAD' },
              why: 'the first file',
            },
          ]
        : [],
  },
];
