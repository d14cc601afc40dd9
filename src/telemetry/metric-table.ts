export interface MetricRow {
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly labels: readonly string[];
  readonly help: string;
  /** Upper bounds of a histogram, in the unit of its name. */
  readonly buckets?: readonly number[];
}

/**
 * Every metric of Turnpike, once. The registry and the reference page are made from this table.
 * No label is ever a tenant, a subject, a session or anything else that callers can make many of.
 */
export const METRICS = {
  requests: {
    name: 'turnpike_requests_total',
    type: 'counter',
    labels: ['era', 'method', 'code'],
    help: 'MCP requests answered. code: `ok`, the JSON-RPC error code, or `other`; method: `other` beyond the known ones.',
  },
  responses: {
    name: 'turnpike_http_responses_total',
    type: 'counter',
    labels: ['status'],
    help: 'HTTP responses of the MCP listener by status code.',
  },
  bridgeCalls: {
    name: 'turnpike_bridge_calls_total',
    type: 'counter',
    labels: ['cell'],
    help: 'Requests sent upstream. cell: era of the client and of the upstream, such as `legacy-modern`.',
  },
  bridgeRounds: {
    name: 'turnpike_bridge_rounds_total',
    type: 'counter',
    labels: ['cell'],
    help: 'Rounds of questions that were carried from one era to the other, or answered in the stead of a client. cell: as above.',
  },
  bridgeRefused: {
    name: 'turnpike_bridge_refused_total',
    type: 'counter',
    labels: ['reason'],
    help: 'What the bridge did not carry: `secret-form`, `form-schema`, `rounds`, `parked` (too many calls wait), `expired` (no retry came), `capability`.',
  },
  bridgeParked: {
    name: 'turnpike_bridge_parked',
    type: 'gauge',
    labels: [],
    help: 'Calls that wait for input of a stateless client.',
  },
  toolCalls: {
    name: 'turnpike_tool_calls_total',
    type: 'counter',
    labels: ['tool', 'upstream', 'outcome'],
    help: 'Tool calls by real tool (beyond 2,000 tools `other`). outcome: ok, error (cancelled included), error_result, refused.',
  },
  toolDuration: {
    name: 'turnpike_tool_call_duration_seconds',
    type: 'histogram',
    labels: ['upstream'],
    help: 'Duration of tool calls that were sent upstream.',
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300],
  },
  droppedNotifications: {
    name: 'turnpike_dropped_notifications_total',
    type: 'counter',
    labels: ['reason'],
    help: 'Notifications that did not reach their client or upstream, by reason.',
  },
  catalogFindings: {
    name: 'turnpike_catalog_findings_total',
    type: 'counter',
    labels: ['kind'],
    help: 'Things found while building the catalog, such as collisions and dropped tools, by kind.',
  },
  auditFailures: {
    name: 'turnpike_audit_write_failures_total',
    type: 'counter',
    labels: [],
    help: 'Failed attempts to write audit records. The records are kept and tried again.',
  },
  auditLost: {
    name: 'turnpike_audit_records_lost_total',
    type: 'counter',
    labels: [],
    help: 'Audit records that were given up, because the queue was full or the process ended before they could be written.',
  },
  inboundAuth: {
    name: 'turnpike_inbound_auth_total',
    type: 'counter',
    labels: ['mode', 'result'],
    help: 'Credentials checked. mode: the mode that decided, or `all` when none knew the credential; result: success, failure.',
  },
  sessionMismatch: {
    name: 'turnpike_session_principal_mismatch_total',
    type: 'counter',
    labels: [],
    help: "Requests that named another principal's session; each was answered like an unknown one.",
  },
  weakened: {
    name: 'turnpike_weakened',
    type: 'gauge',
    labels: ['setting'],
    help: '1 for each setting in use that weakens a defence.',
  },
  upstreamEra: {
    name: 'turnpike_upstream_era',
    type: 'gauge',
    labels: ['upstream', 'era'],
    help: '1 for the protocol era that an upstream speaks.',
  },
  upstreamState: {
    name: 'turnpike_upstream_state',
    type: 'gauge',
    labels: ['upstream', 'state'],
    help: '1 for the state an upstream is in.',
  },
  upstreamRestarts: {
    name: 'turnpike_upstream_restarts_total',
    type: 'counter',
    labels: ['upstream'],
    help: 'Restarts of an upstream since the start.',
  },
  sessions: { name: 'turnpike_sessions', type: 'gauge', labels: [], help: 'Legacy sessions that are alive.' },
  poolEntries: { name: 'turnpike_pool_entries', type: 'gauge', labels: ['pool'], help: 'Entries of a pool.' },
  poolLeases: { name: 'turnpike_pool_leases', type: 'gauge', labels: ['pool'], help: 'Leases of a pool that are out.' },
  poolWaiting: { name: 'turnpike_pool_waiting', type: 'gauge', labels: ['pool'], help: 'Callers that wait for an entry of a pool.' },
  poolOpened: { name: 'turnpike_pool_opened_total', type: 'counter', labels: ['pool'], help: 'Entries opened by a pool.' },
  poolClosed: { name: 'turnpike_pool_closed_total', type: 'counter', labels: ['pool'], help: 'Entries closed by a pool.' },
  poolEvicted: {
    name: 'turnpike_pool_evicted_total',
    type: 'counter',
    labels: ['pool'],
    help: 'Entries that a pool closed to make room for others.',
  },
  poolHits: { name: 'turnpike_pool_hits_total', type: 'counter', labels: ['pool'], help: 'Lookups in a pool that found what they wanted.' },
  poolMisses: { name: 'turnpike_pool_misses_total', type: 'counter', labels: ['pool'], help: 'Lookups in a pool for which something was made.' },
  poolEvictions: { name: 'turnpike_pool_evictions_total', type: 'counter', labels: ['pool'], help: 'What gave way to others in a pool.' },
  poolSize: { name: 'turnpike_pool_size', type: 'gauge', labels: ['pool'], help: 'What a pool holds. pool: `gitlab_servers`, `gitlab_instances`.' },
  poolMaxSize: { name: 'turnpike_pool_max_size', type: 'gauge', labels: ['pool'], help: 'What a pool may hold.' },
  gitlabSucceeded: {
    name: 'turnpike_gitlab_revalidations_succeeded_total',
    type: 'counter',
    labels: [],
    help: 'GitLab credentials that were asked about again and are still good.',
  },
  gitlabFailed: {
    name: 'turnpike_gitlab_revalidations_failed_total',
    type: 'counter',
    labels: [],
    help: 'GitLab credentials that were asked about again and are not good any more.',
  },
  gitlabSkipped: {
    name: 'turnpike_gitlab_revalidations_skipped_total',
    type: 'counter',
    labels: [],
    help: 'Questions about GitLab credentials that brought no verdict.',
  },
  gitlabUrlDenied: {
    name: 'turnpike_gitlab_url_denied_total',
    type: 'counter',
    labels: ['reason'],
    help: 'Instances that callers named and did not get. reason: `invalid`, `hostile`, `not-listed`, `address`, `bound`.',
  },
  gitlabRequests: {
    name: 'turnpike_gitlab_requests_total',
    type: 'counter',
    labels: ['instance', 'method', 'status'],
    help: 'Requests to GitLab. instance: one of the configuration, or `other`; status: `0` without an answer, `other` for unknown ones.',
  },
  cpu: { name: 'process_cpu_seconds_total', type: 'counter', labels: [], help: 'User and system CPU time of the gateway process.' },
  started: { name: 'process_start_time_seconds', type: 'gauge', labels: [], help: 'Start of the gateway process, seconds since the epoch.' },
  resident: { name: 'process_resident_memory_bytes', type: 'gauge', labels: [], help: 'Resident memory of the gateway process.' },
  heapUsed: { name: 'nodejs_heap_size_used_bytes', type: 'gauge', labels: [], help: 'JavaScript heap in use.' },
  heapTotal: { name: 'nodejs_heap_size_total_bytes', type: 'gauge', labels: [], help: 'JavaScript heap allocated.' },
  external: { name: 'nodejs_external_memory_bytes', type: 'gauge', labels: [], help: 'Memory outside the heap that belongs to JavaScript objects.' },
} as const satisfies Record<string, MetricRow>;

export type MetricKey = keyof typeof METRICS;

/** The reference page of the metrics, in Markdown. */
export function metricsReference(): string {
  const rows: MetricRow[] = Object.values(METRICS);
  const lines = rows
    .toSorted((left, right) => (left.name < right.name ? -1 : 1))
    .map(({ name, type, labels, help }) => `| \`${name}\` | ${type} | ${labels.map((label) => `\`${label}\``).join(', ') || '–'} | ${help} |`);
  return [
    '# Metrics',
    '',
    'Served at `/metrics` as Prometheus text.',
    '',
    '| Name | Type | Labels | Meaning |',
    '|---|---|---|---|',
    ...lines,
    '',
  ].join('\n');
}
