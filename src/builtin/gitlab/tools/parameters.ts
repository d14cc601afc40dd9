import type { JsonObject } from '../../../core/mcp.ts';

/** One parameter of a tool: its schema and where it goes. */
export interface Param {
  readonly schema: JsonObject;
  readonly required?: true;
  /** Default: the query of GET and DELETE, the body of POST and PUT. `own`: ours, not sent as it is. */
  readonly to?: 'query' | 'own';
  /** Its name at GitLab, where that is another one. */
  readonly as?: string;
  /** A list that GitLab takes as one text with commas. */
  readonly joined?: true;
}

export type Params = Readonly<Record<string, Param>>;

const described = (schema: JsonObject, description: string | undefined): Param => ({
  schema: description === undefined ? schema : { ...schema, description },
});

export const text = (description?: string): Param => described({ type: 'string' }, description);
export const integer = (description?: string): Param => described({ type: 'integer' }, description);
export const flag = (description?: string): Param => described({ type: 'boolean' }, description);
export const texts = (description?: string): Param => described({ type: 'array', items: { type: 'string' } }, description);
export const integers = (description?: string): Param => described({ type: 'array', items: { type: 'integer' } }, description);
/** One of a few words. */
export const word = (...words: readonly string[]): Param => ({ schema: { enum: words } });
/** Labels and the like: a list here, one text there. */
export const joined = (description?: string): Param => ({ ...texts(description), joined: true });
/** A list of objects with the given members; `!` behind a name says that it is required. */
export const objects = (members: Params, description?: string): Param => described({ type: 'array', items: objectSchema(members) }, description);
export const object = (members: Params, description?: string): Param => described(objectSchema(members), description);

export const must = (param: Param): Param => ({ ...param, required: true });
/** Ours: not sent to GitLab as it is. */
export const own = (param: Param): Param => ({ ...param, to: 'own' });
export const as = (name: string, param: Param): Param => ({ ...param, as: name });

/** A closed object schema of parameters. */
export function objectSchema(members: Params): JsonObject {
  const entries = Object.entries(members);
  const required = entries.filter(([, param]) => param.required === true).map(([name]) => name);
  return {
    type: 'object',
    properties: Object.fromEntries(entries.map(([name, param]) => [name, param.schema])),
    ...(required.length === 0 ? {} : { required }),
    additionalProperties: false,
  };
}

/** Parameters that stand in paths. */
export const PATH_PARAMS: Params = {
  project_id: { schema: { type: ['string', 'integer'], description: 'id or group/path' } },
  group_id: { schema: { type: ['string', 'integer'], description: 'id or path' } },
  issue_iid: integer(),
  merge_request_iid: integer(),
  pipeline_id: integer(),
  job_id: integer(),
  id: integer(),
  sha: text('commit, branch or tag'),
  branch: text(),
  tag_name: text(),
  key: text(),
  slug: text('URL-encoded path of the page'),
  file_path: text('from the root'),
  artifact_path: text('inside the archive'),
  discussion_id: text(),
};

/** Parameters of every list. */
export const LIST_PARAMS: Params = {
  per_page: own(integer('1-100, default 20')),
  cursor: own(text('next_cursor')),
  detail: own(word('brief', 'full')),
};
