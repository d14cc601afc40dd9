import { createRequire } from 'node:module';
import { isatty } from 'node:tty';
import { pino } from 'pino';
import type { PrettyOptions } from 'pino-pretty';
import { redactFields, redactText } from './redact.ts';

export type LogFormat = 'auto' | 'json' | 'pretty';
export type LogThreshold = 'debug' | 'info' | 'warn' | 'error';

export type LogFields = Readonly<Record<string, unknown>>;

/** Where operators are told something. Everything written here is redacted at this one sink. */
export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** A logger that adds these fields to every line. */
  child(fields: LogFields): Logger;
  /** Logs from this severity on from now on, children included. Absent: whoever made the logger decides. */
  setLevel?(level: LogThreshold): void;
}

/** A destination of whole lines. */
export interface LineSink {
  write(line: string): unknown;
}

export interface LogOptions {
  /** `telemetry.log.level`. Default `info`. */
  readonly level?: LogThreshold;
  /** `telemetry.log.format`; `auto` is pretty on a terminal, else JSON. Default `auto`. */
  readonly format?: LogFormat;
  /** Default: standard error, written at once so that nothing is lost when the process ends. */
  readonly sink?: LineSink;
  /** Whether the sink is a terminal. Default: asked of standard error; false for another sink. */
  readonly terminal?: boolean;
}

/** Names that pino writes itself, which a field must not be able to say again, and one that it calls on the fields. */
const RESERVED: ReadonlySet<string> = new Set(['level', 'time', 'message', 'hasOwnProperty']);
const STDERR = 2;

/** The log of a process: JSON lines, or readable ones on a terminal. */
export function createLogger(options: LogOptions = {}): Logger {
  const { level = 'info', format = 'auto', sink } = options;
  const terminal = options.terminal ?? (sink === undefined && isatty(STDERR));
  const lines = sink ?? pino.destination({ fd: STDERR, sync: true });
  const stream = format === 'pretty' || (format === 'auto' && terminal) ? prettySink(lines, terminal) : lines;
  // The threshold is ours, so that it can change for the root and all its children at once.
  const root = pino(
    {
      level: 'debug',
      base: null,
      messageKey: 'message',
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    { write: (line: string) => void stream.write(line) },
  );
  const threshold = { rank: RANKS[level] };
  return { ...wrap(root, threshold), setLevel: (to) => Object.assign(threshold, { rank: RANKS[to] }) };
}

/** A logger that keeps silent, for libraries and tests that want none. */
export const silentLogger: Logger = Object.freeze({
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => silentLogger,
});

const RANKS: Readonly<Record<LogThreshold, number>> = { debug: 0, info: 1, warn: 2, error: 3 };

function wrap(log: pino.Logger, threshold: { readonly rank: number }): Logger {
  const at =
    (level: LogThreshold) =>
    (message: string, fields?: LogFields): void => {
      // Redaction costs more than the line: not for lines that nobody reads.
      if (RANKS[level] < threshold.rank) return;
      log[level](fields === undefined ? {} : fieldsOf(fields), redactText(message, 1000));
    };
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: (fields) => wrap(log.child(fieldsOf(fields)), threshold),
  };
}

function fieldsOf(fields: LogFields): Record<string, unknown> {
  // With a prototype again, because pino asks the object itself for its members.
  const redacted: Record<string, unknown> = { ...redactFields(fields) };
  for (const name of RESERVED) {
    if (!Object.hasOwn(redacted, name)) continue;
    redacted[`field_${name}`] = redacted[name];
    delete redacted[name];
  }
  return redacted;
}

/** pino-pretty is loaded only where somebody looks. */
function prettySink(sink: LineSink, colorize: boolean): LineSink {
  const { prettyFactory } = createRequire(import.meta.url)('pino-pretty') as { prettyFactory(options: PrettyOptions): (line: string) => string };
  const pretty = prettyFactory({ colorize, messageKey: 'message', translateTime: 'SYS:HH:MM:ss.l', singleLine: true, errorLikeObjectKeys: [] });
  return { write: (line) => sink.write(pretty(line)) };
}
