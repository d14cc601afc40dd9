import type { ToolDeclaration } from './declaration.ts';
import { flag, must, text, word } from './parameters.ts';
import { WIKI_PAGE } from './shapes.ts';

const FORMAT = word('markdown', 'rdoc', 'asciidoc', 'org');

export const WIKI: readonly ToolDeclaration[] = [
  {
    name: 'list_wiki_pages',
    title: 'List wiki pages',
    description: 'Wiki pages of a project.',
    ...{ toolset: 'wiki', tier: 1, kind: 'R', routes: ['P/wikis'], list: true, unpaged: true, shape: WIKI_PAGE },
    params: { with_content: flag() },
    hints: ({ args, first }) =>
      typeof first.slug === 'string'
        ? [{ tool: 'get_wiki_page', arguments: { project_id: args.project_id, slug: first.slug }, why: 'the first page' }]
        : [],
  },
  {
    name: 'get_wiki_page',
    title: 'Get a wiki page',
    description: 'One wiki page with its content.',
    ...{ toolset: 'wiki', tier: 1, kind: 'R', routes: ['P/wikis/{slug}'], shape: WIKI_PAGE },
    params: { version: text('commit'), render_html: flag() },
    goOn: { say: 'open the page in a browser; the API has no parts of a page' },
  },
  {
    name: 'create_wiki_page',
    title: 'Create a wiki page',
    description: 'Creates a wiki page.',
    ...{ toolset: 'wiki', tier: 2, kind: 'W', method: 'POST', routes: ['P/wikis'], shape: WIKI_PAGE },
    params: { title: must(text()), content: must(text()), format: FORMAT },
  },
  {
    name: 'update_wiki_page',
    title: 'Update a wiki page',
    description: 'Replaces title or content of a wiki page.',
    ...{ toolset: 'wiki', tier: 2, kind: 'W', method: 'PUT', routes: ['P/wikis/{slug}'], shape: WIKI_PAGE, idempotent: true },
    params: { title: text(), content: text(), format: FORMAT },
  },
];
