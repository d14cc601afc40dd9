import { join } from 'node:path';
import type { Child } from './children.ts';
import type { LoadAnswer, LoadPlan, LoadQuestion, LoadReport, Measure } from './load/plan.ts';
import { CORE, type Core } from './machine.ts';
import type { Options } from './options.ts';
import type { Run } from './run.ts';
import { type Series, seriesOf } from './statistics.ts';

/** Load before each measurement: connections that idled are warm again. Milliseconds. */
const LEAD_IN = 250;

/** The process of the load, as its parent sees it. */
export class Generator implements AsyncDisposable {
  readonly #child: Child;

  constructor(run: Run, core: Core = CORE.rest) {
    this.#child = run.start({ script: join(import.meta.dirname, 'load/generator.ts'), core });
  }

  async open(name: string, plan: LoadPlan): Promise<void> {
    await this.#ask({ do: 'open', name, plan });
  }

  async measure(name: string, measure: Measure): Promise<LoadReport> {
    const answer = await this.#ask({ do: 'measure', name, measure });
    if (!('report' in answer)) throw new Error('the load answered something else');
    return answer.report;
  }

  /** Opens so many sessions over a few sockets and leaves them alone; with `calls`, after a call in each. */
  async idle(plan: LoadPlan, sessions: number, calls: boolean): Promise<void> {
    await this.#ask({ do: 'idle', name: 'idle sessions', plan, sessions, calls });
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
  /** Who loads it, where that is not the one that loads the others. */
  readonly by?: Generator;
}

/** What the rounds of one subject brought. */
export interface Measured {
  /** Microseconds of CPU per call of the process that was watched and of its children. */
  readonly cpu: Series;
  /** The same without its children. */
  readonly cpuAlone: Series;
  /** Median latency in milliseconds. */
  readonly p50: Series;
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
  for (const { name, plan, by = generator } of subjects) {
    await by.open(name, plan);
    const { firstError } = await by.measure(name, { leadIn: 0, duration: warmup, isFlatOut: true });
    if (firstError !== undefined) tell(`${name}: ${firstError}`);
  }
  for (let round = 0; round < rounds; round++) {
    for (const { name, by = generator } of round % 2 === 0 ? subjects : subjects.toReversed()) {
      const report = await by.measure(name, { leadIn: LEAD_IN, duration });
      reports.get(name)?.push(report);
      tell(`${name}, round ${round + 1} of ${rounds}: ${textOf(report)}`);
    }
  }
  for (const { name, by = generator } of subjects) await by.close(name);
  return (name) => measuredOf(reports.get(name) ?? []);
}

function textOf({ cpu, perSecond, latency, errors }: LoadReport): string {
  const parts = [cpu === undefined ? [] : `${cpu.total.toFixed(1)} µs`, `${perSecond} calls/s`, `p50 ${latency.p50.toFixed(2)} ms`];
  return [...parts.flat(), ...(errors === 0 ? [] : [`${errors} errors`])].join(', ');
}

function measuredOf(reports: readonly LoadReport[]): Measured {
  const errors = reports.reduce((sum, { errors }) => sum + errors, 0);
  const first = reports.find(({ firstError }) => firstError !== undefined)?.firstError;
  return {
    cpu: seriesOf(reports.map(({ cpu }) => cpu?.total ?? Number.NaN)),
    cpuAlone: seriesOf(reports.map(({ cpuAlone }) => cpuAlone?.total ?? Number.NaN)),
    p50: seriesOf(reports.map(({ latency }) => latency.p50)),
    failure: errors === 0 ? undefined : `${errors} calls failed, first: ${first}`,
  };
}
