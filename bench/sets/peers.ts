import { compared } from '../compare.ts';
import { gateway } from '../delivered.ts';
import { PEERS, type Peer, type Road, started } from '../peers.ts';
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
  const { name, like, also } = peer;
  await using theirs = await started(run, peer, upstream, (of) => plan(of, peer.transport));
  const roads = also === undefined ? [like] : [like, also];
  const of = await compared(
    generator,
    [
      { name, plan: plan(theirs, peer.transport) },
      ...roads.map((road) => ({ name: `gateway, ${road}, beside ${name}`, plan: plan(ours[road], road === 'http by sse' ? 'sse' : 'http') })),
    ],
    options,
    tell,
  );
  const reference = of(name);
  const row = (bound: 'peer' | 'peerAlone' | 'peerAlso', road: Road, cpu: 'cpu' | 'cpuAlone'): Row => {
    const subject = of(`gateway, ${road}, beside ${name}`);
    const [their, own] = [reference[cpu], subject[cpu]];
    const each = pairs(their, own, (a, b) => a / b);
    return {
      bound,
      variant: name,
      reference: their,
      subject: own,
      unit: 'µs',
      value: their.best / own.best,
      each,
      failure: reference.failure ?? subject.failure,
    };
  };
  const rows = [row('peer', like, 'cpu')];
  // A child is the upstream: it costs the same behind both, and hides how much the two differ.
  if (like !== 'http by sse') rows.push(row('peerAlone', like, 'cpuAlone'));
  if (also !== undefined) rows.push(row('peerAlso', also, 'cpu'));
  return rows;
}
