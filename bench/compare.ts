import { join } from 'node:path';
import type { Child } from './children.ts';
import type { LoadAnswer, LoadPlan, LoadQuestion, LoadReport, Measure } from './load/plan.ts';
import { CORE } from './machine.ts';
import type { Options } from './options.ts';
import type { Run } from './run.ts';
import { type Series, seriesOf } from './statistics.ts';

/** Load before each measurement: connections that idled are warm again. Milliseconds. */
const LEAD_IN = 250;

/** The process of the load, as its parent sees it. */
export class Generator implements AsyncDisposable {
  readonly #child: Child;

  constructor(run: Run) {
    this.#child = run.start({ script: join(import.meta.dirname, 'load/generator.ts'), core: CORE.rest });
  }

  async open(name: string, plan: LoadPlan): Promise<void> {
    await this.#ask({ do: 'open', name, plan });
  }

  async measure(name: string, measure: Measure): Promise<LoadReport> {
    const answer = await this.#ask({ do: 'measure', name, measure });
    if (!('report' in answer)) throw new Error('the load answered something else');
    return answer.report;
  }

  async close(name: string): Promise<void> {
    await this.#ask({ do: 'close', name });
  }

  async #ask(question: LoadQuestion): Promise<LoadAnswer> {
    const answer = await this.#child.ask<LoadAnswer>(question);
    if ('failure' in answer) throw new Error(`load ${question.name}: ${answer.failure}`);
    return answer;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#child[Symbol.asyncDispose]();
  }
}

/** One thing that is loaded in turn with others. */
export interface Subject {
  readonly name: string;
  readonly plan: LoadPlan;
}

export interface Measured {
  readonly cpu: Series;
  readonly reports: readonly LoadReport[];
  /** The first call that failed, in the words of the load. */
  readonly failure: string | undefined;
}

/**
 * Loads the subjects in interleaved rounds, forwards and backwards in turn, after a warm-up of each. `tell` hears of each
 * measurement. The figures of a subject are found by its name.
 */
export async function compared(
  generator: Generator,
  subjects: readonly Subject[],
  { rounds, duration, warmup }: Options,
  tell: (text: string) => void,
): Promise<(name: string) => Measured> {
  const reports = new Map<string, LoadReport[]>(subjects.map(({ name }) => [name, []]));
  for (const { name, plan } of subjects) {
    await generator.open(name, plan);
    const { firstError } = await generator.measure(name, { leadIn: 0, duration: warmup });
    if (firstError !== undefined) tell(`${name}: ${firstError}`);
  }
  for (let round = 0; round < rounds; round++) {
    for (const { name } of round % 2 === 0 ? subjects : subjects.toReversed()) {
      const report = await generator.measure(name, { leadIn: LEAD_IN, duration });
      reports.get(name)?.push(report);
      tell(`${name}, round ${round + 1} of ${rounds}: ${report.cpu?.total.toFixed(1)} µs, ${report.perSecond} calls/s`);
    }
  }
  for (const { name } of subjects) await generator.close(name);
  return (name) => measuredOf(reports.get(name) ?? []);
}

function measuredOf(reports: readonly LoadReport[]): Measured {
  const errors = reports.reduce((sum, { errors }) => sum + errors, 0);
  const first = reports.find(({ firstError }) => firstError !== undefined)?.firstError;
  return {
    cpu: seriesOf(reports.map(({ cpu }) => cpu?.total ?? Number.NaN)),
    reports,
    failure: errors === 0 ? undefined : `${errors} calls failed, first: ${first}`,
  };
}
