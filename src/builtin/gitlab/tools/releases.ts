import type { ToolDeclaration } from './declaration.ts';
import { flag, must, object, objects, text, texts, word } from './parameters.ts';
import { RELEASE } from './shapes.ts';

const LINK = { name: must(text()), url: must(text()), link_type: word('other', 'runbook', 'image', 'package'), direct_asset_path: text() };

export const RELEASES: readonly ToolDeclaration[] = [
  {
    name: 'list_releases',
    title: 'List releases',
    description: 'Releases of a project.',
    ...{ toolset: 'releases', tier: 1, kind: 'R', routes: ['P/releases'], list: true, shape: RELEASE },
    params: { order_by: word('released_at', 'created_at'), sort: word('asc', 'desc'), include_html_description: flag() },
  },
  {
    name: 'get_release',
    title: 'Get a release',
    description: 'One release by its tag.',
    ...{ toolset: 'releases', tier: 1, kind: 'R', routes: ['P/releases/{tag_name}'], shape: RELEASE },
  },
  {
    name: 'create_release',
    title: 'Create a release',
    description: 'Creates a release; a tag that is missing is made from ref.',
    ...{ toolset: 'releases', tier: 1, kind: 'W', method: 'POST', routes: ['P/releases'], shape: RELEASE },
    params: {
      tag_name: must(text()),
      ref: text(),
      name: text(),
      description: text('Markdown'),
      milestones: texts('titles'),
      assets: object({ links: objects(LINK) }),
      tag_message: text(),
    },
  },
];
