import type { Era } from '../../src/core/mcp.ts';
import { compared } from '../compare.ts';
import { gateway } from '../delivered.ts';
import { bareServer, entry, httpUpstream, type Target } from '../stage.ts';
import { type Row, ratioRow } from '../verdict.ts';
import { planOf } from './calls.ts';
import type { BenchSet, Context } from './set.ts';

const TOOLS = 2_000;
/** Megabytes a call: more clients would only fill sockets. */
const CLIENTS = 8;

/** Lists of 2,000 tools from the cache, beside a server that has nothing to do but send the same bytes. */
export const lists: BenchSet = async (context) => {
  const { run, options } = context;
  await using upstream = await httpUpstream(run, TOOLS);
  await using tested = await gateway(run, options, { upstreams: [entry.modernHttp(upstream)] });
  const rows: Row[] = [];
  for (const era of options.eras) rows.push(await listsOf(context, era, tested.at('mod')));
  return rows;
};

async function listsOf({ run, options, generator, tell }: Context, era: Era, target: Target): Promise<Row> {
  await using bare = await bareServer(run, target, era);
  const plan = (of: Target) => ({ ...planOf(of, era, options, { clients: CLIENTS, size: 0 }), method: 'tools/list' as const });
  const names = { bare: `bare server, ${era}`, gateway: `gateway, ${era}` };
  const subjects = [
    { name: names.bare, plan: plan(bare) },
    { name: names.gateway, plan: plan(target) },
  ];
  const of = await compared(generator, subjects, options, tell);
  const [reference, subject] = [of(names.bare), of(names.gateway)];
  return ratioRow('list', reference.cpu, subject.cpu, { variant: era, failure: reference.failure ?? subject.failure });
}
