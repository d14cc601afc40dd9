import { TurnpikeError } from '../../../core/errors.ts';
import { isJsonObject, type JsonObject } from '../../../core/mcp.ts';
import type { ToolDeclaration, Work } from './declaration.ts';
import { type GraphqlDocument, readDocument } from './graphql-document.ts';
import { must, text } from './parameters.ts';
import type { Produced } from './produced.ts';

/** Mutations that do what D tools do; a name is enough to ask a human once too often. */
const DESTRUCTIVE =
  /delete|destroy|remove|purge|prune|merge(?!request)|accept|cancel|archive|transfer|revoke|rotate|reset|erase|replace|commit|unlink|block|ban|stop/i;
/** Fields with values that tools withhold (gitlab.md 4, "Masking"). An alias would hide them from every filter of results. */
const WITHHELD = /variables|runnerstoken|registrationtoken|importurl|feedtoken|incomingemailtoken|staticobjecttoken/i;

async function execute(work: Work): Promise<Produced> {
  const document = parsed(String(work.args.query));
  judge(document, work);
  const variables: JsonObject = isJsonObject(work.args.variables) ? work.args.variables : {};
  return { kind: 'item', item: await work.api.graphql(document.text, variables, work.signal) };
}

function parsed(query: string): GraphqlDocument {
  try {
    return readDocument(query);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new TurnpikeError('request/params', `The GraphQL document cannot be run: ${error.message}`);
  }
}

/** A document is refused before anything is sent. */
function judge({ operation, roots, fields }: GraphqlDocument, work: Work): void {
  const withheld = Array.from(fields).find((field) => WITHHELD.test(field));
  if (withheld !== undefined) {
    throw new TurnpikeError('policy/denied', `The field ${withheld} is withheld; see list_project_variables`, { rule: 'gitlab.allowReveal' });
  }
  if (operation === 'query') return;
  // A fragment may hold any mutation.
  if (roots.some((root) => root === undefined || DESTRUCTIVE.test(root))) work.confirm();
}

export const GRAPHQL: readonly ToolDeclaration[] = [
  {
    name: 'execute_graphql',
    title: 'Run GraphQL',
    description: 'Runs one GraphQL operation. Mutations count as writes.',
    onlyReads: ({ query }) => parsed(String(query)).operation === 'query',
    mayDestroy: true,
    ...{ toolset: 'search', tier: 'named', kind: 'W', method: 'POST', routes: ['/graphql'], run: execute, shape: { data: true, errors: true } },
    params: { query: must(text('one operation')), variables: { schema: { type: 'object' } } },
    effect: ({ query }) => `Run this GraphQL mutation? ${String(query)}`,
    beyondFence: () => 'of a GraphQL document',
    goOn: { say: 'ask for fewer fields or a smaller first' },
  },
];
