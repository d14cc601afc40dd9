import { TurnpikeError } from '../../core/errors.ts';
import { editObject, member, memberSpans, objectOf, repeatedMember, toJson } from '../../core/json.ts';
import { isJsonObject, type JsonObject, wordOf } from '../../core/mcp.ts';
import { editMeta, labelled } from '../edits.ts';
import { allows, NEEDS } from '../interactions.ts';
import { cancelAnswer } from '../questions/answers.ts';
import { type Asked, judge } from '../questions/judged-questions.ts';

/** What a modern upstream's task asks, as its client may see it. */
export interface JudgedRequests {
  /** The bytes of `inputRequests`; undefined when nothing is left to ask. */
  readonly requests: Buffer | undefined;
  /** Answers that we give in the client's stead, by key. */
  readonly forced: Readonly<Record<string, Buffer>>;
}

/**
 * Judges the input requests of a task as all other questions (security class 17), and names their asker. What must not be
 * asked, or cannot be carried, is taken out and answered. Throws `upstream/protocol` for what two readers may take for two
 * things. @param task the bytes of the task @param label whether questions name their asker
 */
export function judgedRequests(asked: Asked, task: Buffer, label: boolean): JudgedRequests | undefined {
  const requests = member(task, 'inputRequests');
  if (requests === undefined || !isJsonObject(JSON.parse(requests.toString('utf8')))) return undefined;
  const spans = memberSpans(requests);
  const isAmbiguous = memberSpans(task).filter(({ key }) => key === 'inputRequests').length > 1 || repeatedMember(requests) !== undefined;
  // As the name of a member it is something else to many a program, ours included.
  if (isAmbiguous || spans.some(({ key }) => key === '__proto__')) {
    throw new TurnpikeError('upstream/protocol', `upstream '${asked.upstream}' asked in a way that can be read twice`, { upstream: asked.upstream });
  }
  const edits: Record<string, Buffer | undefined> = {};
  const forced: Record<string, Buffer> = {};
  for (const { key, valueStart, end } of spans) {
    const request = requests.subarray(valueStart, end);
    const judged = judgedRequest(asked, request);
    if ('answer' in judged) {
      edits[key] = undefined;
      forced[key] = judged.answer;
    } else {
      const shown = label ? labelled(judged.method, judged.params, asked.upstream) : judged.params;
      if (member(request, 'params')?.equals(shown) === false) edits[key] = editObject(request, { params: shown });
    }
  }
  const isEmpty = Object.keys(forced).length === spans.length;
  return { requests: isEmpty ? undefined : editObject(requests, edits), forced };
}

type Judged = { readonly answer: Buffer } | { readonly method: string; readonly params: Buffer };

function judgedRequest(asked: Asked, request: Buffer): Judged {
  const parsed: unknown = JSON.parse(request.toString('utf8'));
  const { method, params = {} }: JsonObject = isJsonObject(parsed) ? parsed : {};
  const bytes = (isJsonObject(parsed) && member(request, 'params')) || toJson({});
  const isPlain = isJsonObject(parsed) && repeatedMember(request) === undefined && isJsonObject(params);
  if (!isPlain || typeof method !== 'string' || !NEEDS.has(method) || !allows(asked.profile, method, params)) return { answer: refused(method) };
  const verdict = judge(asked, method, editObject(bytes, editMeta(bytes, {})));
  if (verdict.kind === 'ask') return { method, params: verdict.params };
  return { answer: verdict.answer.kind === 'result' ? verdict.answer.result : refused(method) };
}

/** What stands in `inputResponses` for a question that nobody is asked: results only (2026-07-28, "InputResponses"). */
function refused(method: unknown): Buffer {
  const answer = cancelAnswer(wordOf(method));
  return answer.kind === 'result' ? answer.result : objectOf({ action: toJson('cancel') });
}
