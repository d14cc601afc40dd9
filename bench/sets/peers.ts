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
  for (const peer of PEERS) rows.push(await peerRow(context, peer, upstream, ours[peer.like]));
  return rows;
};

async function peerRow({ run, options, generator, tell }: Context, peer: Peer, upstream: Target, ours: Target): Promise<Row> {
  const plan = (of: Target) => planOf(of, 'legacy', options, { clients: CLIENTS, transport: peer.transport });
  await using theirs = await started(run, peer, upstream, plan);
  const subjects = [
    { name: peer.name, plan: plan(theirs) },
    { name: `gateway beside ${peer.name}`, plan: plan(ours) },
  ];
  const of = await compared(generator, subjects, options, tell);
  const [reference, subject] = subjects.map(({ name }) => of(name));
  if (reference === undefined || subject === undefined) throw new Error('nothing was measured');
  const value = reference.cpu.best / subject.cpu.best;
  const each = pairs(reference.cpu, subject.cpu, (a, b) => a / b);
  const failure = reference.failure ?? subject.failure;
  return { bound: 'peer', variant: peer.name, reference: reference.cpu, subject: subject.cpu, unit: 'µs', value, each, failure };
}
