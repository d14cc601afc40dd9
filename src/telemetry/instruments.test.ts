import { describe, expect, it } from 'vitest';
import { ManualClock } from '../core/manual-clock.ts';
import { Instruments } from './instruments.ts';
import { METRICS, metricsReference } from './metric-table.ts';

/** Samples of the exposed page by name and labels. */
async function read(instruments: Instruments): Promise<Map<string, number>> {
  const { text } = await instruments.expose();
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]));
}

describe('instruments', () => {
  it('expose every metric of the table, and no other', async () => {
    const { text, contentType } = await new Instruments(new ManualClock()).expose();
    const exposed = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map((match) => `${match[1]} ${match[2]}`);
    expect(exposed.toSorted()).toEqual(
      Object.values(METRICS)
        .map(({ name, type }) => `${name} ${type}`)
        .toSorted(),
    );
    expect(contentType).toContain('text/plain');
  });

  it('have names, types and labels that are promised to dashboards', () => {
    expect(Object.values(METRICS).map(({ name, labels }) => `${name}{${labels.join()}}`)).toEqual([
      'turnpike_requests_total{era,method,code}',
      'turnpike_http_responses_total{status}',
      'turnpike_bridge_calls_total{cell}',
      'turnpike_bridge_rounds_total{cell}',
      'turnpike_bridge_refused_total{reason}',
      'turnpike_bridge_parked{}',
      'turnpike_tool_calls_total{tool,upstream,outcome}',
      'turnpike_tool_call_duration_seconds{upstream}',
      'turnpike_dropped_notifications_total{reason}',
      'turnpike_catalog_findings_total{kind}',
      'turnpike_audit_write_failures_total{}',
      'turnpike_audit_records_lost_total{}',
      'turnpike_inbound_auth_total{mode,result}',
      'turnpike_session_principal_mismatch_total{}',
      'turnpike_weakened{setting}',
      'turnpike_upstream_era{upstream,era}',
      'turnpike_upstream_state{upstream,state}',
      'turnpike_upstream_restarts_total{upstream}',
      'turnpike_sessions{}',
      'turnpike_pool_entries{pool}',
      'turnpike_pool_leases{pool}',
      'turnpike_pool_waiting{pool}',
      'turnpike_pool_opened_total{pool}',
      'turnpike_pool_closed_total{pool}',
      'turnpike_pool_evicted_total{pool}',
      'turnpike_pool_hits_total{pool}',
      'turnpike_pool_misses_total{pool}',
      'turnpike_pool_evictions_total{pool}',
      'turnpike_pool_size{pool}',
      'turnpike_pool_max_size{pool}',
      'turnpike_gitlab_revalidations_succeeded_total{}',
      'turnpike_gitlab_revalidations_failed_total{}',
      'turnpike_gitlab_revalidations_skipped_total{}',
      'turnpike_gitlab_url_denied_total{reason}',
      'turnpike_gitlab_requests_total{instance,method,status}',
      'process_cpu_seconds_total{}',
      'process_start_time_seconds{}',
      'process_resident_memory_bytes{}',
      'nodejs_heap_size_used_bytes{}',
      'nodejs_heap_size_total_bytes{}',
      'nodejs_external_memory_bytes{}',
    ]);
  });

  it('count requests by era, method and code, and bound what callers and upstreams may invent', async () => {
    const instruments = new Instruments(new ManualClock());
    instruments.request('modern', 'tools/call');
    instruments.request('modern', 'tools/call');
    instruments.request('legacy', 'tools/call', -32602);
    for (let index = 0; index < 500; index++) {
      instruments.request('modern', `vendor/${index}`);
      instruments.request('modern', 'tools/call', index);
    }
    const samples = await read(instruments);
    expect(samples.get('turnpike_requests_total{era="modern",method="tools/call",code="ok"}')).toBe(2);
    expect(samples.get('turnpike_requests_total{era="legacy",method="tools/call",code="-32602"}')).toBe(1);
    expect(samples.get('turnpike_requests_total{era="modern",method="other",code="ok"}')).toBe(500);
    expect(samples.get('turnpike_requests_total{era="modern",method="tools/call",code="other"}')).toBe(500);
  });

  it('count tool calls by tool, upstream and outcome, and cancelled ones as errors', async () => {
    const instruments = new Instruments(new ManualClock());
    const tool = instruments.tool('read', 'files');
    tool.record('ok', 0.02);
    tool.record('error_result', 3);
    tool.record('cancelled', 3);
    tool.record('refused');
    expect(instruments.tool('read', 'files')).toBe(tool);
    const samples = await read(instruments);
    expect(samples.get('turnpike_tool_calls_total{tool="read",upstream="files",outcome="ok"}')).toBe(1);
    expect(samples.get('turnpike_tool_calls_total{tool="read",upstream="files",outcome="error"}')).toBe(1);
    expect(samples.get('turnpike_tool_calls_total{tool="read",upstream="files",outcome="refused"}')).toBe(1);
    expect(samples.get('turnpike_tool_call_duration_seconds_count{upstream="files"}')).toBe(3);
    expect(samples.get('turnpike_tool_call_duration_seconds_bucket{le="0.025",upstream="files"}')).toBe(1);
  });

  it('name 2,000 tools and call the others other', async () => {
    const instruments = new Instruments(new ManualClock());
    for (let index = 0; index < 2500; index++) instruments.tool(`t${index}`, 'files').record('ok');
    const samples = await read(instruments);
    expect(samples.get('turnpike_tool_calls_total{tool="t1999",upstream="files",outcome="ok"}')).toBe(1);
    expect(samples.get('turnpike_tool_calls_total{tool="other",upstream="files",outcome="ok"}')).toBe(500);
    expect(samples.has('turnpike_tool_calls_total{tool="t2000",upstream="files",outcome="ok"}')).toBe(false);
  });

  it('read gauges from their owners at each scrape, without leaving old labels', async () => {
    const instruments = new Instruments(new ManualClock());
    let state: 'connected' | 'failed' = 'connected';
    instruments.attach({ sessions: () => 7 });
    instruments.attach({
      pools: () => [{ pool: 'upstreams', entries: 3, leases: 2, waiting: 1, opened: 9, closed: 6, evicted: 4 }],
      upstreams: () => [{ name: 'files', state, era: 'modern', restartCount: 2, consecutiveFailures: 0 }],
    });
    const before = await read(instruments);
    expect(before.get('turnpike_sessions')).toBe(7);
    expect(before.get('turnpike_pool_opened_total{pool="upstreams"}')).toBe(9);
    expect(before.get('turnpike_upstream_state{upstream="files",state="connected"}')).toBe(1);
    expect(before.get('turnpike_upstream_era{upstream="files",era="modern"}')).toBe(1);
    state = 'failed';
    const after = await read(instruments);
    expect(after.has('turnpike_upstream_state{upstream="files",state="connected"}')).toBe(false);
    expect(after.get('turnpike_upstream_state{upstream="files",state="failed"}')).toBe(1);
    expect(after.get('turnpike_pool_opened_total{pool="upstreams"}')).toBe(9);
  });

  it('do not share numbers between two gateways of one process', async () => {
    const one = new Instruments(new ManualClock());
    const other = new Instruments(new ManualClock());
    one.response(200);
    one.bridgeCalls('legacy', 'modern').add();
    one.weakened('policy.yolo');
    one.auditLost.add(3);
    const samples = await read(one);
    expect(samples.get('turnpike_http_responses_total{status="200"}')).toBe(1);
    expect(samples.get('turnpike_bridge_calls_total{cell="legacy-modern"}')).toBe(1);
    expect(samples.get('turnpike_weakened{setting="policy.yolo"}')).toBe(1);
    expect(samples.get('turnpike_audit_records_lost_total')).toBe(3);
    expect((await read(other)).get('turnpike_http_responses_total{status="200"}')).toBeUndefined();
    expect((await read(other)).get('turnpike_audit_records_lost_total')).toBe(0);
  });

  it('know the process', async () => {
    const samples = await read(new Instruments(new ManualClock()));
    expect(samples.get('process_resident_memory_bytes')).toBeGreaterThan(1e6);
    expect(samples.get('process_cpu_seconds_total')).toBeGreaterThan(0);
  });

  it('are described on a page, one row each', () => {
    const page = metricsReference();
    for (const { name } of Object.values(METRICS)) expect(page).toContain(`| \`${name}\` |`);
    expect(page.match(/^\| `/gm)).toHaveLength(Object.keys(METRICS).length);
    for (const { help } of Object.values(METRICS)) expect(help).not.toContain('|');
  });
});
