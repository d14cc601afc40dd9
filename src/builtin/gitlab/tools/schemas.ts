import type { JsonObject } from '../../../core/mcp.ts';
import type { ToolDeclaration } from './declaration.ts';
import { objectSchema } from './parameters.ts';
import { expanded, paramsOf } from './routing.ts';

/** Input schema of a tool. With a default project nobody needs to name one. */
export function inputSchemaOf(declaration: ToolDeclaration, hasDefaultProject: boolean): JsonObject {
  const params = { ...paramsOf(declaration) };
  const project = params.project_id;
  if (hasDefaultProject && project !== undefined) {
    const { required: _, ...optional } = project;
    params.project_id = optional;
  }
  return objectSchema(params);
}

/** Without types: each byte here is in the list once for every tool. */
const COMMON = { next_steps: {}, notice: {}, truncated: {}, masked: {}, error: {} };
const ITEM: JsonObject = { type: 'object', properties: { item: { type: 'object' }, ...COMMON }, additionalProperties: false };
const LIST: JsonObject = {
  type: 'object',
  properties: { items: { type: 'array' }, pagination: { type: 'object' }, ...COMMON },
  additionalProperties: false,
};

/** Output schema: kept small, because it cannot be shared between the tools of a list. */
export function outputSchemaOf(declaration: ToolDeclaration): JsonObject {
  return declaration.list === true ? LIST : ITEM;
}

/** The reference of all tools as Markdown tables, one for each toolset. */
export function toolReference(declarations: readonly ToolDeclaration[]): string {
  const lines: string[] = [];
  for (const toolset of new Set(declarations.map((declaration) => declaration.toolset))) {
    lines.push(`## ${toolset}`, '', '| Tool | What it does | REST | Parameters | Kind | Tier |', '|---|---|---|---|---|---|');
    for (const declaration of declarations.filter((one) => one.toolset === toolset)) lines.push(referenceRow(declaration));
    lines.push('');
  }
  return lines.join('\n');
}

function referenceRow(declaration: ToolDeclaration): string {
  const { name, description, method = 'GET', routes, kind, tier } = declaration;
  const params = Object.entries(paramsOf(declaration)).map(([param, { required }]) => `\`${param}\`${required === true ? ' (required)' : ''}`);
  const rest = routes.map((route) => `\`${method} ${expanded(route)}\``).join(' or ');
  const cells = [`\`${name}\``, description, rest, params.join(', '), kind, String(tier)];
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}
