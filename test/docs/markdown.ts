import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export const ROOT = join(import.meta.dirname, '../..');

/** A block between fences. */
export interface Block {
  readonly language: string;
  /** What follows the language: `turnpike` marks a configuration. */
  readonly mark: string;
  readonly text: string;
  /** Of the opening fence, from 1. */
  readonly line: number;
}

export interface Link {
  readonly target: string;
  /** From 1. */
  readonly line: number;
}

/** All Markdown files of the repository, by their paths from its root; those that are not committed yet, too. */
export function markdownFiles(): string[] {
  const listed = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '*.md'], { cwd: ROOT, encoding: 'utf8' });
  return listed.split('\n').filter((name) => name !== '');
}

export function read(name: string): string {
  return readFileSync(join(ROOT, name), 'utf8');
}

export function blocksOf(markdown: string): Block[] {
  const blocks: Block[] = [];
  let open: { language: string; mark: string; line: number; lines: string[] } | undefined;
  for (const [index, text] of markdown.split('\n').entries()) {
    const fence = /^```(\S*) *(.*)$/.exec(text);
    if (fence === null) open?.lines.push(text);
    else if (open === undefined) open = { language: fence[1] ?? '', mark: fence[2] ?? '', line: index + 1, lines: [] };
    else {
      blocks.push({ language: open.language, mark: open.mark, line: open.line, text: `${open.lines.join('\n')}\n` });
      open = undefined;
    }
  }
  if (open !== undefined) throw new Error(`the block that begins in line ${open.line} has no end`);
  return blocks;
}

/** Links of the text, not of code. */
export function linksOf(markdown: string): Link[] {
  const lines = withoutCode(markdown);
  return lines.flatMap((text, index) => [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => ({ target, line: index + 1 })));
}

/** What the headings of a page can be reached by, as GitHub makes it. */
export function anchorsOf(markdown: string): ReadonlySet<string> {
  const anchors = new Set<string>();
  let isCode = false;
  for (const text of markdown.split('\n')) {
    if (text.startsWith('```')) isCode = !isCode;
    const heading = isCode ? undefined : /^#{1,6} +(.+)$/.exec(text)?.[1];
    if (heading === undefined) continue;
    const plain = heading.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase();
    anchors.add(
      plain
        .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
        .trim()
        .replaceAll(/\s/g, '-'),
    );
  }
  return anchors;
}

function withoutCode(markdown: string): string[] {
  let isCode = false;
  return markdown.split('\n').map((text) => {
    const isFence = text.startsWith('```');
    if (isFence) isCode = !isCode;
    return isCode || isFence || text.startsWith('    ') ? '' : text.replaceAll(/`[^`]*`/g, '');
  });
}
