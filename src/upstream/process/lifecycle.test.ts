import { PassThrough, Writable } from 'node:stream';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ManualClock } from '../../core/manual-clock.ts';
import { ChildProcess, type GroupRegistry } from './child.ts';
import type { ExitStatus, LaunchedProcess, LaunchOptions, ProcessHost } from './process-host.ts';
import { StdioTransport } from './stdio-transport.ts';

/** How a fake child and what it started behave. */
interface Nature {
  readonly endsWithStdin: boolean;
  readonly deafLeader: boolean;
  readonly deafRest: boolean;
  /** Grandchildren in the group. */
  readonly rest: number;
  /** Dead grandchildren that nobody waits for. */
  readonly zombies: boolean;
  /** A process outside the group that keeps stdout open. */
  readonly leaksStdout: boolean;
  readonly reads: boolean;
  /** The system knows of the exit long before we are told. */
  readonly lateNews: boolean;
}

/** One fake process group and the machine around it, on the clock of the test. */
class FakeHost implements ProcessHost, GroupRegistry {
  readonly listed = new Set<number>();
  readonly signals: string[] = [];
  leaderAlive = false;
  /** Waited for by the system: its group takes no signals any more, and a turn later we are told. */
  reaped = false;
  waitedFor = false;
  restAlive = 0;
  launches = 0;
  pipes: LaunchedProcess | undefined;
  /** Set when a signal was sent to a group that had been seen empty: it could be somebody else's by now. */
  signalledStranger = false;
  listing: PromiseWithResolvers<void> | undefined;
  readonly #nature: Nature;
  readonly #launches: 'runs' | 'throws';
  #seenEmpty = false;
  #onExit: (status: ExitStatus) => void = () => {};

  constructor(nature: Nature, launches: 'runs' | 'throws', slowReaper: boolean) {
    this.#nature = nature;
    this.#launches = launches;
    if (slowReaper) this.listing = Promise.withResolvers();
  }

  start(): Promise<void> {
    return this.listing?.promise ?? Promise.resolve();
  }

  add(pgid: number): void {
    this.listed.add(pgid);
  }

  remove(pgid: number): void {
    this.listed.delete(pgid);
  }

  launch(_options: LaunchOptions, { onError, onExit }: { onError: (error: Error) => void; onExit: (status: ExitStatus) => void }) {
    this.launches++;
    if (this.#launches === 'throws') {
      queueMicrotask(() => onError(Object.assign(new Error('spawn x ENOENT'), { code: 'ENOENT' })));
      return undefined;
    }
    this.#onExit = onExit;
    this.leaderAlive = true;
    this.restAlive = this.#nature.rest;
    const stdin = new Writable({
      write: (_chunk, _encoding, done) => {
        if (this.#nature.reads) setImmediate(done);
      },
      final: (done) => {
        done();
        if (this.#nature.endsWithStdin) this.exit({ code: 0, signal: null });
      },
    });
    this.pipes = { pid: 4711, stdin, stdout: new PassThrough(), stderr: new PassThrough() };
    return this.pipes;
  }

  exit(status: ExitStatus): void {
    if (!this.leaderAlive) return;
    this.leaderAlive = false;
    this.pipes?.stderr.push(null);
    if (!this.#nature.leaksStdout && this.restAlive === 0) this.pipes?.stdout.push(null);
    setImmediate(() => {
      this.reaped = true;
      void turns(this.#nature.lateNews ? 10 : 1).then(() => {
        this.waitedFor = true;
        this.#onExit(status);
      });
    });
  }

  signalGroup(pgid: number, signal: NodeJS.Signals | 0): boolean {
    expect(pgid).toBe(4711);
    if (this.#seenEmpty) this.signalledStranger = true;
    if (signal !== 0) this.signals.push(signal);
    if (signal === 'SIGKILL' || (signal === 'SIGTERM' && !this.#nature.deafRest)) this.restAlive = 0;
    if (signal === 'SIGKILL' || (signal === 'SIGTERM' && !this.#nature.deafLeader)) this.exit({ code: null, signal });
    const answers = !this.reaped || this.restAlive > 0 || (this.#nature.zombies && this.#nature.rest > 0);
    if (!answers) this.#seenEmpty = true;
    return answers;
  }

  async onlyZombies(): Promise<boolean> {
    return this.restAlive === 0 && !this.leaderAlive;
  }
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

async function turns(count: number): Promise<void> {
  for (let index = 0; index < count; index++) await turn();
}

const settle = () => turns(4);

async function pass(clock: ManualClock, ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= 250) {
    clock.advance(Math.min(250, left));
    await settle();
  }
}

const DEEDS = ['open', 'abort', 'list', 'send', 'crash', 'endStdout', 'breakStdin', 'line', 'flood', 'close', 'wait'] as const;

interface Step {
  readonly do: (typeof DEEDS)[number];
  /** For `wait`. */
  readonly ms?: number;
  /** What happens before the next step: everything that can, or only so many turns of the promise queue. */
  readonly gap?: 'settle' | number;
}

const gap = fc.oneof(fc.constant('settle' as const), fc.nat(8));
const step: fc.Arbitrary<Step> = fc.record({ do: fc.constantFrom(...DEEDS), ms: fc.integer({ min: 1, max: 3_000 }), gap });
// Most of what can happen happens to a transport that was opened.
const history: fc.Arbitrary<Step[]> = fc
  .tuple(fc.constantFrom<Step['do']>('open', 'open', 'open', 'close', 'abort', 'send'), gap, fc.array(step, { maxLength: 8 }))
  .map(([first, pace, rest]) => [{ do: first, gap: pace }, ...rest]);

const nature: fc.Arbitrary<Nature> = fc.record({
  endsWithStdin: fc.boolean(),
  deafLeader: fc.boolean(),
  deafRest: fc.boolean(),
  rest: fc.nat(2),
  zombies: fc.boolean(),
  leaksStdout: fc.boolean(),
  reads: fc.boolean(),
  lateNews: fc.boolean(),
});

/** Runs one history, ends it with a close, and checks what must hold after every history. */
async function run(kind: Nature, launches: 'runs' | 'throws', slowReaper: boolean, steps: readonly Step[]) {
  const clock = new ManualClock();
  const host = new FakeHost(kind, launches, slowReaper);
  const transport = new StdioTransport({ name: 'S', command: 'x', args: [], env: {}, cwd: '/' }, { clock, reaper: host, host, environment: {} });
  const abort = new AbortController();
  const sending = new AbortController();
  const outcomes: Promise<unknown>[] = [];
  const closings: Promise<void>[] = [];
  const events: string[] = [];
  let opening = 0;
  let opens: 'ok' | 'failed' | undefined;
  transport.onMessage = () => events.push('message');
  transport.onClose = () => events.push('close');

  const act = async (name: Step['do'], ms: number) => {
    if (name === 'wait') return pass(clock, ms);
    if (name === 'open') {
      opening++;
      const opened = transport.open(abort.signal).then(
        () => (opens = 'ok'),
        () => (opens ??= 'failed'),
      );
      outcomes.push(opened.finally(() => opening--));
    } else if (name === 'send') {
      outcomes.push(transport.send(Buffer.from('{}'), { signal: sending.signal, expectsAnswer: true }).catch((error) => error));
    } else if (name === 'close') {
      closings.push(transport.close().then(() => void events.push(host.pipes === undefined || host.waitedFor ? 'closed' : 'closed too early')));
      events.push('closing');
    } else if (name === 'abort') abort.abort(new Error('aborted'));
    else if (name === 'list') host.listing?.resolve();
    else if (name === 'crash') host.exit({ code: null, signal: 'SIGSEGV' });
    else if (name === 'endStdout') host.pipes?.stdout.push(null);
    else if (name === 'breakStdin') host.pipes?.stdin.destroy(new Error('EPIPE'));
    else if (name === 'line') host.pipes?.stdout.emit('data', Buffer.from('{}\n'));
    else if (name === 'flood') host.pipes?.stdout.emit('data', Buffer.alloc(16 * 1024 * 1024 + 2));
  };
  for (const { do: name, ms = 0, gap: pace = 'settle' } of steps) {
    await act(name, ms);
    if (pace === 'settle') await settle();
    else for (let index = 0; index < pace; index++) await Promise.resolve();
  }

  if (closings.length === 0) {
    await pass(clock, 15_000);
    // Whatever ended an open transport without us was said, and what it left was killed without being asked.
    if (opens === 'ok' && host.waitedFor) expect(events.filter((event) => event === 'close')).toEqual(['close']);
    if (opens !== 'ok' || events.includes('close'))
      expect([host.leaderAlive, host.restAlive, host.listed.size, clock.pending]).toEqual([false, 0, 0, 0]);
  }
  await act('close', 0);
  // Nobody waits for a start that will not be; the words for a failed one are found by looking at real files.
  for (const end = performance.now() + 5_000; opening > 0 && performance.now() < end; ) await turn();
  expect(opening).toBe(0);
  host.listing?.resolve();
  await pass(clock, 15_000);
  sending.abort(new Error('deadline'));
  await Promise.all([...closings, ...outcomes]);
  await transport.close();

  expect(events).not.toContain('closed too early');
  expect(host.launches).toBeLessThanOrEqual(1);
  expect(host.leaderAlive).toBe(false);
  expect(host.restAlive).toBe(0);
  expect(host.pipes === undefined || host.waitedFor).toBe(true);
  expect([...host.listed]).toEqual([]);
  expect(host.signalledStranger).toBe(false);
  expect(clock.pending).toBe(0);
  for (const pipe of host.pipes ? [host.pipes.stdin, host.pipes.stdout, host.pipes.stderr] : []) expect(pipe.destroyed).toBe(true);
  // Said once at most, only of a transport that was open, and never after `close` was called.
  expect(events.filter((event) => event === 'close').length).toBeLessThanOrEqual(opens === 'ok' ? 1 : 0);
  const closing = events.indexOf('closing');
  expect(events.slice(closing).filter((event) => event === 'close' || event === 'message')).toEqual([]);
  if (events.includes('close')) expect(events.slice(events.indexOf('close')).includes('message')).toBe(false);
  // TERM before KILL, and each TERM once.
  expect(host.signals.filter((signal) => signal === 'SIGTERM').length).toBeLessThanOrEqual(1);
  if (host.signals.includes('SIGKILL')) expect(host.signals[0]).toBe('SIGTERM');
  return { events, host, clock, opens };
}

test('whatever happens in whatever order: one launch, one end, everything gone, nothing left', async () => {
  await fc.assert(
    fc.asyncProperty(
      nature,
      fc.constantFrom('runs' as const, 'runs' as const, 'runs' as const, 'throws' as const),
      fc.constantFrom(false, false, true),
      history,
      async (kind, launches, slowReaper, steps) => {
        await run(kind, launches, slowReaper, steps);
      },
    ),
    { numRuns: 1_000 },
  );
}, 60_000);

const calm: Nature = {
  endsWithStdin: true,
  deafLeader: false,
  deafRest: false,
  rest: 0,
  zombies: false,
  leaksStdout: false,
  reads: true,
  lateNews: false,
};

test.each<[string, Partial<Nature>, Step['do']]>([
  ['a crash', {}, 'crash'],
  ['a crash with deaf grandchildren', { rest: 2, deafRest: true }, 'crash'],
  ['a crash while somebody outside keeps its stdout', { leaksStdout: true }, 'crash'],
  ['a closed stdout', { endsWithStdin: false, deafLeader: true }, 'endStdout'],
  ['a closed stdin', { endsWithStdin: false, deafLeader: true }, 'breakStdin'],
  ['a line above the limit', { endsWithStdin: false, deafLeader: true }, 'flood'],
])('%s closes exactly once, and kills without being asked', async (_name, kind, what) => {
  const { events } = await run({ ...calm, ...kind }, 'runs', false, [{ do: 'open' }, { do: what }, { do: 'wait', ms: 10_000 }]);
  expect(events).toEqual(['close', 'closing', 'closed']);
});

test('the ladder: stdin at once, TERM after 2 s, KILL 5 s later, and close waits for the exit', async () => {
  const clock = new ManualClock();
  const host = new FakeHost({ ...calm, endsWithStdin: false, deafLeader: true, deafRest: true, rest: 1 }, 'runs', false);
  const transport = new StdioTransport({ name: 'S', command: 'x', args: [], env: {}, cwd: '/' }, { clock, reaper: host, host, environment: {} });
  await transport.open(new AbortController().signal);
  let done = false;
  const closing = transport.close().then(() => {
    done = true;
  });
  await settle();
  expect(host.pipes?.stdin.writableEnded).toBe(true);
  await pass(clock, 1_999);
  expect(host.signals).toEqual([]);
  await pass(clock, 1);
  expect(host.signals).toEqual(['SIGTERM']);
  await pass(clock, 4_999);
  expect(host.signals).toEqual(['SIGTERM']);
  expect(done).toBe(false);
  await pass(clock, 1_001);
  expect(host.signals[1]).toBe('SIGKILL');
  await closing;
  expect(host.waitedFor).toBe(true);
  expect(clock.pending).toBe(0);
});

test.each([
  ['the last lines come after the exit', 'line', ['message', 'close']],
  ['we close while the last lines may still come', 'close', ['closing', 'closed']],
] as const)('%s', async (_name, what, expected) => {
  const { events } = await run({ ...calm, leaksStdout: true }, 'runs', false, [
    { do: 'open' },
    { do: 'crash' },
    { do: what },
    { do: 'wait', ms: 2_000 },
  ]);
  expect(events.slice(0, 2)).toEqual(expected);
});

test('a child on its own is ended with its group when it crashes, and is not started after a stop', async () => {
  const clock = new ManualClock();
  const host = new FakeHost({ ...calm, rest: 1, deafRest: true }, 'runs', false);
  const child = new ChildProcess({ clock, reaper: host, host });
  const options = { command: 'x', args: [], env: {}, cwd: '/' };
  await child.start(options);
  expect([...host.listed]).toEqual([4711]);
  host.exit({ code: 5, signal: null });
  await pass(clock, 9_000);
  expect(child.status).toEqual({ code: 5, signal: null });
  expect([host.restAlive, host.listed.size, clock.pending]).toEqual([0, 0, 0]);
  const stopped = new ChildProcess({ clock, reaper: host, host });
  await stopped.stop();
  await expect(stopped.start(options)).rejects.toThrow('stopped');
  expect(host.launches).toBe(1);
});

test('orphans that nobody waits for do not hold up a stop', async () => {
  const { host, clock } = await run({ ...calm, rest: 1, zombies: true }, 'runs', false, [{ do: 'open' }, { do: 'close' }, { do: 'wait', ms: 1_000 }]);
  expect(host.signals).toEqual(['SIGTERM']);
  expect(clock.pending).toBe(0);
});
