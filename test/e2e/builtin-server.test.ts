import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BuiltinServer } from '../../src/builtin/server/builtin-server.ts';
import { BuiltinTransport } from '../../src/builtin/server/builtin-transport.ts';
import { SAMPLE_OFFER, type SampleContext } from '../../src/builtin/server/sample-offer.ts';
import type { Clock } from '../../src/core/clock.ts';
import { systemClock } from '../../src/core/clock.ts';
import type { JsonObject } from '../../src/core/mcp.ts';
import { until } from '../fixtures/processes.ts';
import { type Kind, Party, textOf } from './interop-clients.ts';
import { Rig } from './rig.ts';

/** Published clients → the gateway → a server in its own process, by the way that every upstream takes. */

/** A second of the server's is ten milliseconds. */
const quick: Clock = { ...systemClock, after: (ms, fn) => systemClock.after(ms / 100, fn) };
const done: string[] = [];
const failures: string[] = [];
const transports: BuiltinTransport<SampleContext>[] = [];
let leased = 0;
let rig: Rig;

beforeAll(async () => {
  const server = new BuiltinServer(SAMPLE_OFFER, { clock: systemClock, onFailure: (what) => void failures.push(what) });
  const contexts = () => {
    leased++;
    return { context: { user: 'ann', clock: quick, done }, release: () => void leased-- };
  };
  rig = await Rig.make();
  await rig.start(
    {
      upstreams: [{ name: 'own', type: 'streamable-http', url: 'http://127.0.0.1:9/never-dialled' }],
      policy: { denylist: { except: ['own:destroy'] }, annotations: 'ignore' },
    },
    {
      transport: ({ name }) => {
        const transport = new BuiltinTransport(name, server, contexts);
        transports.push(transport);
        return transport;
      },
    },
  );
});
afterAll(async () => {
  await rig?.[Symbol.asyncDispose]();
  expect([leased, transports.map(({ running }) => running)]).toEqual([0, transports.map(() => 0)]);
});

const yes = async () => ({ action: 'accept', content: { sure: true } });

describe.each<Kind>(['SDK 2.4 stateless', 'SDK 2.4 session', 'SDK 1.32'])('%s', (kind) => {
  let party: Party;
  beforeAll(async () => {
    party = await Party.overHttp(kind, rig.endpoint);
  });
  afterAll(() => party?.[Symbol.asyncDispose]());

  it('lists, calls, reads, prompts, completes', async () => {
    expect(rig.status('own')).toMatchObject({ era: 'modern', tools: SAMPLE_OFFER.tools.length });
    expect((await party.client.listTools()).tools.map(({ name }) => name)).toEqual(expect.arrayContaining(['x_own_whoami', 'x_own_add']));
    expect((await party.client.listResourceTemplates()).resourceTemplates).toHaveLength(1);
    expect((await party.call('x_own_whoami')).structuredContent).toEqual({ user: 'ann' });
    expect(textOf(await party.call('x_own_add', { a: 2, b: 'x' }))).toContain('- b: Expected an integer, got "x". Leave the quotes away.');
    expect(await party.client.readResource({ uri: 'sample://me' })).toMatchObject({ contents: [{ text: 'ann' }] });
    expect(await party.client.readResource({ uri: 'sample://box/file/a/b' })).toMatchObject({ contents: [{ text: 'ann box a/b' }] });
    expect(await party.client.getPrompt({ name: 'x_own_greet', arguments: { whom: 'you' } })).toMatchObject({
      messages: [{ content: { text: 'Hello you from ann' } }],
    });
    const ref = { type: 'ref/prompt' as const, name: 'x_own_greet' };
    expect((await party.client.complete({ ref, argument: { name: 'whom', value: 'x' } })).completion.values).toHaveLength(20);
  });

  it('hears progress and logs', async () => {
    const steps: unknown[] = [];
    if (kind !== 'SDK 2.4 stateless') await party.client.setLoggingLevel('warning');
    await party.call('x_own_steps', {}, { onprogress: ({ progress, total }) => void steps.push([progress, total]), logLevel: 'warning' });
    expect(steps).toEqual([1, 2, 3].map((step) => [step, 3]));
    expect(party.of('notifications/message').map(({ level, data }) => ({ level, data }))).toEqual([{ level: 'warning', data: { step: 2 } }]);
  });

  it('its user is asked, twice, and nothing is done before', async () => {
    done.length = 0;
    party.answering = yes;
    expect(textOf(await party.call('x_own_destroy', { name: 'it' }))).toBe('Destroyed.');
    expect(party.asked.map(({ params }) => params.message)).toEqual(['Server “own” asks: Destroy it?', 'Server “own” asks: Really destroy it?']);
    party.answering = async ({ params }) => (String(params.message).includes('Really') ? { action: 'decline' } : yes());
    expect(await party.call('x_own_destroy', { name: 'it' })).toMatchObject({ isError: true });
    expect(done).toEqual(['destroyed it']);
  });

  it('a client that cannot be asked gets what the tool says', async () => {
    await using mute = await Party.overHttp(kind, rig.endpoint, { capabilities: {} });
    expect(textOf(await mute.call('x_own_destroy', { name: 'it' }))).toContain('set confirm to allow');
    const insisted = await mute.call('x_own_insists').catch((error: { code: number }) => error);
    if (kind === 'SDK 2.4 stateless') expect(insisted).toMatchObject({ code: -32021, data: { requiredCapabilities: { elicitation: {} } } });
    else expect(textOf(insisted as JsonObject)).toBe('This tool needs elicitation, which your client does not offer.');
  });

  it('cancels a call that would never end', async () => {
    const left = new AbortController();
    const call = party.call('x_own_deaf', {}, { signal: left.signal }).catch(() => 'cancelled');
    await until(
      () => leased,
      (leases) => leases === 1,
      5_000,
    );
    left.abort();
    expect(await call).toBe('cancelled');
    await until(
      () => leased,
      (leases) => leases === 0,
      5_000,
    );
  });

  it('what a handler throws says nothing of it', async () => {
    failures.length = 0;
    expect(await party.call('x_own_fails')).toMatchObject({ isError: true, content: [{ text: 'fails failed: internal error' }] });
    expect(failures).toEqual(['tools/call fails']);
  });
});
