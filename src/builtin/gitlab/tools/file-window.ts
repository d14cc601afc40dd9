import type { JsonObject } from '../../../core/mcp.ts';
import type { Query } from '../client/api.ts';
import { GitLabError } from '../client/gitlab-error.ts';
import type { Masker } from '../output/masking.ts';
import type { Work } from './declaration.ts';
import { linesOf, shownLine } from './line-reader.ts';
import { clamp } from './listing.ts';
import type { Produced } from './produced.ts';
import { pathOf } from './routing.ts';

/** More never fits into a result. */
const MAX_BYTES = 1_000_000;
const MAX_LINE = 20_000;
/** Bytes at the beginning that tell whether a file is text, as git looks at them. */
const LOOKED_AT = 8_000;

interface Window {
  readonly lines: string[];
  /** Lines read up to here; all of them if `ended`. */
  seen: number;
  ended: boolean;
  /** Why reading ended before the file did. */
  note?: string;
}

/** A text somewhere at GitLab. */
interface TextSource {
  readonly path: string;
  readonly query?: Query;
  /** What is known of it, by the headers it came with. */
  about(headers: Readonly<Record<string, string>>): JsonObject;
}

/** A file of the repository by lines (gitlab.md 3, "raw files stream"). */
export function readFile(work: Work): Promise<Produced> {
  const { args } = work;
  const ref = typeof args.ref === 'string' ? args.ref : 'HEAD';
  const about = (headers: Readonly<Record<string, string>>) => aboutOf(headers, String(args.file_path), ref);
  return readText(work, { path: pathOf('RP/files/{file_path}/raw', args), query: { ref }, about });
}

/** A file of a job's artifacts by lines. */
export function readArtifact(work: Work): Promise<Produced> {
  const { job_id, artifact_path } = work.args;
  return readText(work, {
    path: pathOf('P/jobs/{job_id}/artifacts/{artifact_path}', work.args),
    about: () => ({ job_id, file_path: artifact_path }),
  });
}

/** Lines of a text, read only as far as they are asked for; it may be of any size. */
async function readText(work: Work, source: TextSource): Promise<Produced> {
  const { args, api, signal } = work;
  const first = clamp(args.start_line, 1, Number.MAX_SAFE_INTEGER, 1);
  const last = clamp(args.end_line, first, Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
  const maxBytes = clamp(args.max_bytes, 1, MAX_BYTES, work.settings.maxResultBytes);
  const { path, query } = source;
  const { headers, chunks } = await api.stream({ path, ...(query === undefined ? {} : { query }), signal });
  const about = source.about(headers);
  const peeked = await peek(chunks);
  if (peeked.isBinary)
    return { kind: 'item', item: { ...about, encoding: 'binary', complete: false, note: 'A binary file: its content is not shown.' } };
  const window = await windowOf(peeked.chunks, work.masker, first, last, maxBytes);
  const { lines } = window;
  return {
    kind: 'lines',
    lines,
    build: (kept) => ({
      ...about,
      encoding: 'text',
      start_line: first,
      ...(kept > 0 && { end_line: first + kept - 1 }),
      total_lines: window.ended ? window.seen : undefined,
      complete: window.ended && kept === lines.length && first === 1,
      note: window.note,
      content: lines.slice(0, kept).join('\n'),
    }),
    next: (kept) => {
      const isEnd = kept === lines.length && (window.ended || window.note !== undefined || first + kept > last);
      const { end_line, ...rest } = work.asked;
      const range = { start_line: first + Math.max(1, kept), ...(end_line === undefined ? {} : { end_line }) };
      return isEnd ? undefined : { tool: work.declaration.name, arguments: { ...rest, ...range }, why: 'the next lines' };
    },
  };
}

async function windowOf(chunks: AsyncIterable<Buffer>, masker: Masker, first: number, last: number, maxBytes: number): Promise<Window> {
  const window: Window = { lines: [], seen: 0, ended: false };
  const reader = masker.lines();
  let bytes = 0;
  try {
    for await (const line of linesOf(chunks, MAX_LINE)) {
      const number = window.seen + 1;
      if (number > last || bytes >= maxBytes) return window;
      window.seen = number;
      if (number < first) {
        reader.skip(line.text);
        continue;
      }
      const read = reader.read(line.text);
      const text = shownLine(line, read.text);
      const size = Buffer.byteLength(text) + 1;
      if (bytes + size > maxBytes && window.lines.length > 0) {
        window.seen--;
        return window;
      }
      masker.add(read.masked);
      window.lines.push(text);
      bytes += size;
    }
    window.ended = true;
  } catch (error) {
    if (!(error instanceof GitLabError) || error.code !== 'response_too_large') throw error;
    window.note = 'The file is longer than what may be read of it; its end is not shown. Clone the repository to see it.';
  }
  return window;
}

interface Peeked {
  readonly isBinary: boolean;
  readonly chunks: AsyncIterable<Buffer>;
}

/** Looks at the beginning of a body and gives the whole of it on, an error in it as well. A binary one is ended. */
async function peek(chunks: AsyncIterable<Buffer>): Promise<Peeked> {
  const iterator = chunks[Symbol.asyncIterator]();
  const begun: Buffer[] = [];
  let failure: { readonly error: unknown } | undefined;
  let size = 0;
  while (size < LOOKED_AT && failure === undefined) {
    try {
      const next = await iterator.next();
      if (next.done === true) break;
      begun.push(next.value);
      size += next.value.length;
    } catch (error) {
      failure = { error };
    }
  }
  const isBinary = Buffer.concat(begun).subarray(0, LOOKED_AT).includes(0);
  if (isBinary) await iterator.return?.();
  return { isBinary, chunks: rejoined(begun, iterator, failure) };
}

async function* rejoined(
  head: readonly Buffer[],
  rest: AsyncIterator<Buffer>,
  failure: { readonly error: unknown } | undefined,
): AsyncGenerator<Buffer> {
  try {
    yield* head;
    if (failure !== undefined) throw failure.error;
    for (let next = await rest.next(); next.done !== true; next = await rest.next()) yield next.value;
  } finally {
    await rest.return?.();
  }
}

function aboutOf(headers: Readonly<Record<string, string>>, file: string, ref: string): JsonObject {
  const size = Number(headers['x-gitlab-size']);
  return {
    file_path: file,
    ref,
    ...(Number.isSafeInteger(size) && headers['x-gitlab-size'] !== '' ? { size } : {}),
    blob_id: headers['x-gitlab-blob-id'],
    commit_id: headers['x-gitlab-commit-id'],
    last_commit_id: headers['x-gitlab-last-commit-id'],
  };
}
