import { type Edits, editObject, member, memberSpans, parseJson } from '../../core/json.ts';
import { isJsonObject, type JsonObject } from '../../core/mcp.ts';
import { checkAnswer } from './answers.ts';
import { formOf } from './form-schema.ts';

/**
 * The answer to a question as its asker gets it, or undefined when it does not fit (protocol.md section 9). What the form has no
 * field for is cut: some clients send more than they were asked, and a server that trusts its form does not expect it.
 * @param params those of the question @param answer the bytes of its result
 */
export function fittingAnswer(method: string, params: JsonObject, answer: Buffer): Buffer | undefined {
  const cut = method === 'elicitation/create' ? withoutForeign(params, answer) : answer;
  const parsed = parseJson(cut);
  return parsed.ok && checkAnswer(method, params, parsed.value) ? cut : undefined;
}

function withoutForeign({ mode, requestedSchema }: JsonObject, answer: Buffer): Buffer {
  const parsed = parseJson(answer);
  const body = parsed.ok && isJsonObject(parsed.value) ? parsed.value : {};
  const form = formOf(requestedSchema);
  const content = isJsonObject(body.content) ? member(answer, 'content') : undefined;
  if (content === undefined || mode === 'url' || !form.ok) return answer;
  const foreign: Edits = Object.fromEntries(
    memberSpans(content)
      .filter(({ key }) => !form.value.fields.has(key))
      .map(({ key }) => [key, undefined]),
  );
  return Object.keys(foreign).length === 0 ? answer : editObject(answer, { content: editObject(content, foreign) });
}
