import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Authority, TlsFront } from '../fixtures/authority.ts';
import { until } from '../fixtures/processes.ts';
import { Party, textOf } from './interop-clients.ts';
import { Rig } from './rig.ts';

/** Upstreams over HTTPS whose certificate only an authority of our own has signed (`tls.caFile`). */
let rig: Rig;
let ours: Authority;
let other: Authority;
const fronts: Record<string, TlsFront> = {};

beforeAll(async () => {
  rig = await Rig.make();
  ours = new Authority();
  other = new Authority();
  const servers = { http: 'everything', sse: 'sse', shop: 'workshop', strange: 'modern', unknown: 'modern', misnamed: 'modern' } as const;
  await Promise.all(
    Object.entries(servers).map(async ([name, server]) => {
      fronts[name] = await TlsFront.start(ours, (await rig.serve(server)).port);
    }),
  );
  const upstream = (name: string, more: object = {}, path = '/mcp') => ({
    name,
    type: 'streamable-http',
    url: fronts[name]?.url(path),
    tls: { caFile: ours.caFile },
    ...more,
  });
  const refused = ['strange', 'unknown', 'misnamed'];
  await rig.start(
    {
      upstreams: [
        upstream('http'),
        upstream('sse', { type: 'sse' }, '/sse'),
        upstream('shop'),
        upstream('strange', { tls: { caFile: other.caFile } }),
        upstream('unknown', { tls: undefined }),
        upstream('misnamed', { tls: { caFile: ours.caFile, serverName: 'elsewhere.test' } }),
      ],
    },
    {},
    refused,
  );
});
afterAll(async () => {
  await rig?.[Symbol.asyncDispose]();
  for (const front of Object.values(fronts)) await front[Symbol.asyncDispose]();
  for (const authority of [ours, other]) authority?.[Symbol.dispose]();
});

describe.each(['http', 'sse'])('a whole session at server-everything (%s)', (name) => {
  it('lists, calls, reports progress, is asked, hears of changes, is cancelled, ends', async () => {
    const tool = (one: string) => `x_${name}_${one}`;
    const uri = `turnpike://${name}/${encodeURIComponent('demo://resource/static/document/features.md')}`;
    await using party = await Party.overHttp('SDK 1.32', rig.endpoint);
    expect((await party.client.listTools()).tools.map((one) => one.name)).toContain(tool('echo'));
    expect(textOf(await party.call(tool('echo'), { message: 'h\u00e9llo' }))).toBe('Echo: h\u00e9llo');
    const seen: number[] = [];
    await party.call(tool('trigger-long-running-operation'), { duration: 0.3, steps: 3 }, { onprogress: ({ progress }) => void seen.push(progress) });
    expect(seen).toEqual([1, 2, 3]);
    expect(textOf(await party.call(tool('trigger-sampling-request'), { prompt: 'p' }))).toContain('a sampled answer');
    await party.client.subscribeResource({ uri });
    await party.call(tool('toggle-subscriber-updates'));
    await until(
      () => party.of('notifications/resources/updated'),
      (updates) => updates.some((one) => one.uri === uri),
      5_000,
    );
    await party.call(tool('toggle-subscriber-updates'));
    const cancel = new AbortController();
    const running = party.call(
      tool('trigger-long-running-operation'),
      { duration: 30, steps: 100 },
      { signal: cancel.signal, onprogress: () => cancel.abort(new Error('enough')) },
    );
    await expect(running).rejects.toThrow('enough');
    await party.terminate();
    expect(fronts[name]?.failed).toBe(0);
  });
});

it('a modern client calls a modern server, with two rounds of input', async () => {
  await using party = await Party.overHttp('SDK 2.4 stateless', rig.endpoint);
  const greeting = await party.call('x_shop_greet', { name: 'Anna' });
  expect([textOf(greeting), greeting._meta]).toEqual(['Hello, Anna!', expect.objectContaining({ 'turnpike/upstream': 'shop' })]);
  expect(textOf(await party.call('x_shop_book', { place: 'Rome' }))).toBe('Booked Rome: day=Monday, seat=4a (accept)');
  expect(fronts.shop?.passed).toBeGreaterThan(0);
});

it.each([
  ['strange', 'signed by an authority that is not the configured one'],
  ['unknown', 'of an authority that the machine does not know'],
  ['misnamed', 'for another name than tls.serverName'],
])('%s: a certificate %s is refused for good, and no byte of a request gets there', async (name) => {
  const state = await until(
    () => rig.status(name),
    (status) => status?.state === 'failed',
    5_000,
  );
  expect(state?.lastError).toBe(`upstream '${name}' cannot be reached`);
  await using party = await Party.overHttp('SDK 2.4 stateless', rig.endpoint);
  await expect(party.call(`x_${name}_echo`)).rejects.toThrow(/tool not found/);
  expect(fronts[name]?.passed).toBe(0);
});
