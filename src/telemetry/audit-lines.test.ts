import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Secret } from '../core/secret.ts';
import { AuditLines, type AuditRecord } from './audit-lines.ts';
import { maskValues, redactText } from './redact.ts';

const WORDS: Readonly<Record<string, { readonly message: string; readonly subsystem: string }>> = {
  'tools/call': { message: 'tool call', subsystem: 'MCP-Tool' },
  'prompts/get': { message: 'prompt get', subsystem: 'MCP-Prompt' },
  'resources/read': { message: 'resource read', subsystem: 'MCP-Resource' },
  'skills/get': { message: 'skill get', subsystem: 'MCP-Skill' },
  'resources/directory/read': { message: 'directory read', subsystem: 'MCP-Resource' },
  'tasks/get': { message: 'task get', subsystem: 'MCP-Task' },
  'tasks/update': { message: 'task update', subsystem: 'MCP-Task' },
  'tasks/cancel': { message: 'task cancel', subsystem: 'MCP-Task' },
};

/** What a line says, in plain words: the oracle. */
function plain(record: AuditRecord, now: number, secrets: readonly Secret[]): string {
  const clean = (text: string, max?: number) => redactText(maskValues(text, secrets), max);
  const isForeign = record.upstream === undefined || ['resources/read', 'skills/get', 'resources/directory/read'].includes(record.method);
  const line = {
    time: new Date(now).toISOString(),
    ...(WORDS[record.method] ?? { message: 'call', subsystem: 'MCP' }),
    requestId: typeof record.requestId === 'string' ? clean(record.requestId, 256) : record.requestId,
    tenant: record.tenant,
    principal: record.principal,
    session: record.session,
    era: record.era,
    method: record.method.length > 256 ? clean(record.method, 256) : record.method,
    tool: isForeign ? clean(record.tool, 256) : record.tool,
    original: isForeign && record.original !== undefined ? clean(record.original, 256) : record.original,
    upstream: record.upstream,
    decision: record.decision,
    outcome: record.outcome,
    code: record.code,
    error: record.error === undefined ? undefined : clean(record.error),
    duration_s: Math.round(record.durationMs * 1000) / 1e6,
    bytesIn: record.bytesIn,
    bytesOut: record.bytesOut,
    credentialMode: record.credentialMode,
  };
  return `${JSON.stringify(line)}\n`;
}

/** Words of every kind: what is written as it is, what JSON escapes, what is redacted, what is cut. */
const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 30 }),
  fc.string({ unit: fc.constantFrom('"', '\\', '\n', '\u2028', '\ud800', '\u{1f600}', 'ä', '\u007f', 'x', '/'), maxLength: 12 }),
  fc.string({ maxLength: 600 }),
  fc.uuid(),
  fc.constantFrom(
    '',
    'x_files_read',
    'glpat-SENTINEL',
    'Bearer abcdef',
    'sk-0123456789abcdef',
    'https://u:p@h/x?t=1',
    'token=1',
    'known-secret-1 and so on',
  ),
);
const number = fc.oneof(fc.integer(), fc.double({ noDefaultInfinity: false }), fc.constantFrom(0, -0, Number.NaN, 1e21, 1e-7));
const method = fc
  .oneof(fc.constantFrom(...Object.keys(WORDS)), fc.constantFrom('ping', `m${'x'.repeat(300)}`), text)
  .filter((name) => !(name in Object.prototype));
const principals = [
  { fingerprint: 'fp', issuer: 'static', subject: 'ci' },
  { fingerprint: 'fp"2', issuer: 'https://idp.example', subject: 'ä\n' },
];
const optional = <T>(values: fc.Arbitrary<T>) => fc.option(values, { nil: undefined });
const records: fc.Arbitrary<AuditRecord> = fc.record({
  requestId: fc.oneof(text, number),
  tenant: text,
  principal: fc.oneof(fc.constantFrom(...principals), fc.record({ fingerprint: text, issuer: text, subject: text })),
  session: optional(text),
  era: fc.constantFrom('modern', 'legacy'),
  method,
  tool: text,
  original: optional(text),
  upstream: optional(text),
  decision: text,
  outcome: fc.constantFrom('ok', 'error', 'error_result', 'refused', 'cancelled'),
  code: optional(fc.oneof(text, number)),
  error: optional(text),
  durationMs: fc.oneof(
    number,
    fc.double({ min: 0, max: 1e6 }),
    fc.integer({ min: 0, max: 1_000_000 }).map((micro) => micro / 1000),
  ),
  bytesIn: number,
  bytesOut: number,
  credentialMode: optional(text),
});

describe('the line of an audit record', () => {
  it('is what JSON.stringify writes, of any record, at any time', () => {
    const secrets = [new Secret('known-secret-1'), new Secret('')];
    const lines = new AuditLines(secrets);
    const time = fc.integer({ min: -1e12, max: 1e13 });
    fc.assert(
      fc.property(
        fc.array(fc.tuple(records, fc.oneof(time, fc.integer({ min: 1_790_000_000_000, max: 1_790_000_002_000 }))), { minLength: 1 }),
        (all) => {
          for (const [record, now] of all) expect(lines.of(record, now)).toBe(plain(record, now, secrets));
        },
      ),
      { numRuns: 200 },
    );
  });

  it('is that of its own record although the same names come in any other combination', () => {
    const name = fc.constantFrom('a', 'b', 'Bearer abcdef');
    const alike = fc.tuple(name, name, optional(name), optional(name), fc.constantFrom('tools/call', 'prompts/get', 'resources/read'), fc.boolean());
    const call = fc.sample(records, { numRuns: 1, seed: 5 })[0] as AuditRecord;
    const lines = new AuditLines([]);
    fc.assert(
      fc.property(alike, ([tenant, tool, original, upstream, said, isFirst]) => {
        const record = {
          ...call,
          tenant,
          tool,
          original,
          upstream,
          method: said,
          principal: principals[isFirst ? 0 : 1] as AuditRecord['principal'],
        };
        expect(lines.of(record, 0)).toBe(plain(record, 0, []));
      }),
      { numRuns: 2000 },
    );
  });

  it('says every duration as JSON does', () => {
    const lines = new AuditLines([]);
    const call = fc.sample(records, { numRuns: 1, seed: 3 })[0] as AuditRecord;
    const micro = fc.oneof(fc.integer({ min: 0, max: 2_000_000 }), fc.maxSafeInteger(), fc.constantFrom(1, 10, 999_999, 1e6, 1e12 - 1, 1e12));
    const zeros = fc.constantFrom(1, 10, 1000, 100_000, 1e6);
    fc.assert(
      fc.property(micro, zeros, (value, factor) => {
        const durationMs = (value * factor) / 1000;
        expect(lines.of({ ...call, durationMs }, 0)).toContain(`,"duration_s":${JSON.stringify(Math.round(durationMs * 1000) / 1e6)},"bytesIn"`);
      }),
      { numRuns: 2000 },
    );
  });

  it('holds no secret that came with a reload, whatever was remembered before', () => {
    const secrets: Secret[] = [];
    const lines = new AuditLines(secrets);
    const record: AuditRecord = {
      requestId: 'id-with-later-secret',
      tenant: 't',
      principal: principals[0] as AuditRecord['principal'],
      era: 'modern',
      method: 'tools/call',
      tool: 'no-tool-but-later-secret',
      decision: 'catalog/ambiguous',
      outcome: 'refused',
      durationMs: 1,
      bytesIn: 1,
      bytesOut: 0,
    };
    expect(lines.of(record, 0)).toContain('"tool":"no-tool-but-later-secret"');
    secrets.push(new Secret('later-secret'));
    expect(lines.of(record, 0)).not.toContain('later-secret');
    const long: AuditRecord = { ...record, method: `no-tool/${'x'.repeat(300)}`, upstream: 'u', tool: 't' };
    expect(lines.of(long, 0)).toContain('"method":"no-tool/x');
    secrets.splice(0, 1, new Secret('no-tool'));
    expect(lines.of(long, 0)).toContain('"method":"***/x');
    expect(lines.of(record, 0)).toContain('"tool":"***-but-later-secret"');
  });

  it('is right for more names than are remembered', () => {
    const lines = new AuditLines([]);
    const call = fc.sample(records, { numRuns: 1, seed: 7 })[0] as AuditRecord;
    for (let index = 0; index < 2500; index++) {
      const record: AuditRecord = { ...call, upstream: undefined, tool: `name-${index % 1700} Bearer abcdef` };
      expect(lines.of(record, index)).toBe(plain(record, index, []));
    }
  });
});
