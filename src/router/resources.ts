import { TurnpikeError } from '../core/errors.ts';
import type { Exchange } from '../core/exchange.ts';
import { editObject, elements, joinArray, member, toJson } from '../core/json.ts';
import { type Answer, isJsonObject, RPC } from '../core/mcp.ts';
import { callUpstream } from './call.ts';
import type { CallNote } from './call-note.ts';
import { requireText } from './params.ts';
import type { Services } from './services.ts';
import { skillFileOwner } from './skills/skill-owners.ts';
import { requireScope } from './tools.ts';
import { resolveIn, viewOf } from './view-of.ts';

export async function readResource(services: Services, exchange: Exchange, note: CallNote): Promise<Answer> {
  const uri = requireText(exchange, 'uri');
  note.exposed(uri);
  // Files of skills need not be listed (SEP-2640, "Directory resources" and "Skill URIs").
  const { kind } = await resolveIn(services, exchange, (view) => view.resolveResource(uri));
  const owner = kind === 'unknown' ? skillFileOwner(services, exchange, uri) : undefined;
  const { upstream, original } = owner ?? resolveUri(services, exchange, uri);
  note.resolved(upstream, original);
  requireScope(exchange, 'turnpike:read');
  const { params, spans } = exchange;
  const edits = uri === original ? undefined : { uri: toJson(original) };
  const answer = await callUpstream(services, exchange, { upstream, original, method: 'resources/read', params, spans, edits, repeatable: true });
  // It was no file of a skill either: the same answer as where nobody serves skills.
  if (owner !== undefined && answer.kind === 'error' && answer.code === RPC.invalidParams) {
    throw new TurnpikeError('catalog/resource', `resource not found: ${uri}`, { data: { uri } });
  }
  return uri === original ? answer : contentsAt(answer, original, uri);
}

/** An answer whose contents have the URI that the client asked for: clients look for it, and those with skills accept no other. */
function contentsAt(answer: Answer, original: string, uri: string): Answer {
  const contents = answer.kind === 'result' ? member(answer.result, 'contents') : undefined;
  if (answer.kind === 'error' || contents === undefined) return answer;
  const parsed: unknown = JSON.parse(contents.toString('utf8'));
  if (!Array.isArray(parsed)) return answer;
  const renamed = elements(contents).map((content, index) => {
    const one: unknown = parsed[index];
    return isJsonObject(one) && one.uri === original ? editObject(content, { uri: toJson(uri) }) : content;
  });
  return { kind: 'result', result: editObject(answer.result, { contents: joinArray(renamed) }) };
}

/** Where a URI leads in the caller's view. Throws `catalog/resource` and `catalog/ambiguous`. */
export function resolveUri(services: Services, exchange: Exchange, uri: string): { readonly upstream: string; readonly original: string } {
  const found = viewOf(services, exchange).resolveResource(uri);
  if (found.kind === 'found') return found;
  throw new TurnpikeError(found.kind === 'ambiguous' ? 'catalog/ambiguous' : 'catalog/resource', found.text, { data: { uri } });
}
