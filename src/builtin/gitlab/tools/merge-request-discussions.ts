import { TurnpikeError } from '../../../core/errors.ts';
import { isJsonObject, type JsonObject } from '../../../core/mcp.ts';
import type { ToolDeclaration, Work } from './declaration.ts';
import { positionsOf } from './diff-positions.ts';
import { listed } from './listing.ts';
import { flag, integer, must, object, own, text, word } from './parameters.ts';
import { produced, readObject, sent } from './rest.ts';
import { pathOf } from './routing.ts';
import { DISCUSSION, NOTE } from './shapes.ts';

/** Changed files that are looked through for the one a thread is about. */
const MAX_FILES = 3_000;
const MAX_DIFF_BYTES = 10 * 1024 * 1024;

function listDiscussions(work: Work) {
  const { resolved } = work.args;
  if (typeof resolved !== 'boolean') return listed(work);
  return listed(work, (discussion) => {
    const notes = Array.isArray(discussion.notes) ? discussion.notes.filter(isJsonObject) : [];
    const resolvable = notes.filter((note) => note.resolvable === true);
    return resolvable.length > 0 && resolvable.every((note) => note.resolved === true) === resolved;
  });
}

async function createThread(work: Work) {
  const { args } = work;
  const { file, line, position } = args;
  if (position !== undefined || (file === undefined && line === undefined)) return produced(await sent(work));
  if (typeof file !== 'string' || typeof line !== 'number')
    throw new TurnpikeError('request/params', 'create_merge_request_thread needs file and line together');
  return produced(await sent(work, { ...args, position: await computedPosition(work, file, line) }));
}

/** The position of a line of the new side, from `diff_refs` and the diff of its file (gitlab.md 4). */
async function computedPosition(work: Work, file: string, line: number): Promise<JsonObject> {
  const { diff_refs: refs } = await readObject(work, 'M');
  if (!isJsonObject(refs)) throw new TurnpikeError('request/params', 'The merge request has no diff yet; try again in a moment');
  const path = pathOf('M/diffs', work.args);
  const { signal } = work;
  for await (const diff of work.api.page({ path, query: { per_page: 100 }, signal, maxItems: MAX_FILES, maxBytes: MAX_DIFF_BYTES })) {
    if (diff.new_path !== file && diff.old_path !== file) continue;
    return {
      ...{ base_sha: refs.base_sha, start_sha: refs.start_sha, head_sha: refs.head_sha },
      position_type: 'text',
      ...{ old_path: diff.old_path, new_path: diff.new_path },
      ...positionsOf(typeof diff.diff === 'string' ? diff.diff : '', line, diff.deleted_file === true),
    };
  }
  throw new TurnpikeError('request/params', 'This file is not changed in the merge request; see list_merge_request_diffs');
}

const LINE_END = object({ line_code: text(), type: word('new', 'old'), old_line: integer(), new_line: integer() });
const POSITION = object({
  base_sha: must(text()),
  start_sha: must(text()),
  head_sha: must(text()),
  position_type: must(word('text', 'image', 'file')),
  new_path: text(),
  old_path: text(),
  new_line: integer(),
  old_line: integer(),
  line_range: object({ start: LINE_END, end: LINE_END }),
});

export const MERGE_REQUEST_DISCUSSIONS: readonly ToolDeclaration[] = [
  {
    name: 'mr_discussions',
    title: 'List discussions of a merge request',
    description: 'Threads and notes of a merge request; resolved narrows to threads that are, or are not.',
    ...{ toolset: 'merge_requests', tier: 1, kind: 'R', routes: ['M/discussions'], list: true, shape: DISCUSSION, run: listDiscussions },
    params: { resolved: own(flag()) },
  },
  {
    name: 'create_merge_request_note',
    title: 'Comment on a merge request',
    description: 'Adds a comment to a merge request.',
    ...{ toolset: 'merge_requests', tier: 1, kind: 'W', method: 'POST', routes: ['M/notes'], shape: NOTE },
    params: { body: must(text('Markdown')), internal: flag() },
  },
  {
    name: 'create_merge_request_thread',
    title: 'Start a thread on a merge request',
    description: 'Starts a thread; on a line of the new version with file and line, or at an exact position.',
    ...{ toolset: 'merge_requests', tier: 1, kind: 'W', method: 'POST', routes: ['M/discussions'], shape: DISCUSSION, run: createThread },
    params: { body: must(text('Markdown')), position: POSITION, file: own(text()), line: own(integer()) },
  },
  {
    name: 'create_merge_request_discussion_note',
    title: 'Reply in a thread',
    description: 'Adds a reply to a thread of a merge request.',
    ...{ toolset: 'merge_requests', tier: 1, kind: 'W', method: 'POST', routes: ['M/discussions/{discussion_id}/notes'], shape: NOTE },
    params: { body: must(text('Markdown')) },
  },
  {
    name: 'resolve_merge_request_thread',
    title: 'Resolve a thread',
    description: 'Resolves or reopens a thread of a merge request.',
    ...{
      toolset: 'merge_requests',
      tier: 1,
      kind: 'W',
      method: 'PUT',
      routes: ['M/discussions/{discussion_id}'],
      shape: DISCUSSION,
      idempotent: true,
    },
    params: { resolved: must(flag()) },
  },
];
