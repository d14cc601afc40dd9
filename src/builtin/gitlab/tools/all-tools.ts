import type { ToolDeclaration } from './declaration.ts';
import { FILES } from './files.ts';
import { GRAPHQL } from './graphql.ts';
import { GROUPS } from './groups.ts';
import { IDENTITY } from './identity.ts';
import { ISSUES } from './issues.ts';
import { JOBS } from './jobs.ts';
import { MERGE_REQUEST_DISCUSSIONS } from './merge-request-discussions.ts';
import { MERGE_REQUESTS } from './merge-requests.ts';
import { PIPELINES } from './pipelines.ts';
import { PLANNING } from './planning.ts';
import { PROJECTS } from './projects.ts';
import { RELEASES } from './releases.ts';
import { REPOSITORY } from './repository.ts';
import { SEARCH } from './search.ts';
import { VARIABLES } from './variables.ts';
import { WAITING } from './waiting.ts';
import { WIKI } from './wiki.ts';

/** Every tool there is, in the order of the reference (gitlab.md section 4). */
export const ALL_TOOLS: readonly ToolDeclaration[] = [
  ...IDENTITY,
  ...GROUPS,
  ...PROJECTS,
  ...REPOSITORY,
  ...FILES,
  ...ISSUES,
  ...MERGE_REQUESTS,
  ...MERGE_REQUEST_DISCUSSIONS,
  ...PIPELINES,
  ...JOBS,
  ...WAITING,
  ...VARIABLES,
  ...PLANNING,
  ...RELEASES,
  ...WIKI,
  ...SEARCH,
  ...GRAPHQL,
];
