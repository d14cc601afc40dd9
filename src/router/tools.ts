import { scopeError } from '../auth/challenge.ts';
import { isWrapped } from '../catalog/dialects.ts';
import { hasScope, type Scope } from '../core/caller.ts';
import { asTurnpikeError, TurnpikeError } from '../core/errors.ts';
import type { Exchange } from '../core/exchange.ts';
import type { Answer, JsonObject } from '../core/mcp.ts';
import { isObjectParam } from '../core/param-value.ts';
import type { UpstreamRequest } from './attempt.ts';
import { callUpstream } from './call.ts';
import type { CallNote } from './call-note.ts';
import { chosenTool } from './family-calls.ts';
import { requireText } from './params.ts';
import type { Services } from './services.ts';
import { taskSupportOf } from './tasks/task-shapes.ts';
import { resolveIn } from './view-of.ts';

/**
 * `tools/call`: view, policy, headers, scope, then the upstream (protocol.md section 1, checks 16 to 19).
 * @param refreshed whether the tool's schema was just asked for again
 */
export async function callTool(services: Services, exchange: Exchange, note: CallNote, refreshed = false): Promise<Answer> {
  const name = requireText(exchange, 'name');
  note.exposed(name);
  const found = ofView(services, exchange, name);
  const resolved = found instanceof Promise ? await found : found;
  const tool = resolved.kind === 'found' ? resolved : await chosenTool(services, exchange, name, resolved);
  const { upstream, original, capability, decision, mirrored, renamed } = tool;
  note.resolved(upstream, original);
  if (decision.kind === 'denied') {
    throw new TurnpikeError('policy/denied', decision.text, { upstream, rule: decision.rule, data: { rule: decision.rule, tool: name } });
  }
  if (decision.kind === 'hidden') throw new TurnpikeError('catalog/tool', `tool not found: ${name}`);
  const mirrors = mirrored.some;
  const given = mirrors ? exchange.body.arguments : undefined;
  if (!isObjectParam(exchange, 'arguments')) throw new TurnpikeError('request/params', 'params.arguments must be an object');
  if (mirrors && exchange.era === 'modern' && exchange.headers !== undefined) {
    const checked = mirrored.check(given as JsonObject | undefined, exchange.headers);
    if (!checked.ok) throw new TurnpikeError('request/header', checked.error);
  }
  requireScope(exchange, decision.safety === 'read-only' ? 'turnpike:read' : 'turnpike:write');
  const foreign = foreignParamHeaders(exchange);
  const request: UpstreamRequest = {
    upstream,
    original,
    method: 'tools/call',
    params: exchange.params,
    spans: exchange.spans,
    edits: renamed,
    repeatable: decision.safety !== 'write',
    headers: mirrors ? { ...foreign, ...mirrored.mint(given as JsonObject | undefined) } : foreign,
    wrapped: isWrapped(capability.parsed.outputSchema),
    taskSupport: taskSupportOf(capability.parsed),
  };
  try {
    return await callUpstream(services, exchange, request);
  } catch (error) {
    if (refreshed || asTurnpikeError(error).code !== 'upstream/header') throw error;
    // Refused unprocessed (-32020): the schema is not the one we know. Once more, with headers by the schema of now.
    await services.upstreams.refresh(upstream, 'tools', exchange.signal);
    return await callTool(services, exchange, note, true);
  }
}

function ofView(services: Services, exchange: Exchange, name: string) {
  return resolveIn(services, exchange, (view) => view.resolveTool(name));
}

/** Throws `auth/scope` naming all scopes that the call needs. */
export function requireScope(exchange: Exchange, scope: Scope): void {
  if (hasScope(exchange.caller, scope)) return;
  throw scopeError([scope]);
}

/** `Mcp-Param-*` headers that no annotation explains are copied (protocol.md section 2, "Headers"); of session clients they are ignored (section 3). */
function foreignParamHeaders({ era, headers }: Exchange): Record<string, string> | undefined {
  if (era !== 'modern' || headers === undefined) return undefined;
  let copied: Record<string, string> | undefined;
  for (const name in headers) {
    const value = headers[name];
    if (!name.startsWith('mcp-param-') || typeof value !== 'string') continue;
    copied ??= {};
    copied[name] = value;
  }
  return copied;
}
