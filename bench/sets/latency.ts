import type { Era } from '../../src/core/mcp.ts';
import { FLOOR_OF_BUDGET } from '../budget.ts';
import { compared, Generator } from '../compare.ts';
import { gateway, PROBED } from '../delivered.ts';
import { CORE } from '../machine.ts';
import type { LoopDelay } from '../probe.ts';
import { entry, httpFloor, httpUpstream, type Target } from '../stage.ts';
import { pairs, plainRow, type Row } from '../verdict.ts';
import { planOf } from './calls.ts';
import type { BenchSet } from './set.ts';

/** Calls per second. */
const RATE = 1_000;

/**
 * What the gateway adds to a call when calls come by the clock: its median less that of the upstream alone, which is called from where the gateway
 * would stand: either way a call comes from the other core, as in the harness of the page. The floor tells what any process adds, and at its limit
 * how fast the machine is.
 */
export const latency: BenchSet = async ({ run, options, generator, tell }) => {
  await using upstream = await httpUpstream(run);
  await using floor = await httpFloor(run, upstream);
  const upstreams = [entry.modernHttp(upstream), entry.legacyHttp(upstream)];
  await using tested = await gateway(run, options, { upstreams });
  await using across = new Generator(run, CORE.subject);
  const targets = { modern: tested.at('mod'), legacy: tested.at('leg') };
  const plan = (target: Target, era: Era) => planOf(target, era, options, { rate: RATE });
  const subjects = options.eras.flatMap((era) => [
    { name: `upstream alone, ${era}`, plan: plan(upstream, era), by: across },
    { name: `floor, ${era}`, plan: plan(floor, era) },
    { name: `gateway, ${era}`, plan: plan(targets[era], era) },
  ]);
  const limit = { name: 'floor at its limit', plan: planOf(floor, 'modern', options) };
  const of = await compared(generator, [...subjects, limit], options, tell);
  const speed = FLOOR_OF_BUDGET / of(limit.name).cpu.best;
  const added = (bound: 'latency' | 'latencyScaled' | 'latencyFloor', through: string, variant: Era): Row => {
    const [reference, subject] = [of(`upstream alone, ${variant}`), of(`${through}, ${variant}`)];
    const figure = (slow: number, quick: number) => (slow - quick) * (bound === 'latencyScaled' ? speed : 1);
    const failure = reference.failure ?? subject.failure;
    const each = pairs(subject.p50, reference.p50, figure);
    const value = figure(subject.p50.best, reference.p50.best);
    return { bound, variant, reference: reference.p50, subject: subject.p50, unit: 'ms', value, each, failure };
  };
  return options.eras.flatMap((era) => [
    added('latency', 'gateway', era),
    added('latencyScaled', 'gateway', era),
    added('latencyFloor', 'floor', era),
  ]);
};

/** How long the event loop of the gateway is kept from what is due, while it has as much to do as it can. */
export const loopDelay: BenchSet = async ({ run, options, generator, tell }) => {
  await using upstream = await httpUpstream(run);
  await using tested = await gateway(run, options, { upstreams: [entry.modernHttp(upstream)], execArgv: PROBED });
  await generator.open('gateway', planOf(tested.at('mod'), 'modern', options));
  await generator.measure('gateway', { leadIn: 0, duration: options.warmup });
  const delays: LoopDelay[] = [];
  let failure: string | undefined;
  for (let round = 1; round <= options.rounds; round++) {
    await tested.child.ask({ ask: 'watch' });
    const { firstError } = await generator.measure('gateway', { leadIn: 0, duration: options.duration });
    const delay = await tested.child.ask<LoopDelay>({ ask: 'delay' });
    tell(`round ${round} of ${options.rounds}: p50 ${delay.p50.toFixed(2)} ms, p99 ${delay.p99.toFixed(2)} ms, longest ${delay.max.toFixed(2)} ms`);
    delays.push(delay);
    failure ??= firstError;
  }
  await generator.close('gateway');
  return [
    plainRow(
      'loop',
      'ms',
      delays.map(({ p99 }) => p99),
      { failure },
    ),
  ];
};
