import { TurnpikeError } from '../core/errors.ts';
import type { Exchange } from '../core/exchange.ts';
import { editObject, toJson } from '../core/json.ts';
import { type Answer, isJsonObject, type JsonObject, META, RPC, TURNPIKE_META, wordOf } from '../core/mcp.ts';
import type { Call } from './attempt.ts';
import { labelled } from './edits.ts';
import { MAX_PENDING } from './questions/pending-questions.ts';
import { refusedInteraction } from './relay.ts';
import { sealState } from './request-state.ts';
import { convertAnswer } from './results.ts';
import { type Played, tooManyRounds } from './rounds.ts';
import { sealTask } from './tasks/task-ids.ts';

/**
 * The last answer of an upstream as the client of `exchange` gets it.
 * @param recalls how often the call was made afresh because its client had to open a URL first
 */
export function finish(call: Call, exchange: Exchange, { answer, era, asking, hosted = false }: Played, recalls = 0): Answer {
  const { services, request, relay, profile, label } = call;
  const { upstream } = request;
  const { bridge } = services.settings;
  if (relay.refused !== undefined && isFailure(answer)) throw refusedInteraction(relay.refused, exchange, upstream, bridge.interactive);
  if (exchange.era === 'modern' && era === 'legacy' && answer.kind === 'error' && answer.code === RPC.urlElicitationRequired) {
    if (!profile.includes('u')) {
      const requiredCapabilities = { elicitation: { url: {} } };
      throw new TurnpikeError('request/capability', 'the client lacks a capability that the call needs: elicitation.url', {
        data: { requiredCapabilities },
      });
    }
    return recall(call, exchange, answer.error, recalls + 1);
  }
  return convertAnswer(answer, {
    exchange,
    upstream,
    upstreamEra: era,
    metas: services.resultMetas,
    label,
    wrapped: request.wrapped ?? false,
    sealState: (state) => sealState(services, exchange, request, state),
    sealTask: (taskId) => sealTask(services, exchange.caller, { upstream, taskId, hosted }),
    ...(asking === undefined ? {} : { asking }),
  });
}

/** A result that asks for input on behalf of a session upstream. @param requests the bytes of `inputRequests` */
export function inputRequired({ services, request }: Call, requests: Buffer, requestState: string): Answer {
  const meta = { [META.serverInfo]: services.settings.serverInfo, [TURNPIKE_META.upstream]: request.upstream };
  const result = toJson({ resultType: 'input_required', inputRequests: {}, requestState, _meta: meta });
  return { kind: 'result', result: editObject(result, { inputRequests: requests }) };
}

/** -32042 as a stateless client knows it: open these URLs, then make the call again (protocol.md section 10, "ML", step 10). */
function recall(call: Call, exchange: Exchange, error: Buffer, round: number): Answer {
  const { services, request, label } = call;
  const { upstream } = request;
  if (round > services.settings.bridge.maxRounds) throw tooManyRounds(call);
  const { data } = JSON.parse(error.toString('utf8')) as JsonObject;
  const listed: unknown[] = isJsonObject(data) && Array.isArray(data.elicitations) ? data.elicitations : [];
  const requests: Record<string, JsonObject> = {};
  for (const [at, elicitation] of listed.slice(0, MAX_PENDING).entries()) {
    if (!isJsonObject(elicitation) || typeof elicitation.url !== 'string') continue;
    const params = toJson({ mode: 'url', message: wordOf(elicitation.message ?? ''), url: elicitation.url });
    const shown = label ? labelled('elicitation/create', params, upstream) : params;
    requests[`u${at + 1}`] = { method: 'elicitation/create', params: JSON.parse(shown.toString('utf8')) as JsonObject };
  }
  if (Object.keys(requests).length === 0)
    throw new TurnpikeError('upstream/protocol', `upstream '${upstream}' asks its user to open a URL and names none`, { upstream });
  services.instruments.bridgeRounds('modern', 'legacy').add();
  return inputRequired(call, toJson(requests), sealState(services, exchange, request, { kind: 'recall', round }));
}

function isFailure(answer: Answer): boolean {
  return answer.kind === 'error' || (JSON.parse(answer.result.toString('utf8')) as { isError?: unknown }).isError === true;
}
