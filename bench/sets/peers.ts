import { compared } from '../compare.ts';
import { gateway } from '../delivered.ts';
import { PEERS, type Peer, started } from '../peers.ts';
import { entry, httpUpstream, type Target } from '../stage.ts';
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
  const ours: Readonly<Record<Peer['like'], Target>> = {
    'shared child': tested.at(shared.name),
    'child per session': tested.at(apart.name),
    'http by sse': { ...tested.at('leg'), url: tested.url.replace(/mcp$/, 'sse') },
  };
  const rows: Row[] = [];
  for (const peer of PEERS) rows.push(...(await peerRows(context, peer, upstream, ours[peer.like])));
  return rows;
};

async function peerRows({ run, options, generator, tell }: Context, peer: Peer, upstream: Target, ours: Target): Promise<readonly Row[]> {
  const plan = (of: Target) => planOf(of, 'legacy', options, { clients: CLIENTS, transport: peer.transport });
  await using theirs = await started(run, peer, upstream, plan);
  const subjects = [
    { name: peer.name, plan: plan(theirs) },
    { name: `gateway beside ${peer.name}`, plan: plan(ours) },
  ];
  const of = await compared(generator, subjects, options, tell);
  const [reference, subject] = subjects.map(({ name }) => of(name));
  if (reference === undefined || subject === undefined) throw new Error('nothing was measured');
  const failure = reference.failure ?? subject.failure;
  const row = (bound: 'peer' | 'peerAlone', of: 'cpu' | 'cpuAlone'): Row => {
    const [theirs, own] = [reference[of], subject[of]];
    const value = theirs.best / own.best;
    const each = pairs(theirs, own, (a, b) => a / b);
    return { bound, variant: peer.name, reference: theirs, subject: own, unit: 'µs', value, each, failure };
  };
  // A child is the upstream: it costs the same behind both, and hides how much the two differ.
  return peer.like === 'http by sse' ? [row('peer', 'cpu')] : [row('peer', 'cpu'), row('peerAlone', 'cpuAlone')];
}
