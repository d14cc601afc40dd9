import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ManualClock } from '../../core/manual-clock.ts';
import { Instruments } from '../../telemetry/instruments.ts';
import { loadBetween } from './load.ts';
import { loadText } from './load-text.ts';
import { reloadNotice } from './look.ts';
import { readMetrics } from './metrics-page.ts';

/** Real pages of a gateway's metrics. */
function gateway() {
  const instruments = new Instruments(new ManualClock());
  const state = {
    upstreams: [] as { name: string; state: 'connected' | 'failed'; era?: 'modern'; restartCount: number; consecutiveFailures: number }[],
  };
  instruments.attach({
    pools: () => [{ pool: 'p', entries: 3, leases: 2, waiting: 1, opened: 9, closed: 6, evicted: 4 }],
    sessions: () => 5,
    parked: () => 6,
    upstreams: () => state.upstreams,
  });
  return { instruments, state, look: async (at: number) => readMetrics((await instruments.expose()).text, at) };
}

describe('load', () => {
  it('tells rates, latencies and numbers between two looks', async () => {
    const { instruments, state, look } = gateway();
    state.upstreams.push({ name: 'b', state: 'connected', era: 'modern', restartCount: 2, consecutiveFailures: 0 });
    state.upstreams.push({ name: 'a', state: 'failed', restartCount: 0, consecutiveFailures: 3 });
    instruments.tool('x_b_t', 'b').record('ok', 100);
    const before = await look(1000);
    for (let index = 0; index < 90; index++) instruments.tool('x_b_t', 'b').record('ok', 0.02);
    for (let index = 0; index < 9; index++) instruments.tool('x_b_u', 'b').record('error_result', 0.2);
    instruments.tool('x_b_u', 'b').record('error', 400);
    instruments.tool('x_b_u', 'b').record('refused');
    instruments.request('modern', 'tools/call');
    const load = loadBetween(before, await look(3000), Date.now());
    expect(load).toMatchObject({ seconds: 2, sessions: 5, parked: 6, callsPerSecond: 50.5, requestsPerSecond: 0.5 });
    expect(load.pools).toEqual([{ name: 'p', entries: 3, leases: 2, waiting: 1, opened: 9, evicted: 4 }]);
    expect(load.upstreams).toEqual([
      { name: 'a', state: 'failed', calls: 0, callsPerSecond: 0, failuresPerSecond: 0, restarts: 0 },
      {
        name: 'b',
        state: 'connected',
        era: 'modern',
        calls: 102,
        callsPerSecond: 50.5,
        failuresPerSecond: 5.5,
        restarts: 2,
        latency: { mean: expect.closeTo((90 * 0.02 + 9 * 0.2 + 400) / 100, 5), p50: 0.025, p95: 0.25, p99: 0.25 },
      },
    ]);
    expect(load.tools).toEqual([
      { tool: 'x_b_t', upstream: 'b', callsPerSecond: 45 },
      { tool: 'x_b_u', upstream: 'b', callsPerSecond: 5.5 },
    ]);
  });

  it('begins at nought after a restart of the gateway', () => {
    const page = (at: number, started: number, calls: number) =>
      readMetrics(`process_start_time_seconds ${started}\nturnpike_tool_calls_total{tool="t",upstream="u",outcome="ok"} ${calls}\n`, at);
    expect(loadBetween(page(0, 100, 1000), page(1000, 100, 1010), 0).callsPerSecond).toBe(10);
    expect(loadBetween(page(0, 100, 1000), page(1000, 200, 7), 0).callsPerSecond).toBe(7);
    expect(loadBetween(page(0, 100, 1000), page(1000, 200, 2000), 0).tools).toEqual([{ tool: 't', upstream: 'u', callsPerSecond: 2000 }]);
  });

  it('reads names and labels of any kind back', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.double({ noNaN: true }), (label, value) => {
        const written = label.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"');
        const number = value === Number.POSITIVE_INFINITY ? '+Inf' : value === Number.NEGATIVE_INFINITY ? '-Infinity' : String(value);
        const page = readMetrics(`# HELP a_b x\n# TYPE a_b gauge\na_b{x="1",l="${written}",y="}"} ${number}\nbroken{\n\n`, 0);
        expect(page.of('a_b')).toEqual([{ labels: { x: '1', l: label, y: '}' }, value: Number(number.replace('+Inf', 'Infinity')) }]);
      }),
      // Line ends of other alphabets are text here.
      {
        examples: [
          ['\u2028', 0],
          ['\u2029\r\u0085', 1],
        ],
      },
    );
  });
});

describe('reloads', () => {
  it.each([
    ['{"status":"ok"}', undefined],
    ['{"status":"ok","reload":{"at":"2026-11-21T12:00:00.000Z","result":"ok","needsRestart":[]}}', undefined],
    [
      '{"reload":{"at":"x","result":"ok","needsRestart":["listen.port","store.dir"]}}',
      'Changed, but in force with the next start only: listen.port, store.dir',
    ],
    [
      '{"reload":{"at":"12:00","result":"failed","error":"turnpike.yaml:1:1 lisen: unknown key\\nmore"}}',
      'The reload of 12:00 failed: turnpike.yaml:1:1 lisen: unknown key',
    ],
    ['{"reload":7}', undefined],
    ['<html>', undefined],
  ])('%s', (health, notice) => expect(reloadNotice(Buffer.from(health))).toBe(notice));
});

describe('text', () => {
  const upstream = (name: string, state = 'connected', callsPerSecond = 0) => ({
    name,
    state,
    calls: 0,
    callsPerSecond,
    failuresPerSecond: 0,
    restarts: 0,
  });
  const load = {
    seconds: 2,
    uptime: 90_061,
    cpu: 0.126,
    memory: 100 * 1024 ** 2,
    sessions: 1,
    parked: 0,
    callsPerSecond: 1234.5,
    requestsPerSecond: 3,
    upstreams: [upstream('a'), upstream('b', 'failed'), upstream('c'), upstream('d', 'connected', 9), upstream('e', 'retrying')],
    pools: [{ name: 'p', entries: 1, leases: 0, waiting: 0, opened: 1, evicted: 0 }],
    tools: [{ tool: 'x_d_t\u001b[2J', upstream: 'd', callsPerSecond: 9 }],
  };

  it('fits every screen, and keeps what needs a look', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 200 }), fc.integer({ min: 1, max: 40 }), (width, rows) => {
        const lines = loadText(load, { place: 'here', width, rows, colour: false });
        expect(lines.length).toBeLessThanOrEqual(rows);
        for (const line of lines) expect(line.length).toBeLessThanOrEqual(width);
      }),
    );
    const small = loadText(load, { place: 'here', width: 100, rows: 10, colour: false });
    expect(small.filter((line) => /^[a-e] /.test(line)).map((line) => line[0])).toEqual(['b', 'e']);
    expect(small).toContain('and 3 more');
  });

  it('shows all of it where there is room, trouble in colour, and no control characters of others', () => {
    const lines = loadText(load, { place: 'here', width: 200, rows: 100, colour: false });
    expect(lines.slice(0, 2)).toEqual([
      'Turnpike at here   up 25 h 1 min   CPU 13 %   memory 100 MiB',
      'Calls 1235/s   requests 3.0/s   sessions 1   parked calls 0   (over 2.0 s)',
    ]);
    expect(lines.filter((line) => /^[a-e] /.test(line)).map((line) => line[0])).toEqual(['a', 'b', 'c', 'd', 'e']);
    expect(lines.join('\n')).not.toContain('\u001b');
    expect(lines.at(-1)).toMatch(/^x_d_t.+ d +9\.0$/);
    const coloured = loadText(load, { place: 'here', width: 200, rows: 100, colour: true });
    const first = (word: string) => coloured.find((line) => line.includes(word))?.slice(0, 6);
    expect([first('failed '), first('retrying'), first('UPSTREAM')]).toEqual(['\u001b[31mb', '\u001b[33me', '\u001b[1mUP']);
    expect(loadText({ ...load, upstreams: [] }, { place: 'here', width: 200, rows: 100, colour: false })).toContain('No upstreams are configured.');
  });
});
