// Calls against the floor that goes the same way, in each era: HTTP, stdio, streams, larger answers.
import type { Era } from '../../src/core/mcp.ts';
import type { BoundName } from '../budget.ts';
import { compared, type Measured } from '../compare.ts';
import { gateway } from '../delivered.ts';
import type { LoadPlan } from '../load/plan.ts';
import type { Options } from '../options.ts';
import { entry, httpFloor, httpUpstream, stdioFloor, type Target } from '../stage.ts';
import { type Row, ratioRow } from '../verdict.ts';
import type { BenchSet, Context } from './set.ts';

/** What one call is like, where it is not as the options say. */
type Work = Partial<Pick<LoadPlan, 'transport' | 'size' | 'events' | 'speech' | 'eventSize' | 'clients' | 'rate'>>;

const TEXT = 100;

export function planOf({ url, token, tool, pid }: Target, era: Era, { size, clients }: Options, work: Work = {}): LoadPlan {
  return {
    url,
    token,
    tool,
    watch: pid,
    era,
    transport: 'http',
    method: 'tools/call',
    text: TEXT,
    size,
    clients,
    events: 0,
    speech: 'progress',
    eventSize: 0,
    rate: undefined,
    ...work,
  };
}

/** Calls to an HTTP upstream of the client's era. */
export function httpCalls(bound: BoundName, work: Work, erasOf: (options: Options) => readonly Era[]): BenchSet {
  return async (context) => {
    const { run, options } = context;
    await using upstream = await httpUpstream(run);
    await using floor = await httpFloor(run, upstream);
    await using tested = await gateway(run, options, { upstreams: [entry.modernHttp(upstream), entry.legacyHttp(upstream)] });
    const targets = { modern: tested.at('mod'), legacy: tested.at('leg') };
    // The stage stands until all is measured.
    return await againstFloor(context, bound, work, erasOf(options), floor, targets);
  };
}

/** Calls to a stdio upstream of the client's era; what the child takes is counted on both sides. */
export const stdioCalls: BenchSet = async (context) => {
  const { run, options } = context;
  await using floor = await stdioFloor(run);
  const rows: Row[] = [];
  for (const era of options.eras) {
    // One at a time: the time of all children of the process counts.
    const upstream = era === 'modern' ? entry.modernStdio() : entry.legacyStdio();
    await using tested = await gateway(run, options, { upstreams: [upstream] });
    const at = tested.at(upstream.name);
    rows.push(...(await againstFloor(context, 'stdio', {}, [era], floor, { modern: at, legacy: at })));
  }
  return rows;
};

async function againstFloor(
  { generator, options, tell }: Context,
  bound: BoundName,
  work: Work,
  eras: readonly Era[],
  floor: Target,
  targets: Readonly<Record<Era, Target>>,
): Promise<readonly Row[]> {
  const subjects = eras.flatMap((era) => [
    { name: `floor, ${era}`, plan: planOf(floor, era, options, work) },
    { name: `gateway, ${era}`, plan: planOf(targets[era], era, options, work) },
  ]);
  const of = await compared(generator, subjects, options, tell);
  return eras.map((era) => rowOf(bound, of(`floor, ${era}`), of(`gateway, ${era}`), eras.length > 1 || bound === 'stdio' ? era : undefined));
}

/** Session calls beside modern calls, through one gateway. */
export const legacyCalls: BenchSet = async ({ run, options, generator, tell }) => {
  await using upstream = await httpUpstream(run);
  await using tested = await gateway(run, options, { upstreams: [entry.modernHttp(upstream), entry.legacyHttp(upstream)] });
  const subjects = [
    { name: 'modern', plan: planOf(tested.at('mod'), 'modern', options) },
    { name: 'legacy', plan: planOf(tested.at('leg'), 'legacy', options) },
  ];
  const of = await compared(generator, subjects, options, tell);
  return [rowOf('legacy', of('modern'), of('legacy'))];
};

function rowOf(bound: BoundName, reference: Measured, subject: Measured, variant?: string): Row {
  const failure = reference.failure ?? subject.failure;
  return ratioRow(bound, reference.cpu, subject.cpu, { variant, failure });
}
