import { flow } from '../../config/yaml-text.ts';
import { isJsonObject, type JsonObject } from '../../core/mcp.ts';
import { redactText } from '../../telemetry/redact.ts';
import type { Imported } from './import.ts';

/** What a new configuration is made from. */
export interface Draft extends Imported {
  readonly port: number;
  /** SHA-256 of the token that clients must show; absent: everybody on this machine may call. */
  readonly tokenHash?: string;
}

const WIDTH = 110;
/** Characters that end a line, do not show, or are no text by themselves. */
const HIDDEN = /\p{C}|\p{Zl}|\p{Zp}|[^\P{Zs} ]/u;
const HIDDEN_ALL = new RegExp(HIDDEN, 'gu');

/** The text of a new `turnpike.yaml`. */
export function draftFile({ port, tokenHash, upstreams, variables, notes }: Draft): string {
  return `# Turnpike: one MCP endpoint in front of the servers below. Written by turnpike init; it is yours now.
#   turnpike check turnpike.yaml    what is in force, and where each value came from
#   turnpike serve                  run it
#   turnpike explain TOOL           why a tool is offered, or is not
# Every setting: turnpike serve --help, and turnpike.example.yaml in the package.
${section('Changed or left out:', notes)}${section(
  'Variables that must be set when it runs (references below):',
  variables.map(({ name, source }) => `${name}, from ${source}`),
)}
listen:
  host: 127.0.0.1    # This machine only. Any other address needs auth.modes, and listen.publicUrl.
  port: ${port}

${authText(tokenHash)}
# What may be called. Tools that destroy something are refused unless they are lifted here.
# policy:
#   nonDestructive: true            # only what is known to read
#   denylist: {except: ["UPSTREAM:TOOL"]}

# The servers. Their tools are called x_UPSTREAM_TOOL.
${upstreams.length === 0 ? EXAMPLES : `upstreams:\n${upstreams.map(({ fields, origins }) => `${origins.map((origin) => comment(`Was ${origin}.`, '  ')).join('')}${item(fields)}`).join('\n')}`}`;
}

const EXAMPLES = `upstreams: []
#  - name: files                    # a program that speaks on its pipes
#    type: stdio
#    command: my-mcp-server
#    args: [--root, /srv/docs]
#    env: {API_KEY: "\${env:FILES_API_KEY}"}
#    tools: {deny: ["delete_*"]}
#  - name: search                   # a server that is reached over HTTP
#    type: streamable-http
#    url: https://search.example.com/mcp
`;

function authText(tokenHash: string | undefined): string {
  if (tokenHash === undefined) {
    return `auth:
  modes: [none]    # Everybody on this machine. With static, callers show a token:
  # static: [{name: me, tokenFile: /path/of/the/token}]
`;
  }
  return `auth:
  modes: [static]
  static:
    - name: me
      sha256: ${flow(tokenHash)}    # of the token that init has shown
`;
}

function section(title: string, lines: readonly string[]): string {
  return lines.length === 0 ? '' : `#\n# ${title}\n${lines.map((line) => comment(line, '', '- ')).join('')}`;
}

/** Foreign words cannot end a comment: line breaks and other control characters are written out. */
function comment(text: string, indent: string, bullet = ''): string {
  const words = redactText(text, 1000).split(' ');
  const lines: string[] = [];
  let line = `${indent}# ${bullet}`;
  for (const word of words) {
    if (line.length + word.length > WIDTH && line.trim().length > 3) {
      lines.push(line.trimEnd());
      line = `${indent}# ${bullet === '' ? '' : '  '}`;
    }
    line += `${word} `;
  }
  return `${[...lines, line.trimEnd()].join('\n')}\n`;
}

/** One entry of a list: members on lines of their own, lists and small mappings in flow form. */
function item(fields: JsonObject): string {
  return Object.entries(fields)
    .map(([key, value], index) => `  ${index === 0 ? '- ' : '  '}${member(key, value, '      ')}`)
    .join('');
}

/**
 * A value on one line. Texts with line breaks or other characters that do not show are in double quotes and escaped, as in JSON, which
 * YAML reads alike.
 */
function inline(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(inline).join(', ')}]`;
  if (isJsonObject(value)) {
    const members = Object.entries(value).map(([key, inner]) => `${inline(key)}: ${inline(inner)}`);
    return `{${members.join(', ')}}`;
  }
  if (typeof value !== 'string') return flow(value);
  return HIDDEN.test(value) ? JSON.stringify(value).replace(HIDDEN_ALL, escaped) : flow([value]).slice(1, -1);
}

function escaped(text: string): string {
  return Array.from({ length: text.length }, (_, index) => `\\u${text.charCodeAt(index).toString(16).padStart(4, '0')}`).join('');
}

function member(key: string, value: unknown, indent: string): string {
  if (!isJsonObject(value) || inline(value).length < 60) return `${inline(key)}: ${inline(value)}\n`;
  return `${inline(key)}:\n${Object.entries(value)
    .map(([name, inner]) => `${indent}${member(name, inner, `${indent}  `)}`)
    .join('')}`;
}
