import { TurnpikeError } from '../../../core/errors.ts';
import { isJsonObject, type JsonObject } from '../../../core/mcp.ts';
import type { ToolOutcome } from '../../server/server.ts';
import type { GitLabCall, GitLabContext } from './gitlab-call.ts';
import type { Runner } from './runner.ts';

/** What a tool found, for resources, prompts and completions: the same path as a call of the tool, so the same rules. */
export interface Found {
  readonly text: string;
  readonly item: JsonObject;
  readonly items: readonly JsonObject[];
}

/**
 * Runs a tool that only reads on behalf of something else.
 * @throws `catalog/resource` for what GitLab does not have, `upstream/down` for what it cannot say now, `request/params` for the
 * rest of what it refuses; what the runner throws
 */
export async function found(runner: Runner, tool: string, args: JsonObject, call: GitLabCall, maxBytes?: number): Promise<Found> {
  const outcome = await runner.run(tool, args, call, maxBytes);
  if (outcome.isError === true) throw asError(outcome);
  const { item, items } = outcome.structuredContent ?? {};
  return { text: textOf(outcome), item: isJsonObject(item) ? item : {}, items: Array.isArray(items) ? items.filter(isJsonObject) : [] };
}

/** A call that can neither be asked nor told of progress. */
export function silentCall(context: GitLabContext, signal: AbortSignal): GitLabCall {
  return {
    ...{ context, signal, canElicit: false },
    progress() {},
    ask() {
      throw new TurnpikeError('request/capability');
    },
  };
}

function asError(outcome: ToolOutcome): TurnpikeError {
  const { error } = outcome.structuredContent ?? {};
  const status = isJsonObject(error) ? error.status : undefined;
  if (status === 404) return new TurnpikeError('catalog/resource');
  const isDown = status === null || status === 429 || (typeof status === 'number' && status >= 500);
  return new TurnpikeError(isDown ? 'upstream/down' : 'request/params', textOf(outcome));
}

function textOf({ content }: ToolOutcome): string {
  const [first] = content;
  return typeof first?.text === 'string' ? first.text : '';
}
