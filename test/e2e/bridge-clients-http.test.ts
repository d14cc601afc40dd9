import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from '../fixtures/processes.ts';
import { FEATURES, tally, tool } from './bridge-features.ts';
import { ALL_CAPABILITIES, type Kind, Party } from './interop-clients.ts';
import { Rig } from './rig.ts';

/** All four cells over HTTP: each published client with each published server, everything that either may ask of the other. */
let rig: Rig;

const UPSTREAMS = ['modern', 'sessions', 'v1', 'sse'] as const;
const KINDS = ['SDK 1.32', 'SDK 2.4 session', 'SDK 2.4 stateless'] as const satisfies Kind[];
const SSE = 'SDK 1.32 over HTTP+SSE' as const;

beforeAll(async () => {
  rig = await Rig.make();
  const [modern, sessions, v1] = await Promise.all([rig.serve('workshop'), rig.serve('workshopSessions'), rig.serve('workshopV1')]);
  await rig.start({
    upstreams: [
      { name: 'modern', type: 'streamable-http', url: modern.url() },
      { name: 'sessions', type: 'streamable-http', url: sessions.url() },
      { name: 'v1', type: 'streamable-http', url: v1.url() },
      { name: 'sse', type: 'sse', url: v1.url('/sse') },
    ],
  });
});
afterAll(() => rig?.[Symbol.asyncDispose]());

describe.each([...KINDS, SSE] as const)('%s', (kind) => {
  let party: Party;
  beforeAll(async () => {
    const options = { capabilities: ALL_CAPABILITIES };
    party = kind === SSE ? await Party.overSse(new URL('/sse', rig.endpoint), options) : await Party.overHttp(kind, rig.endpoint, options);
  });
  afterAll(() => party?.[Symbol.asyncDispose]());

  describe.each(UPSTREAMS)('→ %s', (upstream) => {
    it.each(Object.keys(FEATURES))('%s', (feature) => FEATURES[feature]?.({ party, upstream }));
  });

  if (kind !== 'SDK 2.4 stateless') {
    it.each(['sessions', 'v1', 'sse'])('takes back a question of %s by its cancel', async (upstream) => {
      const pair = { party, upstream };
      const before = await tally(pair, 'cancelled');
      const asked = Promise.withResolvers<void>();
      party.answering = () => {
        asked.resolve();
        return new Promise(() => {});
      };
      const cancel = new AbortController();
      const running = party.call(tool(pair, 'visit'), {}, { signal: cancel.signal });
      await asked.promise;
      cancel.abort(new Error('enough'));
      await expect(running).rejects.toThrow('enough');
      party.answering = undefined;
      if (upstream !== 'sessions')
        await until(
          () => tally(pair, 'cancelled'),
          (count) => count === before + 1,
          5_000,
        );
    });
  }
});
