import { expect, it } from 'vitest';
import { Makings } from './makings.ts';
import { failure, NEVER } from './sample-pool.ts';

const A = 'https://gitlab.com/api/v4';
const here = (apiUrl: string) => apiUrl === A;
const changed = new Error('changed');
/** Work that ends with its signal alone. */
const until = (signal: AbortSignal) => new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));

it('what is being made begins again, and nothing elsewhere', async () => {
  const makings = new Makings();
  const began: string[] = [];
  const make = (name: string) => (signal: AbortSignal) => {
    began.push(name);
    return began.length < 3 ? until(signal) : Promise.resolve(name);
  };
  const [one, two] = [makings.of(A), makings.of('https://git.corp/api/v4')];
  const leaving = new AbortController();
  const made = one.run(make('one'), NEVER);
  const other = failure(two.run(make('two'), leaving.signal));
  makings.restart(here, changed);
  expect(await made).toBe('one');
  one.finish();
  expect(began).toEqual(['one', 'two', 'one']);
  leaving.abort(new Error('left'));
  expect(await other).toMatchObject({ message: 'left' });
});

it('what is made, and was not put in its place yet, is refused', async () => {
  const makings = new Makings();
  const making = makings.of(A);
  await making.run(async () => 1, NEVER);
  makings.restart(here, changed);
  expect(() => making.finish()).toThrow(changed);
});

it('what failed, was put in its place or dropped is left alone', async () => {
  const makings = new Makings();
  const all = [makings.of(A), makings.of(A), makings.of(A)] as const;
  expect(await failure(all[0].run(() => Promise.reject(changed), NEVER))).toBe(changed);
  for (const making of all) if (making !== all[0]) await making.run(async () => 1, NEVER);
  all[1].finish();
  all[2].drop();
  makings.restart(here, new Error('not theirs'));
  for (const making of all) expect(() => making.finish()).not.toThrow();
});
