import { TurnpikeError } from '../../../core/errors.ts';
import type { JsonObject } from '../../../core/mcp.ts';
import type { Query } from '../client/api.ts';
import { apiPath, projectOrGroup } from '../client/api-path.ts';
import type { ToolDeclaration } from './declaration.ts';
import { LIST_PARAMS, PATH_PARAMS, type Param, type Params } from './parameters.ts';

const ROOTS: Readonly<Record<string, string>> = {
  P: '/projects/{project_id}',
  G: '/groups/{group_id}',
  I: '/projects/{project_id}/issues/{issue_iid}',
  M: '/projects/{project_id}/merge_requests/{merge_request_iid}',
  RP: '/projects/{project_id}/repository',
};
/** Parameters whose path has several parts. */
const SEVERAL_PARTS: ReadonlySet<string> = new Set(['artifact_path']);

/** A route with its root written out. */
export function expanded(route: string): string {
  const [, root = '', rest = ''] = /^([A-Z]*)(.*)$/.exec(route) ?? [];
  return (root === '' ? '' : (ROOTS[root] ?? '')) + rest;
}

/** Names of the parameters in a route. */
export function placeholders(route: string): string[] {
  return Array.from(expanded(route).matchAll(/\{(\w+)\}/g), ([, name = '']) => name);
}

/** The path of a route, each parameter encoded once. Throws `GitLabError` `invalid_request` for parts that are none. */
export function pathOf(route: string, args: JsonObject): string {
  const pieces = expanded(route).split(/\{(\w+)\}/);
  let path = '';
  for (const [index, piece] of pieces.entries()) path += index % 2 === 0 ? piece : encoded(piece, args[piece]);
  return path;
}

function encoded(name: string, value: unknown): string {
  const part = typeof value === 'number' ? value : String(value);
  if (name === 'project_id' || name === 'group_id') return apiPath`${projectOrGroup(part)}`;
  if (!SEVERAL_PARTS.has(name)) return apiPath`${part}`;
  return String(part)
    .split('/')
    .map((one) => apiPath`${one}`)
    .join('/');
}

/** The first route whose parameters are all given. */
export function routeOf(declaration: ToolDeclaration, args: JsonObject): string {
  const route = declaration.routes.find((candidate) => placeholders(candidate).every((name) => args[name] !== undefined));
  if (route !== undefined) return route;
  const choices = declaration.routes.map((candidate) =>
    placeholders(candidate)
      .filter((name) => args[name] === undefined)
      .join(' and '),
  );
  throw new TurnpikeError('request/params', `${declaration.name} needs ${[...new Set(choices)].join(' or ')}`);
}

/** All parameters of a tool, in the order of the reference. */
export function paramsOf(declaration: ToolDeclaration): Params {
  const inPaths = new Set(declaration.routes.flatMap(placeholders));
  const isEverywhere = (name: string) => declaration.routes.every((route) => placeholders(route).includes(name));
  const params: Record<string, Param> = {};
  for (const name of inPaths) {
    const param = declaration.params?.[name] ?? PATH_PARAMS[name];
    if (param === undefined) throw new TypeError(`${declaration.name}: unknown path parameter ${name}`);
    params[name] = isEverywhere(name) ? { ...param, required: true } : param;
  }
  return { ...params, ...omit(declaration.params ?? {}, inPaths), ...(declaration.list ? LIST_PARAMS : {}) };
}

function omit(params: Params, names: ReadonlySet<string>): Params {
  return Object.fromEntries(Object.entries(params).filter(([name]) => !names.has(name)));
}

/** What of the arguments is sent besides the path. */
export interface Sent {
  readonly query: Query;
  readonly body: JsonObject;
}

export function sentOf(declaration: ToolDeclaration, route: string, args: JsonObject): Sent {
  const inPath = new Set(placeholders(route));
  const inPaths = new Set(declaration.routes.flatMap(placeholders));
  const query: Record<string, unknown> = { ...declaration.always };
  const body: Record<string, unknown> = {};
  const writes = declaration.method === 'POST' || declaration.method === 'PUT';
  for (const [name, param] of Object.entries(paramsOf(declaration))) {
    const value = args[name];
    // The scope that lost against a narrower one is not sent: `/projects/1/issues` has no `group_id`.
    const isScope = (name === 'project_id' || name === 'group_id') && inPaths.has(name);
    if (value === undefined || inPath.has(name) || param.to === 'own' || isScope) continue;
    const sent = param.joined === true && Array.isArray(value) ? value.join(',') : value;
    (writes && param.to !== 'query' ? body : query)[param.as ?? name] = sent;
  }
  return { query: query as Query, body };
}
