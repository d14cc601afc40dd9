/** One line of a page of metrics: labels and value. */
export interface Series {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** A page of `/metrics` by name of the series, as of one moment. */
export interface MetricsPage {
  /** Milliseconds of a monotonic clock. */
  readonly at: number;
  /** The series of one name; empty if there is none. */
  of(name: string): readonly Series[];
}

const LINE = /^([A-Za-z_:][A-Za-z0-9_:]*)(?:\{([^\n]*)\})?[ \t]+(\S+)/;
const LABEL = /([A-Za-z_][A-Za-z0-9_]*)="((?:[^"\\]|\\.)*)"/g;

/** Reads Prometheus text (exposition format 0.0.4). Lines that are none of it are skipped. Pure. */
export function readMetrics(text: string, at: number): MetricsPage {
  const series = new Map<string, Series[]>();
  for (const line of text.split('\n')) {
    if (line.startsWith('#')) continue;
    const [, name, labels = '', number = ''] = LINE.exec(line) ?? [];
    const value = numberOf(number);
    if (name === undefined || value === undefined) continue;
    const known = series.get(name);
    const one = { labels: labelsOf(labels), value };
    if (known === undefined) series.set(name, [one]);
    else known.push(one);
  }
  return { at, of: (name) => series.get(name) ?? [] };
}

function labelsOf(text: string): Record<string, string> {
  const escapes: Readonly<Record<string, string>> = { '\\n': '\n', '\\\\': '\\', '\\"': '"' };
  return Object.fromEntries(
    Array.from(text.matchAll(LABEL), ([, name = '', value = '']) => [name, value.replaceAll(/\\./g, (found) => escapes[found] ?? found)]),
  );
}

function numberOf(text: string): number | undefined {
  if (text === '+Inf') return Number.POSITIVE_INFINITY;
  const value = Number(text);
  return text === '' || Number.isNaN(value) ? undefined : value;
}
