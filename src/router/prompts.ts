import { TurnpikeError } from '../core/errors.ts';
import type { Exchange } from '../core/exchange.ts';
import type { Answer } from '../core/mcp.ts';
import { callUpstream } from './call.ts';
import type { CallNote } from './call-note.ts';
import { requireText } from './params.ts';
import type { Services } from './services.ts';
import { requireScope } from './tools.ts';
import { resolveIn } from './view-of.ts';

export async function getPrompt(services: Services, exchange: Exchange, note: CallNote): Promise<Answer> {
  const name = requireText(exchange, 'name');
  note.exposed(name);
  const found = await resolveIn(services, exchange, (view) => view.resolvePrompt(name));
  if (found.kind !== 'found') throw new TurnpikeError(found.kind === 'ambiguous' ? 'catalog/ambiguous' : 'catalog/prompt', found.text);
  const { upstream, original, renamed: edits } = found;
  note.resolved(upstream, original);
  requireScope(exchange, 'turnpike:read');
  const { params, spans } = exchange;
  return callUpstream(services, exchange, { upstream, original, method: 'prompts/get', params, spans, edits, repeatable: true });
}
