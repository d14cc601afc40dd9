import { Writable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { ManualClock } from '../core/manual-clock.ts';
import { AuditLog, createAuditLog } from './audit.ts';
import type { AuditSink } from './audit-file.ts';
import type { AuditRecord } from './audit-lines.ts';
import { silentLogger } from './log.ts';

const call: AuditRecord = {
  requestId: 7,
  tenant: 'platform',
  principal: { fingerprint: 'fp', issuer: 'static', subject: 'ci' },
  session: 'sfp',
  era: 'modern',
  method: 'tools/call',
  tool: 'x_files_read',
  original: 'read',
  upstream: 'files',
  decision: 'allowed',
  outcome: 'ok',
  durationMs: 12.3456,
  bytesIn: 100,
  bytesOut: 300,
  credentialMode: 'none',
};

/** An audit log that goes to a stream, and what arrived there. */
function start(stuck = false) {
  const clock = new ManualClock();
  const counts = { lost: 0 };
  const chunks: string[] = [];
  const stream = new Writable({
    write(chunk, _encoding, done) {
      chunks.push(String(chunk));
      if (!stuck) done();
    },
  });
  const lost = {
    add(amount = 1) {
      counts.lost += amount;
    },
  };
  const audit = createAuditLog({
    file: '-',
    dir: '/nowhere',
    stream,
    clock,
    logger: silentLogger,
    onError: 'continue',
    failures: { add() {} },
    lost,
  });
  return {
    audit,
    clock,
    counts,
    chunks,
    stream,
    text: () => chunks.join(''),
    lines: () =>
      chunks
        .join('')
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line)),
  };
}

describe('the audit record', () => {
  it('is one JSON line with everything about the call but its content', async () => {
    const { audit, lines } = start();
    audit.record(call);
    await audit.close();
    expect(lines()).toEqual([
      {
        time: '2026-01-01T00:00:00.000Z',
        message: 'tool call',
        subsystem: 'MCP-Tool',
        requestId: 7,
        tenant: 'platform',
        principal: { fingerprint: 'fp', issuer: 'static', subject: 'ci' },
        session: 'sfp',
        era: 'modern',
        method: 'tools/call',
        tool: 'x_files_read',
        original: 'read',
        upstream: 'files',
        decision: 'allowed',
        outcome: 'ok',
        duration_s: 0.012346,
        bytesIn: 100,
        bytesOut: 300,
        credentialMode: 'none',
      },
    ]);
  });

  it('says what was called: only tools are tool calls', async () => {
    const { audit, lines } = start();
    const methods = ['tools/call', 'prompts/get', 'resources/read', 'tasks/get', 'tasks/update', 'tasks/cancel'];
    for (const method of methods) audit.record({ ...call, method });
    await audit.close();
    expect(lines().map(({ message, subsystem }) => `${subsystem}: ${message}`)).toEqual([
      'MCP-Tool: tool call',
      'MCP-Prompt: prompt get',
      'MCP-Resource: resource read',
      'MCP-Task: task get',
      'MCP-Task: task update',
      'MCP-Task: task cancel',
    ]);
  });

  it('holds no secret of foreign text, and no more than 500 characters of an error', async () => {
    const { audit, lines, text } = start();
    const { upstream: _, ...unknown } = call;
    audit.record({
      ...unknown,
      tool: `Bearer SENTINEL\n${'x'.repeat(5000)}`,
      requestId: 'glpat-SENTINEL',
      outcome: 'refused',
      decision: 'policy/denied',
    });
    audit.record({ ...call, outcome: 'error', code: -31001, error: `https://u:SENTINEL@host/?SENTINEL token=SENTINEL ${'y '.repeat(5000)}` });
    await audit.close();
    expect(text()).not.toContain('SENTINEL');
    const [refused, failed] = lines() as { tool: string; error: string; decision: string; code: number }[];
    expect(refused?.tool.length).toBeLessThanOrEqual(256);
    expect(refused?.decision).toBe('policy/denied');
    expect(failed?.error).toHaveLength(500);
    expect(failed?.code).toBe(-31001);
  });
});

describe('the audit queue', () => {
  it.each([0, 1, 2, 3, 4, 5, 6])('writes a record that comes %i turns after a write returned', async (turns) => {
    const written: Buffer[] = [];
    const gate = Promise.withResolvers<void>();
    const sink: AuditSink = {
      async open() {},
      write(chunk) {
        written.push(chunk);
        return gate.promise;
      },
      async close() {},
    };
    const clock = new ManualClock();
    const audit = new AuditLog({
      sink,
      clock,
      logger: silentLogger,
      onError: 'continue',
      failures: { add() {} },
      lost: { add() {} },
    });
    audit.record(call);
    gate.resolve();
    for (let turn = 0; turn < turns; turn++) await Promise.resolve();
    audit.record(call);
    await new Promise((resolve) => setImmediate(resolve));
    clock.advance(10);
    await new Promise((resolve) => setImmediate(resolve));
    expect(Buffer.concat(written).toString().match(/\n/g)).toHaveLength(2);
  });

  it('writes a record at once after a pause, gathers those that follow for 10 ms, and no longer once there are 64 KiB', async () => {
    const { audit, clock, chunks } = start();
    const turn = () => new Promise((resolve) => setImmediate(resolve));
    audit.record(call);
    await turn();
    expect(chunks).toHaveLength(1);
    for (let more = 0; more < 5; more++) audit.record(call);
    clock.advance(9);
    await turn();
    expect(chunks).toHaveLength(1);
    clock.advance(1);
    await turn();
    expect(chunks.map((chunk) => chunk.match(/\n/g)?.length)).toEqual([1, 5]);
    clock.advance(10);
    audit.record(call);
    await turn();
    expect(chunks).toHaveLength(3);
    const lineBytes = Buffer.byteLength(chunks[0] ?? '');
    // Lines are made of 64 records at a time.
    const records = 64 * Math.ceil((64 * 1024) / lineBytes / 64);
    for (let count = 0; count < records; count++) {
      expect(chunks).toHaveLength(3);
      audit.record(call);
    }
    await turn();
    expect(chunks.length).toBeGreaterThan(3);
    audit.record(call);
    expect(clock.pending).toBe(1);
    await audit.close();
    expect(clock.pending).toBe(0);
  });

  it('loses one record of which no line can be made, and none beside it', async () => {
    const { audit, counts, lines } = start();
    const odd = { ...call, error: 5 as unknown as string };
    audit.record(call);
    for (let id = 0; id < 100; id++) audit.record(id === 50 ? { ...odd, requestId: id } : { ...call, requestId: id });
    await audit.close();
    expect(counts.lost).toBe(1);
    expect(lines().map(({ requestId }) => requestId)).toEqual([7, ...Array.from({ length: 100 }, (_, id) => id).filter((id) => id !== 50)]);
  });

  it('makes lines at once while a write hangs, and sooner where records hold much', async () => {
    const texts: string[] = [];
    const seen = (record: AuditRecord) =>
      new Proxy(record, {
        get(target, member) {
          if (member === 'decision') texts.push(target.tool);
          return Reflect.get(target, member);
        },
      });
    const hung = start(true);
    hung.audit.record(seen({ ...call, tool: 'first' }));
    hung.audit.record(seen({ ...call, tool: 'gathered' }));
    expect(texts).toEqual(['first']);
    hung.clock.advance(101);
    hung.audit.record(seen({ ...call, tool: 'late' }));
    expect(texts).toEqual(['first', 'gathered', 'late']);
    const large = start();
    large.audit.record(seen({ ...call, tool: 'small' }));
    large.audit.record(seen({ ...call, tool: 'half', bytesIn: 600_000 }));
    expect(texts.slice(3)).toEqual(['small']);
    large.audit.record(seen({ ...call, tool: 'whole', bytesIn: 600_000 }));
    expect(texts.slice(3)).toEqual(['small', 'half', 'whole']);
  });

  it('has the time of the call, not of the line, and the order of the calls', async () => {
    const { audit, clock, lines } = start();
    const began = clock.now();
    for (let id = 0; id < 9; id++) {
      audit.record({ ...call, requestId: id });
      clock.advance(1);
    }
    clock.advance(10);
    await audit.close();
    const seen = lines().map(({ requestId, time }) => [requestId, Date.parse(String(time)) - began]);
    expect(seen).toEqual(Array.from({ length: 9 }, (_, id) => [id, id]));
  });

  it('takes along at the end what came during a write, and tries that once more when it fails', async () => {
    const clock = new ManualClock();
    const counts = { lost: 0 };
    const chunks: string[] = [];
    const first = Promise.withResolvers<void>();
    const answers = [first.promise, Promise.reject(new Error('full')), Promise.resolve()];
    answers[1]?.catch(() => {});
    const sink: AuditSink = {
      async open() {},
      write(chunk) {
        chunks.push(String(chunk));
        return answers[chunks.length - 1] ?? Promise.resolve();
      },
      async close() {},
    };
    const lost = {
      add(amount = 1) {
        counts.lost += amount;
      },
    };
    const audit = new AuditLog({ sink, clock, logger: silentLogger, onError: 'continue', failures: { add() {} }, lost });
    audit.record(call);
    audit.record({ ...call, requestId: 8 });
    const closed = audit.close();
    first.resolve();
    await closed;
    expect(chunks.map((chunk) => JSON.parse(chunk).requestId)).toEqual([7, 8, 8]);
    expect([counts.lost, clock.pending]).toEqual([0, 0]);
  });

  it('leaves trying again to the retry while it fails', async () => {
    const clock = new ManualClock();
    let opens = 0;
    let writes = 0;
    const sink: AuditSink = {
      async open() {
        opens++;
        throw new Error('no');
      },
      async write() {
        writes++;
      },
      async close() {},
    };
    const audit = new AuditLog({ sink, clock, logger: silentLogger, onError: 'continue', failures: { add() {} }, lost: { add() {} } });
    audit.record(call);
    await new Promise((resolve) => setImmediate(resolve));
    audit.record(call);
    await audit.open();
    expect([opens, audit.failing]).toEqual([1, true]);
    await clock.advanceAsync(999);
    expect(writes).toBe(1);
    await clock.advanceAsync(1);
    expect([writes, audit.failing]).toEqual([2, false]);
    await audit.close();
  });

  it('does not keep the process from ending when a write never returns', async () => {
    const { audit, clock, counts } = start(true);
    audit.record(call);
    const closed = audit.close();
    clock.advance(4999);
    let done = false;
    void closed.then(() => {
      done = true;
    });
    for (let turn = 0; turn < 20; turn++) await Promise.resolve();
    expect(done).toBe(false);
    clock.advance(1);
    await closed;
    expect(counts.lost).toBe(1);
  });
});

it('the audit log goes to standard error on request, and leaves it open', async () => {
  const { audit, lines, stream } = start();
  await audit.open();
  audit.record(call);
  audit.record(call);
  await audit.close();
  expect(lines().map((line) => line.message)).toEqual(['tool call', 'tool call']);
  expect(stream.destroyed || stream.writableEnded).toBe(false);
});
