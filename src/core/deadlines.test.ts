import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Deadlines } from './deadlines.ts';
import { ManualClock } from './manual-clock.ts';

function start() {
  const clock = new ManualClock();
  const deadlines = new Deadlines(clock);
  const due: string[] = [];
  const add = (name: string, inMs: number) =>
    deadlines.add({ at: clock.monotonic() + inMs, due: () => void due.push(`${name} at ${clock.monotonic()}`) });
  return { clock, deadlines, due, add };
}

describe('Deadlines', () => {
  it('end what waits at its time, the earlier one first, whichever was added first', () => {
    const { clock, deadlines, due, add } = start();
    add('late', 500);
    add('early', 100);
    clock.advance(99);
    expect(due).toEqual([]);
    clock.advance(1000);
    expect(due).toEqual(['early at 100', 'late at 500']);
    expect([deadlines.size, clock.pending]).toEqual([0, 0]);
  });

  it('set one timer for all of them, and none anew for a call after another', () => {
    const { clock, deadlines, due, add } = start();
    let timers = 0;
    const { after } = clock;
    clock.after = (ms, fn) => {
      timers++;
      return after.call(clock, ms, fn);
    };
    let last = add('first', 60_000);
    for (let call = 0; call < 1000; call++) {
      const next = add('call', 60_000);
      clock.advance(1);
      deadlines.remove(last);
      last = next;
    }
    expect([timers, clock.pending, due]).toEqual([1, 1, []]);
    clock.advance(60_000);
    expect(due).toEqual(['call at 60999']);
    expect([timers, clock.pending]).toEqual([2, 0]);
  });

  it('look again 10 ms after a look that ended something at the earliest', () => {
    const { clock, due, add } = start();
    for (let ms = 100; ms < 125; ms++) add(String(ms), ms);
    clock.advance(1000);
    expect(due.map((each) => each.split(' at ')[1])).toEqual(['100', ...Array(10).fill('110'), ...Array(10).fill('120'), ...Array(4).fill('130')]);
  });

  it('wait for what is added while others end', () => {
    const { clock, deadlines, due, add } = start();
    deadlines.add({ at: 100, due: () => void add('next', 50) });
    add('other', 1000);
    clock.advance(200);
    expect(due).toEqual(['next at 150']);
    clock.advance(1000);
    expect(due).toEqual(['next at 150', 'other at 1000']);
  });

  it('go on for the others when one of them throws', () => {
    const { clock, deadlines, due, add } = start();
    deadlines.add({
      at: 100,
      due: () => {
        throw new Error('ours');
      },
    });
    add('same', 100);
    add('later', 300);
    expect(() => clock.advance(100)).toThrow('ours');
    clock.advance(500);
    expect(due).toEqual(['same at 110', 'later at 300']);
    expect([deadlines.size, clock.pending]).toEqual([0, 0]);
  });

  it('have no timer when what fell due took back the others', () => {
    const { clock, deadlines, due, add } = start();
    const place = add('other', 500);
    deadlines.add({ at: 100, due: () => deadlines.remove(place) });
    clock.advance(100);
    expect([deadlines.size, clock.pending, due]).toEqual([0, 0, []]);
  });

  it('have no timer where nobody waits', () => {
    const { clock, deadlines, due, add } = start();
    const places = [add('one', 100), add('other', 200)];
    for (const place of places) deadlines.remove(place);
    expect(clock.pending).toBe(0);
    add('again', 50);
    clock.advance(1000);
    expect(due).toEqual(['again at 50']);
  });

  it('end each once, never early and never 10 ms late, whatever is taken back meanwhile', () => {
    const step = fc.record({ wait: fc.nat(300), pass: fc.nat(40), back: fc.option(fc.nat(20)) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const clock = new ManualClock();
        const deadlines = new Deadlines(clock);
        const open = new Map<number, { at: number; place: number }>();
        for (const [name, { wait, pass, back }] of steps.entries()) {
          const at = clock.monotonic() + wait;
          const due = () => {
            const late = clock.monotonic() - at;
            if (!open.delete(name) || late < 0 || late > 10) throw new Error(`${late} ms late`);
          };
          open.set(name, { at, place: deadlines.add({ at, due }) });
          clock.advance(pass);
          const taken = back === null ? undefined : open.get(name - back);
          if (taken === undefined) continue;
          deadlines.remove(taken.place);
          open.delete(name - (back as number));
        }
        expect(deadlines.size).toBe(open.size);
        expect(clock.pending).toBe(open.size === 0 ? 0 : 1);
        clock.advance(1000);
        expect([open.size, deadlines.size, clock.pending]).toEqual([0, 0, 0]);
      }),
    );
  });
});
