import { type Cell, type Revision, SKILLS } from './cells.ts';

/** The scenarios of the tasks extension. */
const TASKS = [
  'tasks-lifecycle',
  'tasks-capability-negotiation',
  'tasks-wire-fields',
  'tasks-request-state-removal',
  'tasks-mrtr-input',
  'tasks-request-headers',
  'tasks-dispatch-and-envelope',
  'tasks-status-notifications',
  'tasks-required-task-error',
  'tasks-mrtr-composition',
];

/** Scenarios that make no sense in some cells of the matrix. */
export interface Inexpressible {
  /** What the client speaks. */
  readonly front: Revision;
  /** Only in front of such an upstream; absent: in front of both. */
  readonly upstream?: NonNullable<Cell['fixture']>;
  readonly scenarios: readonly string[];
  readonly reason: string;
  /** Where the specification says so. */
  readonly source: string;
}

/**
 * All that a cell leaves out of what the referee knows for either revision: a cell runs every scenario that is not named
 * here for it, and none that is.
 */
export const INEXPRESSIBLE: readonly Inexpressible[] = [
  {
    front: '2025-11-25',
    scenarios: ['server-stateless'],
    reason: 'requests without a session, server/discover and subscriptions/listen came with 2026-07-28; before it a session is opened by initialize',
    source: '2025-11-25 basic/lifecycle; SEP-2575',
  },
  {
    front: '2025-11-25',
    scenarios: ['sep-2164-resource-not-found'],
    reason: 'a resource that does not exist is -32002 until 2025-11-25 and -32602 since',
    source: '2025-11-25 server/resources, Error Handling; SEP-2164',
  },
  {
    front: '2025-11-25',
    scenarios: ['caching'],
    reason: 'ttlMs and cacheScope came with 2026-07-28',
    source: 'SEP-2549',
  },
  {
    front: '2025-11-25',
    scenarios: [
      'input-required-result-basic-elicitation',
      'input-required-result-basic-sampling',
      'input-required-result-basic-list-roots',
      'input-required-result-request-state',
      'input-required-result-multiple-input-requests',
      'input-required-result-multi-round',
      'input-required-result-missing-input-response',
      'input-required-result-non-tool-request',
      'input-required-result-result-type',
      'input-required-result-unsupported-methods',
      'input-required-result-tampered-state',
      'input-required-result-capability-check',
      'input-required-result-ignore-extra-params',
      'input-required-result-validate-input',
    ],
    reason: 'results that ask (resultType input_required) came with 2026-07-28; a session client is asked by requests of the server',
    source: '2025-11-25 client/elicitation, client/sampling, client/roots; SEP-2322',
  },
  {
    front: '2025-11-25',
    scenarios: TASKS,
    reason: 'an extension of 2026-07-28, declared for each request; a session has no place to declare it',
    source: 'SEP-2663, Capability Negotiation',
  },
  {
    front: '2025-11-25',
    scenarios: ['http-header-validation', 'http-custom-header-server-validation'],
    reason: 'headers that repeat the body came with 2026-07-28; a session client does not send them',
    source: 'SEP-2243',
  },
  {
    front: '2025-11-25',
    scenarios: SKILLS,
    reason: 'an extension of 2026-07-28, announced by server/discover; initialize has no place for it',
    source: 'SEP-2640, Capability',
  },
  {
    front: '2026-07-28',
    upstream: 'legacy',
    scenarios: SKILLS,
    reason: 'the upstream announces the extension in server/discover, which it does not know',
    source: 'SEP-2640, Capability',
  },
  {
    front: '2026-07-28',
    scenarios: ['server-initialize', 'server-session-lifecycle', 'ping'],
    reason: 'initialize, sessions and ping are gone; server-stateless demands -32601 for them',
    source: 'SEP-2575',
  },
  {
    front: '2026-07-28',
    scenarios: ['logging-set-level', 'tools-call-with-logging'],
    reason: 'logging/setLevel is gone; each request names its level, and server-stateless looks at that',
    source: 'SEP-2575',
  },
  {
    front: '2026-07-28',
    scenarios: ['resources-subscribe', 'resources-unsubscribe'],
    reason: 'resources/subscribe and resources/unsubscribe are gone; subscriptions/listen is in server-stateless',
    source: 'SEP-2575',
  },
  {
    front: '2026-07-28',
    scenarios: ['tools-call-sampling', 'tools-call-elicitation', 'elicitation-sep1034-defaults', 'elicitation-sep1330-enums'],
    reason: 'servers send no requests; the same questions travel in results, which input-required-result-* look at',
    source: 'SEP-2322',
  },
  {
    front: '2026-07-28',
    scenarios: ['server-sse-polling'],
    reason: 'an answer stream is not resumed: there is no Last-Event-ID and no GET stream',
    source: 'SEP-2575',
  },
];

/** What the referee calls or reads by names that only its fixtures have. */
const FIXTURES_ONLY: readonly Pick<Inexpressible, 'scenarios' | 'reason'>[] = [
  {
    scenarios: [
      'tools-call-simple-text',
      'tools-call-image',
      'tools-call-audio',
      'tools-call-embedded-resource',
      'tools-call-mixed-content',
      'tools-call-with-logging',
      'tools-call-error',
      'tools-call-with-progress',
      'tools-call-sampling',
      'tools-call-elicitation',
      'elicitation-sep1034-defaults',
      'elicitation-sep1330-enums',
      'json-schema-2020-12',
      'http-custom-header-server-validation',
      'server-sse-polling',
    ],
    reason: 'calls tools of the fixtures',
  },
  {
    scenarios: ['prompts-get-simple', 'prompts-get-with-args', 'prompts-get-embedded-resource', 'prompts-get-with-image', 'completion-complete'],
    reason: 'asks for prompts of the fixtures',
  },
  {
    scenarios: ['resources-read-text', 'resources-read-binary', 'resources-templates-read', 'resources-subscribe', 'resources-unsubscribe'],
    reason: 'reads resources of the fixtures; those of GitLab cannot be subscribed to',
  },
  {
    scenarios: [
      'input-required-result-basic-elicitation',
      'input-required-result-basic-sampling',
      'input-required-result-basic-list-roots',
      'input-required-result-request-state',
      'input-required-result-multiple-input-requests',
      'input-required-result-multi-round',
      'input-required-result-missing-input-response',
      'input-required-result-non-tool-request',
      'input-required-result-result-type',
      'input-required-result-tampered-state',
      'input-required-result-capability-check',
      'input-required-result-ignore-extra-params',
      'input-required-result-validate-input',
    ],
    reason: 'calls tools of the fixtures that ask; how GitLab tools ask: test/gitlab/tools.test.ts',
  },
  {
    scenarios: TASKS,
    reason: 'the built-in server has no tasks',
  },
  { scenarios: SKILLS, reason: 'the built-in server has no skills' },
];

/** Scenarios that say nothing about the built-in server, for both fronts; a front that cannot express one says so above. */
export const NOT_BUILT_IN: readonly Inexpressible[] = (['2025-11-25', '2026-07-28'] as const).flatMap((front) => {
  const absent = new Set(INEXPRESSIBLE.filter((one) => one.front === front && one.upstream === undefined).flatMap(({ scenarios }) => scenarios));
  return FIXTURES_ONLY.map(({ scenarios, reason }): Inexpressible => {
    return { front, upstream: 'gitlab', scenarios: scenarios.filter((name) => !absent.has(name)), reason, source: 'gitlab.md 4' };
  }).filter(({ scenarios }) => scenarios.length > 0);
});

/** The part of the tables that is about a cell. */
export function inexpressibleIn({ revision, fixture }: Pick<Cell, 'revision' | 'fixture'>): readonly Inexpressible[] {
  return [...INEXPRESSIBLE, ...NOT_BUILT_IN].filter(({ front, upstream }) => front === revision && (upstream ?? fixture) === fixture);
}
