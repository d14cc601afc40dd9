import { describe, expect, it } from 'vitest';
import { ALL_TOOLS } from '../../src/builtin/gitlab/tools/all-tools.ts';
import { expanded, paramsOf, placeholders } from '../../src/builtin/gitlab/tools/routing.ts';
import { routes } from '../fixtures/gitlab/api/routes.ts';
import type { Route } from '../fixtures/gitlab/server/route.ts';

/** Every path and every parameter of every tool is one that GitLab documents: the double refuses names it does not know. */

const shapeOf = (path: string) => path.replace(/[:*]\w+|\{\w+\}/g, '{}');
const byShape = new Map(routes.map((route) => [`${route.method} ${shapeOf(route.pattern)}`, route]));
const ruleOf = ({ rules }: Route, name: string) => rules[name] ?? rules[`${name}!`];

/** Requests that say the same as the declared one in another way: method, path, and the parameters that go along. */
const OTHERS: Readonly<Record<string, readonly (readonly [request: string, params: readonly string[]])[]>> = {
  get_file_contents: [['GET /projects/{}/repository/files/{}/raw', ['ref']]],
  create_or_update_file: [
    ['POST /projects/{}/repository/files/{}', ['branch', 'commit_message', 'content', 'encoding', 'start_branch']],
    ['PUT /projects/{}/repository/files/{}', ['last_commit_id']],
  ],
  validate_ci_lint: [['GET /projects/{}/ci/lint', ['content_ref', 'dry_run', 'dry_run_ref', 'include_jobs']]],
  get_merge_request: [['GET /projects/{}/merge_requests', ['source_branch', 'state', 'order_by', 'sort']]],
  get_pipeline: [['GET /projects/{}/pipelines/latest', ['ref']]],
  whoami: [['GET /job', []]],
};

/** Parameters that the tool itself refuses on one of its paths, where GitLab would pass over them. */
const REFUSED: Readonly<Record<string, readonly string[]>> = {
  'I/discussions/{discussion_id}/notes': ['internal'],
  'G/search': ['ref'],
  '/search': ['ref'],
};

describe.each(ALL_TOOLS.filter(({ name }) => name !== 'execute_graphql').map((declaration) => ({ name: declaration.name, declaration })))(
  '$name',
  ({ name, declaration }) => {
    // Another request stands in for this path where a search by something else is meant.
    const declared = declaration.routes.filter((route) => !(name === 'get_merge_request' && route === 'P/merge_requests'));

    it.each(declared)('%s', (path) => {
      const request = `${declaration.method ?? 'GET'} ${shapeOf(expanded(path))}`;
      const route = byShape.get(request);
      expect(route, request).toBeDefined();
      if (route === undefined) return;
      // What GitLab gives as a whole is no page of a list.
      expect(route.paged).toBe(declaration.list === true && declaration.unpaged !== true);
      const inPaths = new Set(declaration.routes.flatMap(placeholders));
      for (const [param, { to, as = param, schema }] of Object.entries(paramsOf(declaration))) {
        if (to === 'own' || inPaths.has(param) || REFUSED[path]?.includes(param)) continue;
        const [base = ''] = as.split('[');
        const rule = ruleOf(route, base);
        expect(rule, `${as} of ${request}`).toBeDefined();
        if (Array.isArray(rule) && Array.isArray(schema.enum))
          expect(
            schema.enum.filter((word) => !rule.includes(String(word))),
            as,
          ).toEqual([]);
      }
      for (const order of declaration.keyset ?? []) if (order !== '') expect(ruleOf(route, 'order_by'), `order_by of ${request}`).toContain(order);
    });
  },
);

it.each(Object.entries(OTHERS).flatMap(([tool, requests]) => requests.map(([request, params]) => [tool, request, params] as const)))(
  '%s sends %s as well',
  (_tool, request, params) => {
    const route = byShape.get(request);
    expect(route).toBeDefined();
    for (const param of params) expect(route && ruleOf(route, param), param).toBeDefined();
  },
);
