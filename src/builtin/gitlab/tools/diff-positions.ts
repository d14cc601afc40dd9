/** The lines of both sides that name one place to GitLab. */
export interface LinePair {
  readonly old_line?: number;
  readonly new_line?: number;
}

/**
 * What a comment on `line` must say: only the new line where it was added, both where it is unchanged, inside a hunk or between
 * hunks (GitLab: Discussions API, "Parameters for multiline comments" and "Create new merge request thread"). Without hunks (a
 * collapsed diff) the new line alone.
 *
 * @param diff hunks of one file
 * @param line of the new side, 1-based; of the old side for a deleted file
 */
export function positionsOf(diff: string, line: number, isDeleted: boolean): LinePair {
  if (isDeleted) return { old_line: line };
  /** Old line minus new line, behind what was read so far. */
  let shift = 0;
  let oldLine = 0;
  let newLine = 0;
  let inHunk = false;
  for (const text of diff.split('\n')) {
    const [, oldStart, oldCount = '1', newStart, newCount = '1'] = /^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@/.exec(text) ?? [];
    if (oldStart !== undefined && newStart !== undefined) {
      // An empty side names the line before it.
      oldLine = Number(oldStart) + (oldCount === '0' ? 1 : 0);
      newLine = Number(newStart) + (newCount === '0' ? 1 : 0);
      if (line < newLine) return { old_line: line + shift, new_line: line };
      inHunk = true;
      continue;
    }
    if (!inHunk) continue;
    if (text.startsWith('+')) {
      if (newLine === line) return { new_line: line };
      newLine++;
    } else if (text.startsWith('-')) oldLine++;
    else if (text.startsWith(' ')) {
      if (newLine === line) return { old_line: oldLine, new_line: line };
      oldLine++;
      newLine++;
    }
    shift = oldLine - newLine;
  }
  return inHunk ? { old_line: line + shift, new_line: line } : { new_line: line };
}
