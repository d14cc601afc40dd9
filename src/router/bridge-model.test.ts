import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { Caller } from '../core/caller.ts';
import { sleep } from '../core/clock.ts';
import { TurnpikeError } from '../core/errors.ts';
import type { Exchange } from '../core/exchange.ts';
import { toJson } from '../core/json.ts';
import type { Answer, Era, JsonObject } from '../core/mcp.ts';
import type { ConnectionLease, UpstreamCall } from '../core/ports.ts';
import {
  accept,
  FORM,
  INVALID,
  NOTHING_LEFT,
  type Outcome,
  REPLAY_MS,
  SampleBridge,
  someone,
  TTL_MS,
  turn,
  type UpstreamSide,
  type Visit,
  type VisitOptions,
} from './sample-bridge.ts';
import { errorOf, SampleConnection, SampleConnections } from './sample-services.ts';

/**
 * Random interleavings of calls, rounds, retries of every kind, cancels, expiries, crashes and restarts over both eras (issue
 * "The bridge", "must show" 3). Everything that a call says or asks holds its marker, and so does everything that is answered:
 * whatever turns up elsewhere is a message to the wrong one.
 */

const PEOPLE = { alice: someone('alice', 't1'), bob: someone('bob', 't2'), carol: someone('carol', 't1') } as const;
type Person = keyof typeof PEOPLE;

type Step = 'form' | 'two' | 'keyed' | 'say' | 'wait' | 'link' | 'yield';
type Bend = 'good' | 'partial' | 'broken' | 'arguments' | 'foreign' | 'neighbour' | 'tampered' | 'double' | 'again' | 'other' | 'gone';

type Command =
  | {
      readonly do: 'call';
      readonly who: Person;
      readonly era: Era;
      readonly tool: 'read' | 'write';
      readonly plan: readonly Step[];
      readonly early: boolean;
    }
  | { readonly do: 'retry'; readonly pick: number; readonly bend: Bend; readonly at: number }
  | { readonly do: 'answer'; readonly pick: number; readonly how: 'accept' | 'decline' | 'error' }
  | { readonly do: 'advance'; readonly ms: number }
  | { readonly do: 'hang up'; readonly pick: number }
  | { readonly do: 'crash'; readonly era: Era };

/** Leases that know whose call runs on them, and connections that break together. */
class CrashingConnections extends SampleConnections {
  readonly owners = new WeakMap<UpstreamCall, Caller>();
  #epoch = new AbortController();

  override async lease(upstream: string, caller: Caller, profile: string, signal: AbortSignal): Promise<ConnectionLease> {
    const { connection, release } = await super.lease(upstream, caller, profile, signal);
    const own = Object.assign(Object.create(connection) as SampleConnection, {
      request: (call: UpstreamCall) => {
        this.owners.set(call, caller);
        return connection.request(call);
      },
    });
    return { connection: own, ended: this.#epoch.signal, release };
  }

  crash(connection: SampleConnection): void {
    this.next = [connection];
    const old = this.#epoch;
    this.#epoch = new AbortController();
    old.abort(new TurnpikeError('upstream/lost', 'it crashed', { upstream: 'a' }));
  }
}

interface Call {
  readonly marker: string;
  readonly who: Person;
  readonly options: VisitOptions;
  /** How often the client made it, and how often it was made afresh for it. */
  made: number;
  ran: number;
}

interface Made {
  readonly call: Call;
  readonly visit: Visit;
  /** What it must be answered with, if anything at all. */
  readonly expects?: 'invalid';
  /** Requests with one key must have one outcome. */
  readonly same?: string;
}

interface Asked {
  readonly call: Call;
  readonly state: string;
  readonly keys: readonly string[];
  used?: JsonObject;
}

interface Question {
  readonly call: Call;
  open: boolean;
  readonly signal: AbortSignal;
  settle(answer: Answer): void;
}

const MARKER = /<\d+>/g;
const EVIL = 'EVIL';

class World {
  readonly connections: CrashingConnections;
  readonly bridge: SampleBridge;
  readonly calls: Call[] = [];
  readonly visits: Made[] = [];
  readonly asked: Asked[] = [];
  readonly questions: Question[] = [];
  readonly #seen = new Set<Visit>();
  /** What was wrong at the upstream or at a client that was asked: there it would be an answer like any other. */
  readonly #wrong: unknown[] = [];
  crashes = 0;

  constructor(era: Era) {
    const first = new SampleConnection(era);
    this.connections = new CrashingConnections(first);
    this.bridge = new SampleBridge(era, (side) => this.#noting(() => this.#act(side)), {
      connections: this.connections,
      bridge: { park: { perPrincipal: 2, perUpstream: 3, total: 3 }, maxRounds: 4 },
    });
    first.answer = this.bridge.connection.answer;
  }

  async run(command: Command): Promise<void> {
    if (command.do === 'call') this.#call(command);
    else if (command.do === 'retry') this.#retry(command);
    else if (command.do === 'advance') this.bridge.clock.advance(command.ms);
    else if (command.do === 'crash') this.#crash(command.era);
    else if (command.do === 'answer') this.#answer(command);
    else this.#hangUp(command.pick);
    await turn();
    this.#look();
  }

  /** Everybody leaves and all time runs out. */
  async end(): Promise<void> {
    for (const { visit } of this.visits) if (visit.done() === undefined) visit.gone.abort(new TurnpikeError('request/cancelled'));
    for (let round = 0; round < 3; round++) {
      await turn();
      this.bridge.clock.advance(TTL_MS + REPLAY_MS);
    }
    await turn();
    this.#look();
    expect(this.visits.filter(({ visit }) => visit.done() === undefined)).toEqual([]);
    expect(this.bridge.left()).toEqual(NOTHING_LEFT);
    // Nobody is asked any more.
    for (const { open, signal } of this.questions) expect(open && !signal.aborted).toBe(false);
    // A trusted read may be sent once more when its connection is lost.
    for (const { ran, made, options } of this.calls)
      expect(ran).toBeLessThanOrEqual(options.name === 'x_a_read' && this.crashes > 0 ? 2 * made : made);
    this.#sameAnswers();
  }

  #call({ who, era, tool, plan, early }: Extract<Command, { do: 'call' }>): void {
    const marker = `<${this.calls.length}>`;
    const args = { marker, plan: [...plan] };
    const ask: Exchange['ask'] = (_method, params, signal) => this.#noting(async () => this.#ask(call, params, signal));
    const options: VisitOptions = {
      era,
      caller: PEOPLE[who],
      args,
      name: `x_a_${tool}`,
      progressToken: marker,
      logLevel: 'debug',
      ...(era === 'legacy' ? { ask } : {}),
    };
    const call: Call = { marker, who, options, made: 1, ran: 0 };
    this.calls.push(call);
    this.#add({ call, visit: this.bridge.visit({ ...options, ...(early ? { more: { inputResponses: { k: accept(`${who}${marker}`) } } } : {}) }) });
  }

  #retry({ pick, bend, at }: Extract<Command, { do: 'retry' }>): void {
    const asked = this.asked[pick % Math.max(1, this.asked.length)];
    if (asked === undefined) return;
    const { call, state, keys } = asked;
    const good = Object.fromEntries(keys.map((key) => [key, accept(`${call.who}${call.marker}`)]));
    const evil = Object.fromEntries(keys.map((key) => [key, accept(`${EVIL}${call.marker}`)]));
    const go = (responses: JsonObject, more: VisitOptions = {}, rest: Partial<Made> = {}, own = state) =>
      this.#add({ call, visit: this.bridge.retry(own, responses, { ...call.options, ...more }), ...rest });
    const isParked = keys.some((key) => key.startsWith('r') || key === 'k');
    // A call made afresh after a link is one more that the client makes.
    const isRecall = keys.some((key) => key.startsWith('u'));
    const use = (responses: JsonObject, more: VisitOptions = {}) => {
      const isSame = asked.used === undefined || JSON.stringify(asked.used) === JSON.stringify(responses);
      asked.used ??= responses;
      if (isRecall) call.made++;
      go(responses, more, isParked ? (isSame ? { same: state } : { expects: 'invalid' }) : {});
    };
    const others = (Object.keys(PEOPLE) as Person[]).filter((one) => one !== call.who);
    const bent = `${state.slice(0, 4 + (at % (state.length - 4)))}${state[4 + (at % (state.length - 4))] === 'A' ? 'B' : 'A'}${state.slice(5 + (at % (state.length - 4)))}`;
    if (bend === 'good') use(good);
    else if (bend === 'partial') use(Object.fromEntries(Object.entries(good).slice(1)));
    else if (bend === 'broken') use(Object.fromEntries(keys.map((key) => [key, { action: 'accept', content: { word: 7 } }])));
    else if (bend === 'other') use(Object.fromEntries(keys.map((key) => [key, { action: 'decline' }])));
    else if (bend === 'again') use(asked.used ?? good);
    else if (bend === 'gone') {
      if (isRecall) call.made++;
      go(good, { signal: AbortSignal.abort(new TurnpikeError('request/cancelled')) });
    } else if (bend === 'arguments') go(evil, { args: { ...call.options.args, plan: [] } }, { expects: 'invalid' });
    else if (bend === 'foreign') go(evil, { caller: PEOPLE[others[at % 2] ?? 'bob'] }, { expects: 'invalid' });
    else if (bend === 'neighbour') go(evil, { caller: { ...PEOPLE[call.who], tenant: 't3' } }, { expects: 'invalid' });
    else if (bend === 'tampered') go(evil, {}, { expects: 'invalid' }, bent);
    else {
      use(asked.used ?? good);
      use(asked.used ?? good);
    }
  }

  #ask(call: Call, params: Buffer, signal: AbortSignal): Promise<Answer> {
    expect(params.toString().match(MARKER)).toEqual([call.marker]);
    return new Promise((resolve) => {
      const question: Question = {
        call,
        signal,
        open: true,
        settle: (answer) => {
          question.open = false;
          resolve(answer);
        },
      };
      signal.addEventListener('abort', () => question.settle(errorOf(-32603, 'nobody')));
      this.questions.push(question);
    });
  }

  #answer({ pick, how }: Extract<Command, { do: 'answer' }>): void {
    const open = this.questions.filter((one) => one.open);
    const question = open[pick % Math.max(1, open.length)];
    if (question === undefined) return;
    const { who, marker } = question.call;
    if (how === 'error') question.settle(errorOf(-1, 'rejected'));
    else question.settle({ kind: 'result', result: toJson(how === 'accept' ? accept(`${who}${marker}`) : { action: 'decline' }) });
  }

  #hangUp(pick: number): void {
    const waiting = this.visits.filter(({ visit }) => visit.done() === undefined);
    waiting[pick % Math.max(1, waiting.length)]?.visit.gone.abort(new TurnpikeError('request/cancelled'));
  }

  #crash(era: Era): void {
    this.crashes++;
    const connection = new SampleConnection(era);
    connection.answer = this.bridge.connection.answer;
    this.connections.crash(connection);
  }

  #add(made: Made): void {
    this.visits.push(made);
  }

  /** What every client got so far: nothing that is not its own. */
  #look(): void {
    expect(this.#wrong).toEqual([]);
    for (const { call, visit, expects } of this.visits) {
      const done = visit.done();
      const words = JSON.stringify([visit.told, done]).match(MARKER) ?? [];
      expect(words.filter((word) => word !== call.marker)).toEqual([]);
      if (done === undefined || this.#seen.has(visit)) continue;
      this.#seen.add(visit);
      if (expects === 'invalid') {
        expect(words).toEqual([]);
        if (done.code !== 'request/cancelled') expect(done.error).toEqual(INVALID);
      }
      const { resultType, requestState, inputRequests = {} } = done.result;
      // A repeated retry is answered with the state that is known already.
      const isNew = !this.asked.some(({ state }) => state === requestState);
      if (resultType === 'input_required' && isNew)
        this.asked.push({ call, state: String(requestState), keys: Object.keys(inputRequests as JsonObject) });
    }
    expect(this.bridge.parking.size).toBeLessThanOrEqual(3);
  }

  /** The same retry has the same answer, but for one that came too late or left. */
  #sameAnswers(): void {
    const known = new Map<string, Outcome>();
    for (const { visit, same } of this.visits) {
      const done = visit.done();
      if (same === undefined || done === undefined || done.code === 'request/cancelled' || done.code === 'state/invalid') continue;
      expect(done).toEqual(known.get(same) ?? done);
      known.set(same, done);
    }
  }

  async #noting<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if ((error as Error).name === 'AssertionError') this.#wrong.push(error);
      throw error;
    }
  }

  async #act(side: UpstreamSide): Promise<Answer | JsonObject> {
    const { marker, plan } = side.args as { marker: string; plan: Step[] };
    const call = this.calls.find((one) => one.marker === marker);
    if (call === undefined) throw new Error('a call nobody made');
    expect(this.connections.owners.get(side.call)).toBe(PEOPLE[call.who]);
    const { requestState, inputResponses } = JSON.parse(side.call.params.toString()) as JsonObject;
    const era = (this.connections.next[0] as SampleConnection).era;
    if (era === 'legacy') return this.#actLegacy(side, call, plan);
    return this.#actModern(side, call, plan, requestState as string | undefined, inputResponses as JsonObject | undefined);
  }

  async #actLegacy(side: UpstreamSide, call: Call, plan: readonly Step[]): Promise<Answer | JsonObject> {
    const isFirst = call.ran++ === 0;
    for (const step of plan) {
      await this.#plain(side, call, step);
      const heard =
        step === 'form'
          ? [await side.form(`${call.marker} word?`)]
          : step === 'two'
            ? await Promise.all([side.form(`${call.marker} one?`), side.form(`${call.marker} two?`)])
            : step === 'keyed'
              ? [await side.form(`${call.marker} word?`, 'k')]
              : [];
      for (const one of heard) this.#check(call, one);
      if (step === 'link' && isFirst)
        return errorOf(-32042, 'open', { elicitations: [{ mode: 'url', message: call.marker, url: 'https://example.com/', elicitationId: 'e' }] });
    }
    return { content: [{ type: 'text', text: `${call.marker} done` }] };
  }

  async #actModern(
    side: UpstreamSide,
    call: Call,
    plan: readonly Step[],
    state: string | undefined,
    responses: JsonObject = {},
  ): Promise<Answer | JsonObject> {
    const at = state === undefined ? 0 : (JSON.parse(state) as { marker: string; at: number }).at;
    if (state === undefined) call.ran++;
    else expect(JSON.parse(state)).toEqual({ marker: call.marker, at });
    for (const one of Object.values(responses)) this.#check(call, one as JsonObject);
    for (const [index, step] of plan.entries()) {
      if (index < at) continue;
      await this.#plain(side, call, step);
      if (step !== 'form' && step !== 'two' && step !== 'keyed') continue;
      const form = { method: 'elicitation/create', params: { mode: 'form', message: `${call.marker} word?`, requestedSchema: FORM } };
      const inputRequests = step === 'two' ? { q: form, p: form } : { q: form };
      return { resultType: 'input_required', inputRequests, requestState: JSON.stringify({ marker: call.marker, at: index + 1 }) };
    }
    return { resultType: 'complete', content: [{ type: 'text', text: `${call.marker} done` }] };
  }

  async #plain(side: UpstreamSide, { marker }: Call, step: Step): Promise<void> {
    if (step === 'yield') await Promise.resolve();
    if (step === 'wait') await sleep(this.bridge.clock, 1_000, side.call.signal);
    if (step !== 'say') return;
    side.call.relay.notification('notifications/progress', toJson({ progress: 1, message: marker }));
    side.call.relay.notification('notifications/message', toJson({ level: 'error', data: marker }));
  }

  /** An answer is the caller's own, or one that says nothing. */
  #check(call: Call, { action, content, error }: JsonObject): void {
    if (action === 'accept') expect([`${call.who}${call.marker}`, 7]).toContain((content as JsonObject).word);
    else expect(error !== undefined || action === 'decline' || action === 'cancel').toBe(true);
  }
}

const era = fc.constantFrom<Era>('legacy', 'modern');
const step = fc.constantFrom<Step>('form', 'form', 'form', 'two', 'keyed', 'say', 'wait', 'link', 'yield');
const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('call' as const),
      who: fc.constantFrom<Person>('alice', 'bob', 'carol'),
      era: fc.constantFrom<Era>('modern', 'modern', 'legacy'),
      tool: fc.constantFrom('read' as const, 'write' as const),
      plan: fc.array(step, { maxLength: 5 }),
      early: fc.boolean(),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('retry' as const),
      pick: fc.nat(50),
      bend: fc.constantFrom<Bend>(
        'good',
        'good',
        'good',
        'partial',
        'broken',
        'arguments',
        'foreign',
        'neighbour',
        'tampered',
        'double',
        'again',
        'other',
        'gone',
      ),
      at: fc.nat(5_000),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('answer' as const),
      pick: fc.nat(50),
      how: fc.constantFrom('accept' as const, 'decline' as const, 'error' as const),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({ do: fc.constant('advance' as const), ms: fc.constantFrom(25, 25, 25, 250, 1_000, 59_000, REPLAY_MS, TTL_MS) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('hang up' as const), pick: fc.nat(50) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('crash' as const), era }) },
);

it('nobody gets what is another\u2019s, no call runs twice, nothing is left', async () => {
  await fc.assert(
    fc.asyncProperty(era, fc.array(command, { minLength: 10, maxLength: 80, size: 'max' }), async (first, commands) => {
      const world = new World(first);
      for (const one of commands) await world.run(one);
      await world.end();
    }),
    { numRuns: 150 },
  );
}, 120_000);
