import { type Counter, Histogram } from 'prom-client';
import type { MetricRow } from './metric-table.ts';

type Labels = Readonly<Record<string, string>>;

/** One number that only grows, resolved ahead: the hot path adds to it without looking anything up. */
export interface Count {
  add(amount?: number): void;
}

export class Cell implements Count {
  value = 0;
  readonly labels: Labels;

  constructor(labels: Labels) {
    this.labels = labels;
  }

  add(amount = 1): void {
    this.value += amount;
  }
}

/** Cells of one counter. prom-client hashes the labels at each `inc`, resolved or not; a cell is a plain addition. */
export class Cells {
  readonly #labels: readonly string[];
  readonly #cells = new Map<string, Cell>();

  /** `labels`: their names. A counter without any stands on the page from the start. */
  constructor(labels: readonly string[]) {
    this.#labels = labels;
    if (labels.length === 0) this.of();
  }

  of(...values: string[]): Cell {
    const key = values.join('\n');
    const known = this.#cells.get(key);
    if (known !== undefined) return known;
    const cell = new Cell(Object.fromEntries(this.#labels.map((label, index) => [label, values[index] ?? ''])));
    this.#cells.set(key, cell);
    return cell;
  }

  copyTo(counter: Counter): void {
    counter.reset();
    for (const { labels, value } of this.#cells.values()) counter.inc(labels, value);
  }
}

/** What was observed under one set of labels. */
export class Distribution {
  readonly labels: Labels;
  /** Observations up to each bound and above the one before. */
  readonly counts: Float64Array;
  sum = 0;
  count = 0;
  readonly #bounds: readonly number[];

  constructor(labels: Labels, bounds: readonly number[]) {
    this.labels = labels;
    this.#bounds = bounds;
    this.counts = new Float64Array(bounds.length);
  }

  observe(value: number): void {
    const bounds = this.#bounds;
    let index = 0;
    while (index < bounds.length && value > (bounds[index] ?? 0)) index++;
    // Above the last bound it is counted among all of them alone.
    if (index < bounds.length) this.counts[index] = (this.counts[index] ?? 0) + 1;
    this.sum += value;
    this.count++;
  }
}

/** One line of the page, in the form that prom-client writes histograms from. */
interface Sample {
  readonly metricName: string;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly sharedLabels: Labels;
  readonly value: number;
}

/**
 * A histogram of one label whose observations are a few additions: prom-client's own checks and hashes the labels at each of them. The
 * page is the same.
 */
export class CellHistogram extends Histogram<string> {
  readonly #row: MetricRow & { readonly buckets: readonly number[] };
  readonly #distributions = new Map<string, Distribution>();

  constructor(
    row: MetricRow & { readonly buckets: readonly number[] },
    registers: NonNullable<ConstructorParameters<typeof Histogram>[0]['registers']>,
  ) {
    super({ name: row.name, help: row.help, labelNames: [...row.labels], buckets: [...row.buckets], registers });
    this.#row = row;
  }

  /** What is observed under one value of the label. */
  of(value: string): Distribution {
    const known = this.#distributions.get(value);
    if (known !== undefined) return known;
    const {
      labels: [label = ''],
      buckets,
    } = this.#row;
    const made = new Distribution({ [label]: value }, buckets);
    this.#distributions.set(value, made);
    return made;
  }

  /** What the registry asks metrics for, in place of prom-client's own numbers. */
  async getForPromString(): Promise<unknown> {
    const { name, help } = this.#row;
    const seen = Array.from(this.#distributions.values()).filter(({ count }) => count > 0);
    return { name, help, type: 'histogram', aggregator: 'sum', values: seen.flatMap((one) => this.#samples(one)) };
  }

  #samples({ labels: sharedLabels, counts, sum, count }: Distribution): Sample[] {
    const { name, buckets } = this.#row;
    const sample = (suffix: string, value: number, labels: Sample['labels'] = {}): Sample => ({
      metricName: name + suffix,
      labels,
      sharedLabels,
      value,
    });
    let below = 0;
    return [
      ...buckets.map((le, index) => {
        below += counts[index] ?? 0;
        return sample('_bucket', below, { le });
      }),
      sample('_bucket', count, { le: '+Inf' }),
      sample('_sum', sum),
      sample('_count', count),
    ];
  }
}
