import type { Choice, FamilyTool, Found, ToolResolution } from '../catalog/resolutions.ts';
import { TurnpikeError } from '../core/errors.ts';
import type { Exchange } from '../core/exchange.ts';
import { editObject, member, memberSpans } from '../core/json.ts';
import { isObjectParam } from '../core/param-value.ts';
import type { Services } from './services.ts';
import { viewOf } from './view-of.ts';

const QUOTE = 0x22;

/**
 * The tool that a call means where its name alone does not say it: that of the family's member which the call names, with the argument
 * that names it cut out of what goes on. Throws `catalog/tool`, `catalog/ambiguous`, `policy/denied` where every member refuses, and
 * `request/params`.
 */
export async function chosenTool(services: Services, exchange: Exchange, name: string, resolution: Exclude<ToolResolution, Found>): Promise<Found> {
  if (resolution.kind !== 'family') throw new TurnpikeError(resolution.kind === 'ambiguous' ? 'catalog/ambiguous' : 'catalog/tool', resolution.text);
  const choice = chosen(resolution.tool, exchange);
  if (choice.kind !== 'unknown') return foundIn(choice, name);
  // The member may still be starting for the first time.
  await services.started(exchange.signal);
  const again = viewOf(services, exchange).resolveTool(name);
  if (again.kind === 'found') return again;
  return foundIn(again.kind === 'family' ? chosen(again.tool, exchange) : again, name);
}

function foundIn(choice: Choice | Exclude<ToolResolution, Found | { kind: 'family' }>, name: string): Found {
  if (choice.kind === 'found') return choice;
  if (choice.kind === 'denied') {
    const { rule, text } = choice.decision;
    throw new TurnpikeError('policy/denied', text, { rule, data: { rule, tool: name } });
  }
  throw new TurnpikeError(choice.kind === 'ambiguous' ? 'catalog/ambiguous' : 'catalog/tool', choice.text);
}

function chosen(tool: FamilyTool, exchange: Exchange): Choice {
  if (!isObjectParam(exchange, 'arguments')) throw new TurnpikeError('request/params', 'params.arguments must be an object');
  const args = member(exchange.params, 'arguments', exchange.spans);
  const spans = args === undefined ? [] : memberSpans(args);
  const named = args === undefined ? undefined : member(args, tool.argument, spans);
  const choice = tool.choose(named?.[0] === QUOTE ? JSON.parse(named.toString('utf8')) : undefined);
  if (choice.kind !== 'found' || args === undefined) return choice;
  return { ...choice, renamed: { ...choice.renamed, arguments: editObject(args, { [tool.argument]: undefined }, spans) } };
}
