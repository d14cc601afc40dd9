import fc from 'fast-check';
import { expect, it } from 'vitest';
import { ManualClock } from '../../../core/manual-clock.ts';
import { SampleGitLab } from './sample-gitlab.ts';
import { ServerPool } from './server-pool.ts';
import type { ServerLease } from './server-pool-options.ts';

/** Whatever happens in whatever order: nobody gets another's server, nothing is lost, nothing leaks. */

const USERS = 3;
const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

interface Server {
  readonly subject: string;
  disposed: boolean;
}

type Step =
  | { readonly kind: 'lease' | 'get' | 'abort' | 'revoke' | 'restore' | 'call'; readonly user: number; readonly variant: number }
  | { readonly kind: 'release' | 'tick' | 'outage' | 'hang' | 'heal'; readonly amount: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: userStep('lease') },
  { weight: 6, arbitrary: userStep('get') },
  { weight: 2, arbitrary: userStep('abort') },
  { weight: 3, arbitrary: userStep('revoke') },
  { weight: 1, arbitrary: userStep('restore') },
  { weight: 5, arbitrary: userStep('call') },
  { weight: 6, arbitrary: amountStep('release', 8) },
  { weight: 4, arbitrary: amountStep('tick', 1_000_000) },
  { weight: 1, arbitrary: amountStep('outage', 1) },
  { weight: 1, arbitrary: amountStep('hang', 1) },
  { weight: 3, arbitrary: amountStep('heal', 1) },
);

function userStep(kind: 'lease' | 'get' | 'abort' | 'revoke' | 'restore' | 'call'): fc.Arbitrary<Step> {
  return fc.record({ kind: fc.constant(kind), user: fc.integer({ min: 1, max: USERS }), variant: fc.nat(1) });
}

function amountStep(kind: 'release' | 'tick' | 'outage' | 'hang' | 'heal', max: number): fc.Arbitrary<Step> {
  return fc.record({ kind: fc.constant(kind), amount: fc.nat(max) });
}

class Model {
  readonly clock = new ManualClock();
  readonly gitlab = new SampleGitLab();
  readonly made: Server[] = [];
  readonly leases: ServerLease<Server>[] = [];
  readonly waiting = new Set<Promise<void>>();
  /** Servers that somebody got who should not have. */
  readonly wrong: unknown[] = [];
  readonly callers = new Map<string, AbortController>();
  readonly pool: ServerPool<Server & { call(): Promise<unknown> }>;

  constructor(maxSize: number) {
    this.pool = new ServerPool<Server & { call(): Promise<unknown> }>(
      {},
      async (client, { principal }) => {
        const server = {
          subject: principal.subject,
          disposed: false,
          call: () => client.request({ path: '/x', signal: new AbortController().signal }),
        };
        this.made.push(server);
        return server;
      },
      {
        clock: this.clock,
        random: () => 0.5,
        maxSize,
        clients: this.gitlab.clients,
        dispose: (server) => {
          expect(server.disposed).toBe(false);
          server.disposed = true;
        },
      },
    );
    this.pool.startRevalidation(new AbortController().signal);
  }

  async run(one: Step): Promise<void> {
    if ('user' in one) this.#act(one.kind, one.user, one.variant);
    else if (one.kind === 'tick') await this.clock.advanceAsync(one.amount, Math.max(1, Math.ceil(one.amount / 5)));
    else if (one.kind === 'release') this.leases.splice(one.amount, 1)[0]?.release();
    else if (one.kind === 'heal') this.gitlab.override = undefined;
    else this.gitlab.override = one.kind === 'hang' ? () => 'hang' : () => ({ nonsense: true });
    await settle();
    this.check();
  }

  #act(kind: string, user: number, variant: number): void {
    const name = `${user} ${variant}`;
    const known = `glpat-${'ab'[variant]?.repeat(4)}${String(user).padStart(16, '0')}`;
    const token = kind === 'restore' ? this.gitlab.token(user, 'ab'[variant]) : known;
    if (kind === 'revoke') this.gitlab.users.delete(token);
    else if (kind === 'abort') this.callers.get(name)?.abort(new Error('left'));
    else if (kind === 'lease' || kind === 'get' || kind === 'call') {
      const caller = new AbortController();
      this.callers.set(name, caller);
      const options = { signal: caller.signal };
      const work = kind === 'lease' ? this.#lease(token, String(user), options) : this.#get(token, String(user), kind === 'call', options);
      const ended = work.catch(() => {}).then(() => void this.waiting.delete(ended));
      this.waiting.add(ended);
    }
  }

  async #lease(token: string, subject: string, options: { readonly signal: AbortSignal }): Promise<void> {
    const lease = await this.pool.lease(token, options);
    this.leases.push(lease);
    this.#judge(lease.server, subject);
    this.#judge({ ...lease.server, subject: lease.identity.principal.subject }, subject);
  }

  async #get(token: string, subject: string, calls: boolean, options: { readonly signal: AbortSignal }): Promise<void> {
    const server = await this.pool.getOrCreate(token, options);
    this.#judge(server, subject);
    if (calls) await server.call();
  }

  #judge({ subject, disposed }: Server, wanted: string): void {
    if (disposed || subject !== wanted) this.wrong.push({ subject, disposed, wanted });
  }

  check(): void {
    expect(this.wrong).toEqual([]);
    const { current_size: size, max_size: max, hits, misses } = this.pool.stats();
    expect(size).toBeLessThanOrEqual(max);
    expect(this.gitlab.running).toBeLessThanOrEqual(16 + 8 + this.waiting.size);
    // A server that is in use ends only when GitLab does not take its credential any more.
    for (const { server, signal } of this.leases) expect(server.disposed && !signal.aborted).toBe(false);
    // Every server is handed out, still used, or ended.
    const living = this.made.filter(({ disposed }) => !disposed).length;
    expect(living).toBeLessThanOrEqual(size + this.leases.length);
    expect(hits + misses).toBeGreaterThanOrEqual(size);
  }

  async end(): Promise<void> {
    for (const lease of this.leases.splice(0)) lease.release();
    await this.pool.close(AbortSignal.abort(new Error('the end')));
    for (const request of this.gitlab.requests) request.answer({ id: 1 });
    await Promise.all(this.waiting);
    await settle();
    expect(this.made.every(({ disposed }) => disposed)).toBe(true);
    expect([this.clock.pending, this.gitlab.running, this.pool.size()]).toEqual([0, 0, 0]);
  }
}

it('keeps its promises in any order of events', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 4 }), fc.array(step, { minLength: 5, maxLength: 60 }), async (maxSize, steps) => {
      const model = new Model(maxSize);
      for (let user = 1; user <= USERS; user++) for (const name of 'ab') model.gitlab.token(user, name);
      for (const one of steps) await model.run(one);
      await model.end();
    }),
    { numRuns: 200 },
  );
}, 60_000);

it('whoever leaves at whatever moment leaves nothing behind', async () => {
  for (let moment = 0; moment < 40; moment++) {
    const model = new Model(2);
    const caller = new AbortController();
    const token = model.gitlab.token(1);
    const outcome = model.pool.lease(token, { signal: caller.signal }).then(
      (lease) => lease.release(),
      (error: unknown) => expect(error).toEqual(new Error('left')),
    );
    for (let turn = 0; turn < moment; turn++) await Promise.resolve();
    caller.abort(new Error('left'));
    await outcome;
    await settle();
    expect(model.made.filter(({ disposed }) => !disposed)).toHaveLength(model.pool.size());
    await model.end();
  }
});
