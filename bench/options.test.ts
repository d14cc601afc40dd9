import { describe, expect, it } from 'vitest';
import { HELP, type Options, optionsOf, UsageError } from './options.ts';
import { SETS } from './sets/names.ts';

const options = (...args: string[]) => optionsOf(args) as Options;

describe('command line of the bench', () => {
  it('measures everything by default, but for peers, which are not installed along', () => {
    expect(options().sets).toEqual(Object.keys(SETS).filter((name) => name !== 'peers'));
    expect(options('--peers').sets).toContain('peers');
    expect(options()).toMatchObject({ rounds: 30, duration: 500, warmup: 4_000, eras: ['modern', 'legacy'], size: 300, clients: 32, smoke: false });
  });

  it('takes sets, eras, rounds and times', () => {
    expect(options('--set', 'http, stdio', '--era', 'legacy', '--rounds', '8', '--duration', '0.5', '--size', '20')).toMatchObject({
      sets: ['http', 'stdio'],
      eras: ['legacy'],
      rounds: 8,
      duration: 500,
      size: 20,
    });
    expect(options('--json', 'out.json', '--gateway', 'src/cli/main.ts')).toMatchObject({ json: 'out.json', gateway: 'src/cli/main.ts' });
  });

  it('makes a smoke run short, of its own sets', () => {
    const smoke = options('--smoke');
    expect(smoke.sets).toEqual(Object.entries(SETS).flatMap(([name, set]) => (set.smoke ? [name] : [])));
    const measurements = smoke.sets.length * 2;
    expect((measurements * (smoke.warmup + smoke.rounds * smoke.duration)) / 1000).toBeLessThan(45);
    expect(options('--smoke', '--set', 'idle', '--rounds', '3')).toMatchObject({ sets: ['idle'], rounds: 3 });
  });

  it('tells what there is on request, every set among it', () => {
    expect(optionsOf(['--help'])).toBe('help');
    for (const name of Object.keys(SETS)) expect(HELP).toContain(name);
  });

  it.each([
    [['--set', 'htpp'], '--set: there is no set "htpp"; there are http, stdio'],
    [['--era', '2026'], '--era: modern, legacy or both, not "2026"'],
    [['--rounds', '0'], '--rounds: a whole number above 0, not "0"'],
    [['--size', '1e3'], '--size: a whole number above 0, not "1e3"'],
    [['--duration', '2s'], '--duration: seconds, such as 2 or 0.5, not "2s"'],
    [['--warmup', '0'], '--warmup: must be above 0'],
    [['--round', '3'], "Unknown option '--round'"],
    [['http'], "Unexpected argument 'http'"],
  ])('refuses %j', (args, text) => {
    expect(() => optionsOf(args)).toThrow(UsageError);
    expect(() => optionsOf(args)).toThrow(text);
  });
});
