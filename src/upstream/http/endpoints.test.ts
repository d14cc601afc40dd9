import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ManualClock } from '../../core/manual-clock.ts';
import { type Endpoint, EndpointSet } from './endpoints.ts';

const backoff = { initial: 2000, factor: 2, max: 120_000, jitter: 0.2 };
const endpoint = (url: string, priority = 0, weight = 1): Endpoint => ({ url, type: 'streamable-http', priority, weight });

function setOf(...endpoints: Endpoint[]) {
  const clock = new ManualClock();
  return { clock, set: new EndpointSet(endpoints, { clock, backoff, random: () => 0.5 }) };
}

type Step =
  | { kind: 'choose'; owner: number }
  | { kind: 'release'; owner: number }
  | { kind: 'failed'; index: number }
  | { kind: 'succeeded'; index: number }
  | { kind: 'wait'; ms: number };

describe('EndpointSet', () => {
  it('shares by weight within the lowest priority', () => {
    const { set } = setOf(endpoint('a', 0, 2), endpoint('b', 0, 1), endpoint('c', 1, 9));
    const chosen = Array.from({ length: 6 }, (_, index) => set.choose(`owner${index}`).url);
    expect(chosen).toEqual(['a', 'b', 'a', 'a', 'b', 'a']);
  });

  it('keeps the endpoint of an owner, and forgets owners who are released', () => {
    const { set } = setOf(endpoint('a'), endpoint('b'));
    const first = set.choose('x');
    for (let turn = 0; turn < 5; turn++) {
      set.choose(`other${turn}`);
      expect(set.choose('x')).toBe(first);
    }
    set.release('x');
    for (let turn = 0; turn < 5; turn++) set.release(`other${turn}`);
    expect(set.owners).toBe(0);
  });

  it('lets a failed endpoint sit out its growing backoff, then takes it back', () => {
    const [a, b] = [endpoint('a'), endpoint('b', 1)];
    const { set, clock } = setOf(a, b);
    expect(set.choose('x')).toBe(a);
    set.failed(a);
    expect(set.choose('x')).toBe(b);
    clock.advance(1999);
    expect(set.choose('y')).toBe(b);
    clock.advance(1);
    expect(set.choose('z')).toBe(a);
    // Who moved stays where it is.
    expect(set.choose('x')).toBe(b);
    set.failed(a);
    clock.advance(3999);
    expect(set.choose('z')).toBe(b);
    clock.advance(1);
    expect(set.choose('w')).toBe(a);
    set.succeeded(a);
    set.failed(a);
    clock.advance(2000);
    expect(set.choose('v')).toBe(a);
  });

  it('names the one that returns first while all sit out, and is deaf to strangers', () => {
    const [a, b] = [endpoint('a'), endpoint('b')];
    const { set, clock } = setOf(a, b);
    set.failed(b);
    clock.advance(500);
    set.failed(a);
    expect(set.choose('x')).toBe(b);
    set.failed(endpoint('a'));
    set.succeeded(endpoint('b'));
    expect(set.choose('y')).toBe(b);
    expect(() => new EndpointSet([], { clock, backoff })).toThrow(RangeError);
  });

  it('never chooses one that sits out while a healthy one is there, nor a worse priority', () => {
    const step: fc.Arbitrary<Step> = fc.oneof(
      fc.record({ kind: fc.constant('choose' as const), owner: fc.nat(5) }),
      fc.record({ kind: fc.constant('release' as const), owner: fc.nat(5) }),
      fc.record({ kind: fc.constant('failed' as const), index: fc.nat(3) }),
      fc.record({ kind: fc.constant('succeeded' as const), index: fc.nat(3) }),
      fc.record({ kind: fc.constant('wait' as const), ms: fc.nat(10_000) }),
    );
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(2), fc.integer({ min: 1, max: 5 })), { minLength: 4, maxLength: 4 }),
        fc.array(step, { maxLength: 60 }),
        (shape, steps) => {
          const endpoints = shape.map(([priority, weight], index) => endpoint(String(index), priority, weight));
          const { set, clock } = setOf(...endpoints);
          const out = endpoints.map(() => Number.NEGATIVE_INFINITY);
          const failures = endpoints.map(() => 0);
          const held = new Map<number, number>();
          for (const one of steps) {
            if (one.kind === 'wait') clock.advance(one.ms);
            else if (one.kind === 'release') {
              set.release(String(one.owner));
              held.delete(one.owner);
            } else if (one.kind === 'failed') {
              set.failed(endpoints[one.index] as Endpoint);
              out[one.index] = clock.monotonic() + Math.min(backoff.max, 2000 * 2 ** (failures[one.index] as number));
              failures[one.index] = (failures[one.index] as number) + 1;
            } else if (one.kind === 'succeeded') {
              set.succeeded(endpoints[one.index] as Endpoint);
              out[one.index] = Number.NEGATIVE_INFINITY;
              failures[one.index] = 0;
            } else {
              const healthy = endpoints.filter((_, index) => (out[index] as number) <= clock.monotonic());
              const chosen = set.choose(String(one.owner));
              const before = held.get(one.owner);
              if (before !== undefined && healthy.includes(endpoints[before] as Endpoint)) expect(chosen).toBe(endpoints[before]);
              else if (healthy.length > 0) {
                expect(healthy).toContain(chosen);
                expect(chosen.priority).toBe(Math.min(...healthy.map(({ priority }) => priority)));
              }
              held.set(one.owner, endpoints.indexOf(chosen));
            }
          }
          expect(set.owners).toBe(held.size);
        },
      ),
    );
  });
});
