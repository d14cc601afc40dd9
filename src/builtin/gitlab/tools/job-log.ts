import type { JsonObject } from '../../../core/mcp.ts';
import { GitLabError } from '../client/gitlab-error.ts';
import type { Masker } from '../output/masking.ts';
import type { Work } from './declaration.ts';

import { linesOf, shownLine } from './line-reader.ts';
import { clamp } from './listing.ts';
import type { Hint, Produced } from './produced.ts';
import { pathOf } from './routing.ts';

const DEFAULT_LIMIT = 200;
const MAX_LIMIT = 2_000;
const MAX_LINE = 10_000;
/** Characters of the end of a log that are held while it is read. */
const HELD = 2 * 1024 * 1024;
const LATER = 'The log is longer than what may be read of it; its end is not shown. Open it in a browser.';

interface LogWindow {
  /** Lines with their numbers, from 0. */
  readonly lines: { readonly number: number; readonly text: string }[];
  /** Lines (with `grep`: hits) that were seen. */
  seen: number;
  /** All of the log was read, so `seen` is a total. */
  ended: boolean;
  /** Lines were dropped at the beginning of what was asked for, to hold memory. */
  dropped: boolean;
  note?: string;
}

/** A job's log through a window: from a line on, from the end, or the lines that hold a text. */
export async function readLog(work: Work): Promise<Produced> {
  const { args, api, signal } = work;
  const limit = clamp(args.limit, 1, MAX_LIMIT, DEFAULT_LIMIT);
  const offset = clamp(args.offset, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER, -limit);
  const grep = typeof args.grep === 'string' && args.grep !== '' ? args.grep : undefined;
  const { chunks } = await api.stream({ path: pathOf('P/jobs/{job_id}/trace', args), signal });
  const window = await windowOf(chunks, work.masker, { limit, offset, grep });
  const start = offset >= 0 ? offset : Math.max(0, window.seen + offset);
  const first = window.dropped ? window.seen - window.lines.length : start;
  const shown = window.lines.slice(0, limit).map(({ number, text }) => (grep === undefined ? text : `${number + 1}: ${text}`));
  return {
    kind: 'lines',
    lines: shown,
    build: (kept): JsonObject => ({
      job_id: args.job_id,
      offset: first,
      lines: kept,
      [grep === undefined ? 'total_lines' : 'total_matches']: window.ended ? window.seen : undefined,
      note: window.note ?? (window.dropped ? 'The lines before these did not fit; ask for them with an offset from the beginning.' : undefined),
      content: shown.slice(0, kept).join('\n'),
    }),
    next: (kept) => nextOf(work, first, kept, window),
  };
}

function nextOf({ declaration, asked }: Work, first: number, kept: number, window: LogWindow): Hint | undefined {
  const behind = first + kept;
  if (window.ended && behind >= window.seen) {
    if (first === 0) return undefined;
    const { limit } = asked;
    const before = Math.max(0, first - clamp(limit, 1, MAX_LIMIT, DEFAULT_LIMIT));
    return { tool: declaration.name, arguments: { ...asked, offset: before }, why: 'the lines before' };
  }
  return { tool: declaration.name, arguments: { ...asked, offset: Math.max(behind, first + 1) }, why: 'the next lines' };
}

interface Wanted {
  readonly limit: number;
  readonly offset: number;
  readonly grep: string | undefined;
}

async function windowOf(chunks: AsyncIterable<Buffer>, masker: Masker, { limit, offset, grep }: Wanted): Promise<LogWindow> {
  const window: LogWindow = { lines: [], seen: 0, ended: false, dropped: false };
  const reader = masker.lines();
  const counts: number[] = [];
  let held = 0;
  let number = -1;
  try {
    for await (const line of linesOf(chunks, MAX_LINE)) {
      number++;
      // One line more than asked for tells that there are more.
      if (offset >= 0 && window.seen > offset + limit) return settled(window, masker, counts, limit);
      if (grep !== undefined && !line.text.includes(grep)) {
        reader.skip(line.text);
        continue;
      }
      const isBefore = offset >= 0 && window.seen < offset;
      if (isBefore && grep === undefined) {
        reader.skip(line.text);
        window.seen++;
        continue;
      }
      const read = reader.read(line.text);
      // A hit inside a secret is none, or the secret could be guessed piece by piece.
      if (grep !== undefined && !read.text.includes(grep)) continue;
      window.seen++;
      if (isBefore) continue;
      const text = shownLine(line, read.text);
      window.lines.push({ number, text });
      counts.push(read.masked);
      held += text.length;
      while (offset < 0 && (window.lines.length > -offset || held > HELD)) {
        if (window.lines.length <= -offset) window.dropped = true;
        held -= window.lines.shift()?.text.length ?? 0;
        counts.shift();
      }
      if (offset >= 0 && window.lines.length > limit) {
        window.lines.pop();
        counts.pop();
      }
    }
    window.ended = true;
  } catch (error) {
    if (!(error instanceof GitLabError) || error.code !== 'response_too_large') throw error;
    window.note = LATER;
    window.ended = true;
  }
  return settled(window, masker, counts, limit);
}

/** Counts what was masked in lines that are shown. */
function settled(window: LogWindow, masker: Masker, counts: readonly number[], limit: number): LogWindow {
  for (const masked of counts.slice(0, limit)) masker.add(masked);
  return window;
}
