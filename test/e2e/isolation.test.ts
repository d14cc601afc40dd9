import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isJsonObject, type JsonObject } from '../../src/core/mcp.ts';
import { answerIn, modernRequest, post, RawSession, type Reply } from './raw-client.ts';
import { logOf, Rig, type RunningServer } from './rig.ts';

/**
 * Many callers at once, all with the same JSON-RPC ids and the same progress token, at upstreams of both eras that say in
 * everything whose call it is, behind a pool that is far too small for them. `FC_SEED` and `FC_RUNS` repeat or extend a run.
 */
const RUNS = Number(process.env.FC_RUNS ?? 3);
const SEED = process.env.FC_SEED === undefined ? undefined : Number(process.env.FC_SEED);

/**
 * `scoped`: a connection serves one session or principal only. `exact`: what is said during a call names it by its stream;
 * a log line on a pipe names no call, so there it may reach another call of the same caller.
 */
const UPSTREAMS = [
  { name: 'mh', scoped: false, exact: true },
  { name: 'ms', scoped: true, exact: false },
  { name: 'lh', scoped: true, exact: true },
  { name: 'ls', scoped: true, exact: false },
  { name: 'all', scoped: false, exact: false },
] as const;
const TOKENS = { a1: 'token-of-a1', a2: 'token-of-a2', b1: 'token-of-b1' } as const;
type Token = keyof typeof TOKENS;
/** Who calls: without a session, or with one whose client can be asked or not. */
const CALLERS = [
  { token: 'a1', session: false, asks: false },
  { token: 'a2', session: false, asks: false },
  { token: 'b1', session: false, asks: false },
  { token: 'a1', session: true, asks: true },
  { token: 'a1', session: true, asks: false },
  { token: 'a2', session: true, asks: true },
  { token: 'b1', session: true, asks: true },
] as const satisfies readonly { token: Token; session: boolean; asks: boolean }[];

interface Action {
  readonly caller: number;
  readonly upstream: number;
  readonly startMs: number;
  readonly delayMs: number;
  readonly steps: number;
  readonly fate: 'answer' | 'ask' | 'cancel' | 'crash';
}

const action: fc.Arbitrary<Action> = fc.record({
  caller: fc.nat(CALLERS.length - 1),
  upstream: fc.nat(UPSTREAMS.length - 1),
  startMs: fc.nat(60),
  delayMs: fc.nat(40),
  steps: fc.nat(3),
  fate: fc.oneof(
    { weight: 6, arbitrary: fc.constant('answer' as const) },
    { weight: 3, arbitrary: fc.constant('ask' as const) },
    { weight: 2, arbitrary: fc.constant('cancel' as const) },
    { weight: 1, arbitrary: fc.constant('crash' as const) },
  ),
});
const scenario = fc.record({
  actions: fc.array(action, { minLength: 20, maxLength: 40 }),
  /** A session that is ended in the middle, by its place among the callers. */
  deleted: fc.option(fc.record({ caller: fc.integer({ min: 3, max: CALLERS.length - 1 }), afterMs: fc.nat(80) }), { nil: undefined }),
});

/** Everybody everywhere, asking where it can; so that nothing the property looks at is missing from a run. */
const everybody = {
  actions: CALLERS.flatMap(({ asks }, caller) =>
    UPSTREAMS.map((_, upstream): Action => ({ caller, upstream, startMs: upstream, delayMs: 20, steps: 2, fate: asks ? 'ask' : 'answer' })),
  ).concat([{ caller: 3, upstream: 3, startMs: 30, delayMs: 10, steps: 1, fate: 'crash' }]),
  deleted: undefined,
};

/** One call as its caller saw it. */
interface Seen {
  readonly action: Action;
  readonly marker: string;
  readonly number: number;
  readonly id: number;
  /** All that came back for it; undefined when the request was cut. */
  reply: Reply | undefined;
  readonly messages: JsonObject[];
}

let rig: Rig;
let servers: RunningServer[];
let counter = 0;

beforeAll(async () => {
  rig = await Rig.make();
  servers = await Promise.all([rig.serve('modern'), rig.serve('legacy')]);
  const [modern, legacy] = servers;
  const stdio = (name: string, server: 'modern' | 'legacy', more: JsonObject = {}) => {
    const entry = rig.stdio(name, server, more);
    return { ...entry, env: { ...(entry.env as JsonObject), FIXTURE_LOG: join(rig.folder, 'children.jsonl') } };
  };
  await rig.start({
    auth: {
      modes: ['static'],
      static: Object.entries(TOKENS).map(([name, token]) => ({ name, token, tenant: name.slice(0, 1) })),
    },
    // Everybody's connections do not fit: idle ones are evicted all the time.
    pool: { limits: { total: 10, stdio: 6 } },
    upstreams: [
      { name: 'mh', type: 'streamable-http', url: modern?.url() },
      stdio('ms', 'modern'),
      { name: 'lh', type: 'streamable-http', url: legacy?.url() },
      stdio('ls', 'legacy'),
      stdio('all', 'legacy', { sharing: 'shared' }),
    ],
  });
});
afterAll(() => rig?.[Symbol.asyncDispose]());

describe('isolation', () => {
  it('brings every answer, notification, progress event and question to its caller, and runs every call at most once', async () => {
    const totals = { calls: 0, answers: 0, progress: 0, logs: 0, questions: 0, lost: 0 };
    await fc.assert(
      fc.asyncProperty(scenario, async ({ actions, deleted }) => {
        const { calls, sessions } = await play(actions, deleted);
        const runs = await runsOf();
        for (const call of calls) check(call, runs, totals);
        checkStanding(sessions, calls);
        checkConnections(runs, calls);
        for (const session of sessions.values()) await session.end();
      }),
      { numRuns: RUNS, endOnFailure: true, examples: [[everybody]], ...(SEED === undefined ? {} : { seed: SEED }) },
    );
    // The property says nothing if nothing was heard.
    for (const [what, count] of Object.entries(totals)) expect(count, what).toBeGreaterThan(0);
  }, 180_000);
});

/** Plays all actions at once. */
async function play(actions: readonly Action[], deleted: { readonly caller: number; readonly afterMs: number } | undefined) {
  const sessions = new Map<number, RawSession>();
  const owners = new Map<string, Seen>();
  await Promise.all(
    CALLERS.map(async ({ token, session, asks }, index) => {
      if (!session) return;
      const opened = await RawSession.open(rig.endpoint, asks ? { sampling: {} } : {}, { authorization: `Bearer ${TOKENS[token]}` });
      await opened.stand((question) => void answerQuestion(opened, question));
      await opened.request(900, 'logging/setLevel', { level: 'debug' });
      sessions.set(index, opened);
    }),
  );
  const ids = new Map<number, number>();
  const calls = actions.map((item): Seen => {
    // Sessions count from 1, all alike; without one everything has the same id.
    const id = sessions.has(item.caller) ? (ids.get(item.caller) ?? 0) + 1 : 1;
    ids.set(item.caller, id);
    const number = ++counter;
    const call: Seen = { action: item, marker: `caller-${item.caller}-call-${number}`, number, id, reply: undefined, messages: [] };
    owners.set(call.marker, call);
    return call;
  });
  const ending =
    deleted === undefined
      ? Promise.resolve()
      : delay(deleted.afterMs).then(async () => {
          await sessions.get(deleted.caller)?.end();
          sessions.delete(deleted.caller);
        });
  const all = new Map(sessions);
  await Promise.all([...calls.map((call) => run(call, all.get(call.action.caller))), ending]);
  return { calls, sessions };
}

async function run(call: Seen, session: RawSession | undefined): Promise<void> {
  const { action: item, marker, number, id } = call;
  const { steps, delayMs } = item;
  await delay(item.startMs);
  const gone = new AbortController();
  const name = `x_${UPSTREAMS[item.upstream]?.name}_trace`;
  const args = { marker, number, steps, delayMs, fate: item.fate };
  const onMessage = (message: JsonObject) => {
    call.messages.push(message);
    if (message.method !== undefined && message.id !== undefined && session !== undefined) void answerQuestion(session, message);
  };
  const cancel = async () => {
    await delay(delayMs);
    if (session === undefined) gone.abort(new Error('enough'));
    else await session.post({ method: 'notifications/cancelled', params: { requestId: id } });
  };
  const options = { onMessage, signal: gone.signal };
  const meta = { progressToken: 'same' };
  const token = TOKENS[CALLERS[item.caller]?.token ?? 'a1'];
  const request = modernRequest(id, 'tools/call', { name, arguments: args }, { ...meta, 'io.modelcontextprotocol/logLevel': 'debug' });
  const sent =
    session === undefined
      ? post(rig.endpoint, request.body, { ...options, headers: { ...request.headers, authorization: `Bearer ${token}` } })
      : session.request(id, 'tools/call', { name, arguments: args, _meta: meta }, options);
  const cancelled = item.fate === 'cancel' ? cancel().catch(() => {}) : Promise.resolve();
  call.reply = await sent.catch((error: unknown) => {
    if (item.fate !== 'cancel') throw error;
    return undefined;
  });
  await cancelled;
}

/** The client answers with what it was asked: the answer must come back to the call that asked. */
async function answerQuestion(session: RawSession, { id, params }: JsonObject): Promise<void> {
  const content = { type: 'text', text: `answer to ${markersIn(params).join()}` };
  // The session may have been ended meanwhile.
  await session.post({ id, result: { model: 'm', role: 'assistant', content } }).catch(() => {});
}

interface Run {
  readonly marker: string;
  readonly upstream: string;
  readonly connection: string;
}

/** What the upstreams wrote down themselves. */
async function runsOf(): Promise<Run[]> {
  const children = (await readFile(join(rig.folder, 'children.jsonl'), 'utf8')).split('\n').filter((line) => line !== '');
  const [modern, legacy] = await Promise.all(servers.map(logOf));
  const entries = [
    ...(modern ?? []).map((entry) => ({ ...entry, upstream: 'mh' })),
    ...(legacy ?? []).map((entry) => ({ ...entry, upstream: 'lh' })),
    ...children.map((line) => ({ ...(JSON.parse(line) as JsonObject), upstream: 'child' })),
  ] as JsonObject[];
  return entries
    .filter(({ name }) => name === 'ran')
    .map(({ marker, upstream, connection }) => ({ marker: String(marker), upstream: String(upstream), connection: String(connection) }));
}

function check(call: Seen, runs: readonly Run[], totals: Record<string, number>): void {
  const { action: item, marker, number, id, reply } = call;
  const add = (what: string) => {
    totals[what] = (totals[what] ?? 0) + 1;
  };
  add('calls');
  const ran = runs.filter((one) => one.marker === marker).length;
  expect(ran, `runs of ${marker}`).toBeLessThanOrEqual(1);
  let progress = 0;
  for (const message of call.messages) {
    const { method, params } = message;
    if (method === undefined) continue;
    expect(ownersIn(message), `${marker} heard ${JSON.stringify(message)}`).toEqual(markersIn(message).map(() => item.caller));
    if (UPSTREAMS[item.upstream]?.exact) expect(new Set([marker, ...markersIn(message)]).size, JSON.stringify(message)).toBe(1);
    if (!isJsonObject(params)) throw new Error(`no params: ${JSON.stringify(message)}`);
    if (method === 'notifications/progress') {
      expect(params).toEqual({ progressToken: 'same', progress: expect.any(Number), total: number });
      expect(Number(params.progress)).toBeGreaterThan(progress);
      progress = Number(params.progress);
      add('progress');
    } else add(message.id === undefined ? 'logs' : 'questions');
  }
  const answer = reply && answerIn(reply);
  if (answer === undefined) return;
  // An ended session answers without an id of ours.
  if (reply?.status === 200) expect(answer.id).toBe(id);
  const result = isJsonObject(answer.result) ? answer.result : {};
  const text = JSON.stringify(answer);
  expect(ownersIn(answer), `${marker} got ${text}`).toEqual(markersIn(answer).map(() => item.caller));
  if (result.isError !== true && answer.result !== undefined) {
    add('answers');
    expect(new Set([marker, ...markersIn(answer)]), text).toEqual(new Set([marker]));
    expect(text).toContain(marker);
    expect(ran, `runs of ${marker}, which was answered`).toBe(1);
    if (item.fate === 'ask') expect(text).toContain(`answer to ${marker}`);
  } else if (text.includes('-31003')) add('lost');
  else if (text.includes('-31001') || text.includes('-31004')) expect(ran, `runs of ${marker}: ${text}`).toBe(0);
}

/** Standing streams: whatever names a call names one of the same session. */
function checkStanding(sessions: ReadonlyMap<number, RawSession>, calls: readonly Seen[]): void {
  const known = new Set(calls.map(({ marker }) => marker));
  for (const [caller, session] of sessions) {
    for (const message of session.heard) {
      expect(ownersIn(message), JSON.stringify(message)).toEqual(markersIn(message).map(() => caller));
      expect(markersIn(message).every((marker) => known.has(marker))).toBe(true);
    }
  }
}

/** A connection that belongs to a session or a principal has never seen a call of another. */
function checkConnections(runs: readonly Run[], calls: readonly Seen[]): void {
  const scopes = new Map<string, Set<string>>();
  for (const call of calls) {
    if (!UPSTREAMS[call.action.upstream]?.scoped) continue;
    const { token, session } = CALLERS[call.action.caller] ?? CALLERS[0];
    const scope = session ? `session of caller ${call.action.caller}` : `principal ${token}`;
    for (const { upstream, connection } of runs.filter(({ marker }) => marker === call.marker)) {
      const key = `${upstream} ${connection}`;
      scopes.set(key, (scopes.get(key) ?? new Set()).add(scope));
    }
  }
  for (const [connection, users] of scopes) expect([...users], connection).toHaveLength(1);
}

function markersIn(value: unknown): string[] {
  return JSON.stringify(value ?? null).match(/caller-\d+-call-\d+/g) ?? [];
}

/** Whose markers these are. */
function ownersIn(value: unknown): number[] {
  return markersIn(value).map((marker) => Number(/caller-(\d+)/.exec(marker)?.[1]));
}
