import { describe, expect, it } from 'vitest';
import type { Caller } from '../../core/caller.ts';
import { TurnpikeError } from '../../core/errors.ts';
import { someone } from '../sample-bridge.ts';
import { resultOf, sampleExchange } from '../sample-services.ts';
import { type Parked, ParkingLot } from './parking-lot.ts';

let next = 0;
function parked(caller: Caller, upstream = 'a'): Parked & { readonly resumed: unknown[]; readonly ended: unknown[] } {
  const resumed: unknown[] = [];
  const ended: unknown[] = [];
  return {
    id: `id-${++next}`,
    caller,
    upstream,
    resumed,
    ended,
    resume: async (_exchange, round, responses) => {
      resumed.push([round, responses?.toString()]);
      return resultOf({});
    },
    end: async (reason) => void ended.push(reason),
  };
}

const ALICE = someone('alice');
const BOB = someone('bob');

it('ends the calls of those who are meant, and takes other limits', async () => {
  let perPrincipal = 1;
  const lot = new ParkingLot(() => ({ perPrincipal, perUpstream: 9, total: 9 }));
  const [hers, his] = [parked(ALICE), parked(BOB)];
  for (const one of [hers, his]) lot.admit(one);
  await lot.end('gone', ({ principal }) => principal.subject === ALICE.principal.subject);
  expect([hers.ended, his.ended]).toEqual([['gone'], []]);
  expect(lot.admit(parked(BOB))).toBe(false);
  perPrincipal = 2;
  expect(lot.admit(parked(BOB))).toBe(true);
});

describe('places', () => {
  it('are counted by principal, by upstream and in all', () => {
    const lot = new ParkingLot({ perPrincipal: 2, perUpstream: 3, total: 4 });
    const calls = [parked(ALICE), parked(ALICE)] as const;
    for (const one of calls) expect(lot.admit(one)).toBe(true);
    expect(lot.admit(parked(ALICE, 'b'))).toBe(false);
    expect(lot.admit(parked(BOB))).toBe(true);
    expect(lot.admit(parked(BOB))).toBe(false);
    expect(lot.admit(parked(BOB, 'b'))).toBe(true);
    expect(lot.admit(parked(someone('carol'), 'c'))).toBe(false);
    expect(lot.size).toBe(4);
    lot.leave(calls[0]);
    expect(lot.admit(parked(someone('carol'), 'c'))).toBe(true);
    lot.leave(calls[1]);
    expect(lot.admit(parked(ALICE))).toBe(true);
  });

  it('are one to a call, however often it asks, and given back once', () => {
    const lot = new ParkingLot({ perPrincipal: 1, perUpstream: 9, total: 9 });
    const call = parked(ALICE);
    expect([lot.admit(call), lot.admit(call), lot.admit(call)]).toEqual([true, true, true]);
    expect(lot.size).toBe(1);
    lot.leave(call);
    lot.leave(call);
    lot.forget(call);
    const another = parked(ALICE);
    expect(lot.admit(another)).toBe(true);
    expect(lot.admit(parked(ALICE))).toBe(false);
    expect(lot.size).toBe(1);
  });

  it('one subject of two issuers or two tenants is two principals', () => {
    const lot = new ParkingLot({ perPrincipal: 1, perUpstream: 9, total: 9 });
    expect(lot.admit(parked(ALICE))).toBe(true);
    expect(lot.admit(parked({ ...ALICE, tenant: 't2' }))).toBe(true);
    expect(lot.admit(parked({ ...ALICE, principal: { issuer: 'other', subject: 'alice' } }))).toBe(true);
    expect(lot.admit(parked({ ...ALICE }))).toBe(false);
  });
});

describe('records', () => {
  const resume = (lot: ParkingLot, state: { node?: string; id: string; round?: number }) =>
    lot.resume(sampleExchange().exchange, { kind: 'park', node: lot.node, round: 1, ...state }, 'a', Buffer.from('{"k":{}}'));

  it('lead a retry to its call, also after the call is over', async () => {
    const lot = new ParkingLot({ perPrincipal: 1, perUpstream: 1, total: 1 });
    const call = parked(ALICE);
    lot.admit(call);
    await resume(lot, { id: call.id, round: 3 });
    lot.leave(call);
    await resume(lot, { id: call.id });
    expect(call.resumed).toEqual([
      [3, '{"k":{}}'],
      [1, '{"k":{}}'],
    ]);
    expect([lot.size, lot.records]).toEqual([0, 1]);
    lot.forget(call);
    expect(() => resume(lot, { id: call.id })).toThrow(
      expect.objectContaining({ code: 'state/invalid', message: 'Invalid or expired request state' }),
    );
    expect(lot.records).toBe(0);
  });

  it('of another process are gone, with the words of the page', () => {
    const lot = new ParkingLot({ perPrincipal: 1, perUpstream: 1, total: 1 });
    expect(() => resume(lot, { id: 'x', node: 'elsewhere' })).toThrow(
      expect.objectContaining({ code: 'upstream/lost', message: 'The call that waited for this answer is gone.' }),
    );
    expect(new ParkingLot({ perPrincipal: 1, perUpstream: 1, total: 1 }).node).not.toBe(lot.node);
  });

  it('have ids of 128 random bits', () => {
    const lot = new ParkingLot({ perPrincipal: 1, perUpstream: 1, total: 1 });
    const ids = Array.from({ length: 100 }, () => lot.newId());
    expect(new Set(ids).size).toBe(100);
    for (const id of ids) expect(Buffer.from(id, 'base64url')).toHaveLength(16);
  });

  it('all that wait are ended with the reason, those that are over are not', async () => {
    const lot = new ParkingLot({ perPrincipal: 9, perUpstream: 9, total: 9 });
    const [waiting, over] = [parked(ALICE), parked(BOB)];
    lot.admit(waiting);
    lot.admit(over);
    lot.leave(over);
    const reason = new TurnpikeError('gateway/draining');
    await lot.end(reason);
    expect(waiting.ended).toEqual([reason]);
    expect(over.ended).toEqual([]);
  });
});

describe('kept answers', () => {
  const MIB = 1024 * 1024;

  it('are 64 MiB in all: beyond, the oldest go first, each once', () => {
    const lot = new ParkingLot({ perPrincipal: 1, perUpstream: 1, total: 1 });
    const dropped: string[] = [];
    const keep = (name: string, mib: number) => lot.keep(ALICE, mib * MIB, () => dropped.push(name));
    const first = keep('first', 30);
    keep('second', 30);
    expect(dropped).toEqual([]);
    keep('third', 10);
    expect(dropped).toEqual(['first']);
    first();
    expect(dropped).toEqual(['first']);
    keep('fourth', 24);
    expect(dropped).toEqual(['first']);
    keep('fifth', 1);
    expect(dropped).toEqual(['first', 'second']);
  });

  it('of somebody give way to nobody who has more', () => {
    const lot = new ParkingLot({ perPrincipal: 1, perUpstream: 1, total: 1 });
    const dropped: string[] = [];
    const keep = (subject: string, name: string, mib: number) =>
      lot.keep({ ...ALICE, principal: { issuer: 'static', subject } }, mib * MIB, () => dropped.push(name));
    keep('bob', 'small', 1);
    for (const name of ['a', 'b', 'c', 'd', 'e']) keep('alice', name, 16);
    expect(dropped).toEqual(['a', 'b']);
    keep('bob', 'also small', 20);
    expect(dropped).toEqual(['a', 'b', 'c']);
  });

  it('one that was dropped counts no more, and one that is too large alone goes at once', () => {
    const lot = new ParkingLot({ perPrincipal: 1, perUpstream: 1, total: 1 });
    const dropped: string[] = [];
    const drop = lot.keep(ALICE, 60 * MIB, () => dropped.push('first'));
    drop();
    lot.keep(ALICE, 60 * MIB, () => dropped.push('second'));
    expect(dropped).toEqual(['first']);
    lot.keep(ALICE, 65 * MIB, () => dropped.push('third'));
    expect(dropped).toEqual(['first', 'second', 'third']);
  });
});
