import { isJsonObject, type JsonObject } from '../../../core/mcp.ts';
import type { Payload, Step } from './payload.ts';

/** The Markdown of a result: the same facts as its structured content (gitlab.md 4, "Output"). */
export function markdownOf(payload: Payload): string {
  const lines: string[] = [];
  if (payload.notice !== undefined) lines.push(`> ${payload.notice}`, '');
  if (payload.item !== undefined) members(payload.item, '', lines);
  for (const [index, item] of (payload.items ?? []).entries()) {
    lines.push(`### ${index + 1}`);
    members(item, '', lines);
    lines.push('');
  }
  if (payload.items?.length === 0) lines.push('No items.', '');
  if (payload.pagination !== undefined) lines.push(`Pagination: ${flat(payload.pagination)}`);
  if (payload.truncated !== undefined) {
    for (const cut of payload.truncated.cut) lines.push(`Cut: ${flat(cut)}`);
    lines.push(`To go on: ${payload.truncated.go_on}`);
  }
  if (payload.masked !== undefined) lines.push(`Masked secrets: ${payload.masked}`);
  for (const step of payload.next_steps ?? []) lines.push(stepLine(step));
  return lines.join('\n').trimEnd();
}

function stepLine(step: Step): string {
  return `Next: ${step.tool} ${JSON.stringify(step.arguments)} (${step.why})`;
}

function flat(object: object): string {
  return Object.entries(object)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ');
}

function members(object: JsonObject, indent: string, lines: string[]): void {
  const entries = Object.entries(object);
  if (entries.length === 0) lines.push(`${indent}- (empty)`);
  for (const [name, value] of entries) member(name, value, indent, lines);
}

function member(name: string, value: unknown, indent: string, lines: string[]): void {
  if (typeof value === 'string' && value.includes('\n')) {
    // Longer than any run inside, so that text cannot end its own fence.
    const fence = '`'.repeat(Math.max(3, longestRun(value) + 1));
    lines.push(`${indent}- ${name}:`, fence, value, fence);
    return;
  }
  if (Array.isArray(value)) {
    if (value.every((entry) => typeof entry !== 'object' || entry === null)) {
      const isPlain = value.every((entry) => typeof entry !== 'string' || !entry.includes('\n'));
      if (isPlain) {
        lines.push(`${indent}- ${name}: ${value.length === 0 ? '(none)' : value.map(String).join(', ')}`);
        return;
      }
    }
    lines.push(`${indent}- ${name}:`);
    for (const [index, entry] of value.entries()) member(String(index + 1), entry, `${indent}  `, lines);
    return;
  }
  if (isJsonObject(value)) {
    lines.push(`${indent}- ${name}:`);
    members(value, `${indent}  `, lines);
    return;
  }
  lines.push(`${indent}- ${name}: ${String(value)}`);
}

function longestRun(text: string): number {
  let longest = 0;
  for (const [run] of text.matchAll(/`+/g)) longest = Math.max(longest, run.length);
  return longest;
}
