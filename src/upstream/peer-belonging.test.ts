import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toJson } from '../core/json.ts';
import { ManualClock } from '../core/manual-clock.ts';
import type { Era, JsonObject } from '../core/mcp.ts';
import { Peer } from './peer.ts';
import { type SampleStream, SampleTransport } from './sample-transport.ts';

/**
 * Security class 8: many calls on one connection, everything in random order, with forged and repeated ids. What the upstream
 * says about a call holds the call's number, so every delivery shows whether it is at the right place.
 */
type Step =
  | { readonly do: 'start' }
  | { readonly do: 'answer' | 'fail' | 'repeat' | 'cancel' | 'ask' | 'log'; readonly call: number }
  | { readonly do: 'progress'; readonly call: number; readonly value: number }
  | { readonly do: 'forge'; readonly call: number; readonly over: number }
  | { readonly do: 'wait'; readonly ms: number };

const which = fc.nat(11);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.constant<Step>({ do: 'start' }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constantFrom('answer' as const, 'fail' as const, 'repeat' as const, 'cancel' as const, 'ask' as const, 'log' as const),
      call: which,
    }),
  },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('progress' as const), call: which, value: fc.integer({ min: 0, max: 30 }) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('forge' as const), call: which, over: which }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 2000 }) }) },
);

interface Call {
  readonly number: number;
  readonly client: AbortController;
  readonly progress: { readonly value: number; readonly at: number }[];
  readonly heard: unknown[];
  outcome: unknown;
  ends: number;
  /** What it had heard when it ended. */
  heardAtEnd: number;
}

async function play(kind: 'channel' | 'exchange', era: Era, steps: readonly Step[]): Promise<void> {
  const clock = new ManualClock();
  const streams = new Map<number, SampleStream>();
  const transport = new SampleTransport(kind, (message, stream) => {
    if (typeof message.id === 'number' && message.method !== undefined) streams.set(message.id, stream);
  });
  const strays: unknown[] = [];
  const peer = new Peer({
    name: 'S',
    transport,
    clock,
    clientInfo: {},
    shared: true,
    onNotification: (method) => strays.push(method),
    onRequest: async () => ({ kind: 'result', result: toJson({ of: 'nobody' }) }),
    onDropped: () => {},
  });
  peer.era = era;
  const calls: Call[] = [];
  const start = () => {
    const call: Call = {
      number: calls.length + 1,
      client: new AbortController(),
      progress: [],
      heard: [],
      outcome: undefined,
      ends: 0,
      heardAtEnd: 0,
    };
    calls.push(call);
    const end = (outcome: unknown) => {
      call.outcome = outcome;
      call.ends++;
      call.heardAtEnd = call.heard.length;
    };
    const relay = {
      notification: (method: string, params: Buffer) => {
        const body = JSON.parse(params.toString()) as { of?: unknown; progress?: number };
        call.heard.push(body.of);
        if (method === 'notifications/progress') call.progress.push({ value: body.progress ?? Number.NaN, at: clock.monotonic() });
      },
      request: async (_method: string, params: Buffer) => {
        call.heard.push((JSON.parse(params.toString()) as { of?: unknown }).of);
        return { kind: 'result' as const, result: toJson({ of: call.number }) };
      },
    };
    // Resources: interactive calls could wait for each other.
    peer
      .request({
        method: 'completion/complete',
        params: toJson({ number: call.number }),
        capabilities: {},
        progress: true,
        relay,
        signal: call.client.signal,
      })
      .then(
        (answer) => end(answer.kind === 'result' ? JSON.parse(answer.result.toString()) : JSON.parse(answer.error.toString())),
        (error: unknown) => end(error),
      );
  };
  const say = (number: number, message: JsonObject) => streams.get(number)?.say({ jsonrpc: '2.0', ...message });
  for (const one of steps) {
    if (one.do === 'start') start();
    else if (one.do === 'wait') clock.advance(one.ms);
    else {
      const number = one.call + 1;
      const id = number;
      if (one.do === 'answer' || one.do === 'repeat') say(number, { id, result: { of: number } });
      else if (one.do === 'fail') say(number, { id, error: { code: -32000, message: 'no', data: number } });
      else if (one.do === 'cancel') calls[one.call]?.client.abort(number);
      else if (one.do === 'ask' && kind === 'exchange')
        say(number, { id: `ask-${number}-${Math.random()}`, method: 'roots/list', params: { of: number } });
      else if (one.do === 'log' && kind === 'exchange') say(number, { method: 'notifications/message', params: { of: number } });
      else if (one.do === 'progress')
        // Some report everything they have at once.
        for (let value = one.value; value <= one.value + (one.value % 5) * 4; value++)
          say(number, { method: 'notifications/progress', params: { progressToken: id, progress: value, of: number } });
      else if (one.do === 'forge' && kind === 'exchange' && one.over !== one.call) {
        // On its own stream an upstream answers, and reports on, a call of another stream.
        say(number, { id: one.over + 1, result: { of: number } });
        say(number, { method: 'notifications/progress', params: { progressToken: one.over + 1, progress: 1e6, of: number } });
      }
    }
    await Promise.resolve();
  }
  for (const call of calls) if (call.ends === 0) say(call.number, { id: call.number, result: { of: call.number } });
  await new Promise<void>((resolve) => setImmediate(resolve));
  check(calls, transport);
  expect(peer.inFlight).toBe(0);
  expect(transport.streams).toBe(0);
  expect(clock.pending).toBe(0);
}

function check(calls: readonly Call[], transport: SampleTransport): void {
  const told = transport.sent.filter(({ method }) => method === 'notifications/cancelled').map(({ params }) => (params as JsonObject).requestId);
  expect(new Set(told).size).toBe(told.length);
  for (const call of calls) {
    expect(call.ends).toBe(1);
    expect(call.heard.every((of) => of === call.number)).toBe(true);
    expect(call.heard).toHaveLength(call.heardAtEnd);
    if (call.outcome === call.number) expect(call.client.signal.aborted).toBe(true);
    else expect(call.outcome).toSatisfy((outcome: JsonObject) => outcome.of === call.number || outcome.data === call.number);
    call.progress.forEach(({ value, at }, index) => {
      expect(value).toBeGreaterThan(call.progress[index - 1]?.value ?? Number.NEGATIVE_INFINITY);
      const tenBefore = call.progress[index - 10];
      if (tenBefore !== undefined) expect(at - tenBefore.at).toBeGreaterThanOrEqual(1000);
    });
    if (told.includes(call.number)) expect(call.outcome).toBe(call.number);
  }
}

describe('everything an upstream says reaches the call it belongs to, and no other', () => {
  for (const [kind, era] of [
    ['channel', 'legacy'],
    ['channel', 'modern'],
    ['exchange', 'legacy'],
    ['exchange', 'modern'],
  ] as const) {
    it(`${era}, ${kind}`, async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 120, size: 'max' }), (steps) => play(kind, era, steps)),
        { numRuns: 150 },
      );
    });
  }
});
