import { asTurnpikeError, ERRORS, TurnpikeError } from '../../core/errors.ts';
import type { JsonObject } from '../../core/mcp.ts';
import type { Fault } from './schema.ts';
import type { ToolOutcome } from './server.ts';

/** Members of the result of `tools/call`. */
export function toolResult({ content, structuredContent, isError, meta }: ToolOutcome): JsonObject {
  return {
    resultType: 'complete',
    content,
    ...(structuredContent === undefined ? {} : { structuredContent }),
    ...(isError === undefined ? {} : { isError }),
    ...(meta === undefined ? {} : { _meta: meta }),
  };
}

/** What a tool threw, as its caller may read it: only errors of ours say something. */
export function failureOutcome(name: string, error: unknown): ToolOutcome {
  const { code, message } = asTurnpikeError(error);
  const text = error instanceof TurnpikeError && ERRORS[code].show ? message : `${name} failed: internal error`;
  return { content: [{ type: 'text', text }], isError: true };
}

/** Says to a model what is wrong with its arguments and how to put it right. */
export function argumentsText(name: string, faults: readonly Fault[]): string {
  const lines = faults.map(({ path, text }) => `- ${path === '' ? 'arguments' : path}: ${text}`);
  return [`Invalid arguments for ${name}. Nothing was done. Correct these and call again:`, ...lines].join('\n');
}
