import { compared } from '../compare.ts';
import { gateway } from '../delivered.ts';
import { PEERS, type Peer, type Road, started } from '../peers.ts';
import { entry, httpUpstream, stdioFloor, type Target } from '../stage.ts';
import { pairs, type Row } from '../verdict.ts';
import { planOf } from './calls.ts';
import type { BenchSet, Context } from './set.ts';

/** Peers start a child for each session, or an SDK server: more would measure their memory. */
const CLIENTS = 16;

/** Session calls through other gateways, and by the same road through ours, in turn. */
export const peerCalls: BenchSet = async (context) => {
  const { run, options } = context;
  await using upstream = await httpUpstream(run);
  const shared = entry.legacyStdio();
  const { sharing, ...apart } = { ...shared, name: 'own' };
  const upstreams = [shared, apart, entry.legacyHttp(upstream)];
  await using tested = await gateway(run, options, { upstreams });
  const ours: Readonly<Record<Road, Target>> = {
    'shared child': tested.at(shared.name),
    'child per session': tested.at(apart.name),
    http: tested.at('leg'),
    'http by sse': { ...tested.at('leg'), url: tested.url.replace(/mcp$/, 'sse') },
  };
  const rows: Row[] = [];
  for (const peer of PEERS) rows.push(...(await peerRows(context, peer, upstream, ours)));
  return rows;
};

async function peerRows(
  { run, options, generator, tell }: Context,
  peer: Peer,
  upstream: Target,
  ours: Readonly<Record<Road, Target>>,
): Promise<readonly Row[]> {
  const plan = (of: Target, transport: Peer['transport']) => planOf(of, 'legacy', options, { clients: CLIENTS, transport });
  const { name, like, own } = peer;
  await using theirs = await started(run, peer, upstream, (of) => plan(of, peer.transport));
  const roads = own === undefined ? [like] : [like, own];
  const nameOf = (road: Road) => `gateway, ${road}, beside ${name}`;
  const floorName = `floor, ${own}, beside ${name}`;
  // How much there is to gain on a road that is dear by itself.
  await using floor = own === 'child per session' ? await stdioFloor(run, 'apart') : undefined;
  const of = await compared(
    generator,
    [
      { name, plan: plan(theirs, peer.transport) },
      ...roads.map((road) => ({ name: nameOf(road), plan: plan(ours[road], road === 'http by sse' ? 'sse' : 'http') })),
      ...(floor === undefined ? [] : [{ name: floorName, plan: plan(floor, 'http') }]),
    ],
    options,
    tell,
  );
  const reference = of(name);
  const row = (bound: 'peer' | 'peerAlone' | 'peerOwn' | 'peerFloor', other: string, cpu: 'cpu' | 'cpuAlone' = 'cpu'): Row => {
    const beside = of(other);
    const [their, subject] = [reference[cpu], beside[cpu]];
    const each = pairs(their, subject, (a, b) => a / b);
    const failure = reference.failure ?? beside.failure;
    return { bound, variant: name, reference: their, subject, unit: 'µs', value: their.best / subject.best, each, failure };
  };
  const rows = [row('peer', nameOf(like))];
  // A child is the upstream: it costs the same behind both, and hides how much the two differ.
  if (like === 'shared child') rows.push(row('peerAlone', nameOf(like), 'cpuAlone'));
  if (own !== undefined) rows.push(row('peerOwn', nameOf(own)));
  if (floor !== undefined) rows.push(row('peerFloor', floorName));
  return rows;
}
