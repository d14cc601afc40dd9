import { describe, expect, it } from 'vitest';
import { ManualClock } from '../core/manual-clock.ts';
import { Secret } from '../core/secret.ts';
import { createLogger, type LogOptions } from './log.ts';
import { SecurityLog } from './security-log.ts';

function capture(options: LogOptions = {}) {
  const lines: string[] = [];
  const logger = createLogger({ ...options, sink: { write: (line) => lines.push(line) } });
  return { logger, lines, parsed: () => lines.map((line) => JSON.parse(line)) };
}

describe('the log', () => {
  it('writes one JSON line per message, with the fields', () => {
    const { logger, lines, parsed } = capture();
    logger.info('ready', { port: 8080 });
    expect(lines).toHaveLength(1);
    expect(lines[0]?.endsWith('}\n')).toBe(true);
    expect(parsed()[0]).toEqual({ level: 'info', time: expect.stringMatching(/^\d{4}-.*Z$/), message: 'ready', port: 8080 });
  });

  it('keeps silent below its level', () => {
    const { logger, parsed } = capture({ level: 'warn' });
    logger.debug('a');
    logger.info('b');
    logger.warn('c');
    logger.error('d');
    expect(parsed().map((line) => line.message)).toEqual(['c', 'd']);
  });

  it('takes another level, and so do the loggers made from it', () => {
    const { logger, parsed } = capture({ level: 'warn' });
    const child = logger.child({ upstream: 'files' });
    logger.setLevel?.('debug');
    child.debug('a');
    logger.debug('b');
    logger.setLevel?.('error');
    child.warn('c');
    logger.error('d');
    expect(parsed().map((line) => line.message)).toEqual(['a', 'b', 'd']);
  });

  it('adds the fields of its parents, redacted as all others', () => {
    const { logger, parsed } = capture();
    logger
      .child({ upstream: 'files', token: 'SENTINEL' })
      .child({ attempt: 2 })
      .warn('retrying', { error: new Error('Bearer SENTINEL') });
    expect(parsed()[0]).toMatchObject({ upstream: 'files', token: '***', attempt: 2, error: { name: 'Error', message: 'Bearer ***' } });
  });

  it.each(['json', 'pretty'] as const)('as %s prints no secret and no line but its own', (format) => {
    const { logger, lines } = capture({ format });
    const hostile = 'x\n{"level":"error","message":"forged"}\u001b[1A';
    logger.info(hostile, {
      [hostile]: hostile,
      nested: { list: [hostile] },
      error: new Error(hostile),
      secret: new Secret('SENTINEL'),
      header: 'Bearer SENTINEL',
    });
    const text = lines.join('');
    expect(text).not.toContain('SENTINEL');
    expect(
      text
        .trimEnd()
        .split('\n')
        .filter((line) => line.startsWith('{"level":"error"')),
    ).toEqual([]);
    expect(text).not.toContain('\u001b');
    expect(text.trimEnd().split('\n')).toHaveLength(1);
  });

  it('lets no field say the level, time or message again', () => {
    const { logger, lines } = capture();
    logger.info('true', { level: 'error', message: 'false', time: 'never' });
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({
      level: 'info',
      message: 'true',
      field_level: 'error',
      field_message: 'false',
      field_time: 'never',
    });
  });

  it('survives fields with the names of object members', () => {
    const { logger, parsed } = capture();
    const fields = JSON.parse('{"__proto__":"a","hasOwnProperty":"b","toJSON":"c","constructor":"d","toString":"e"}');
    logger.info('x', fields);
    logger.child(fields).info('y', fields);
    expect(parsed()).toHaveLength(2);
    expect(parsed()[1]).toMatchObject({ message: 'y', field_hasOwnProperty: 'b', toJSON: 'c' });
  });

  it('is pretty on a terminal and JSON elsewhere', () => {
    const terminal = capture({ format: 'auto', terminal: true });
    terminal.logger.info('hello');
    expect(terminal.lines[0]).not.toMatch(/^\{/);
    expect(terminal.lines[0]).toContain('hello');
    const pipe = capture({ format: 'auto', terminal: false });
    pipe.logger.info('hello');
    expect(pipe.lines[0]).toMatch(/^\{/);
  });
});

describe('the security log', () => {
  function limited() {
    const { logger, parsed } = capture();
    const clock = new ManualClock();
    const passes = { left: 2 };
    const log = new SecurityLog(logger, { take: () => ({ allowed: passes.left-- > 0 }) }, clock);
    return { log, parsed, clock, passes };
  }

  it('counts what it holds back and says so with the next line of that address and kind', () => {
    const { log, parsed, passes } = limited();
    for (let index = 0; index < 7; index++) log.warn('auth/invalid', '192.0.2.1', 'refused');
    passes.left = 1;
    log.warn('auth/invalid', '192.0.2.1', 'refused');
    expect(parsed()).toHaveLength(3);
    expect(parsed()[0]).toMatchObject({ message: 'refused', kind: 'auth/invalid', address: '192.0.2.1' });
    expect(parsed()[0]).not.toHaveProperty('suppressed');
    expect(parsed()[2]).toMatchObject({ suppressed: 5 });
  });

  it('says it within a minute when no such line follows', () => {
    const { log, parsed, clock } = limited();
    for (let index = 0; index < 7; index++) log.warn('auth/invalid', `192.0.2.${index}`, 'refused');
    clock.advance(59_999);
    expect(parsed()).toHaveLength(2);
    clock.advance(1);
    expect(parsed()[2]).toMatchObject({ message: 'security log lines were suppressed', kind: 'auth/invalid', suppressed: 5, addresses: 5 });
    expect(clock.pending).toBe(0);
  });

  it('leaves no timer behind after a flush', () => {
    const { log, clock, parsed } = limited();
    for (let index = 0; index < 3; index++) log.warn('guard/host', '192.0.2.1', 'refused');
    log.flush();
    expect(clock.pending).toBe(0);
    expect(parsed()).toHaveLength(3);
    log.flush();
    expect(parsed()).toHaveLength(3);
  });

  it('remembers 10,000 addresses at most', () => {
    const { log, parsed, passes } = limited();
    passes.left = 0;
    for (let index = 0; index <= 10_000; index++) log.warn('auth/invalid', String(index), 'refused');
    expect(parsed()).toHaveLength(1);
    expect(parsed()[0]).toMatchObject({ suppressed: 10_000, addresses: 10_000 });
  });
});
