import type { JsonObject } from '../../../core/mcp.ts';
import { type Shape, shape } from '../output/shape.ts';
import type { ToolDeclaration } from './declaration.ts';
import { flag, must, text, word } from './parameters.ts';
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

export const SEARCH: readonly ToolDeclaration[] = [
  {
    name: 'search',
    title: 'Search',
    description: 'Searches a project, a group, or the instance. Code (blobs) beyond one project needs advanced search.',
    ...{ toolset: 'search', tier: 1, kind: 'R', routes: ['P/search', 'G/search', '/search'], list: true, shape: shapeOf },
    params: {
      scope: must(word(...Object.keys(SHAPES))),
      search: must(text()),
      ref: text('branch or tag, for blobs, commits, wiki_blobs'),
      state: word('opened', 'closed', 'merged', 'all'),
      confidential: flag(),
    },
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
