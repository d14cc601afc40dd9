import { mkdir, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from '../fixtures/processes.ts';
import { leftIn, MAIN } from './cli-rig.ts';
import { type Kind, Party, textOf } from './interop-clients.ts';
import { Rig } from './rig.ts';

/** Published clients over pipes: to the published `mcp-remote` in front of a gateway, and to a gateway that is their child. */
let rig: Rig;
let upstreams: object[];

beforeAll(async () => {
  rig = await Rig.make();
  const [workshop, http, sse] = await Promise.all([rig.serve('workshop'), rig.serve('everything'), rig.serve('sse')]);
  upstreams = [
    { name: 'http', type: 'streamable-http', url: http.url() },
    { name: 'sse', type: 'sse', url: sse.url('/sse') },
    rig.stdio('local', 'everything'),
    { name: 'shop', type: 'streamable-http', url: workshop.url() },
    rig.stdio('pipe', 'workshop', { protocol: '2025-11-25' }),
  ];
});
afterAll(() => rig?.[Symbol.asyncDispose]());

const FIRST = ['x_http_echo', 'x_sse_echo', 'x_local_echo', 'x_shop_greet', 'x_pipe_greet'];

/** What works with sessions whatever is between. */
async function useSession(party: Party): Promise<void> {
  const { tools } = await party.client.listTools();
  expect(tools.map(({ name }) => name)).toEqual(expect.arrayContaining(FIRST));
  expect((await party.client.listPrompts()).prompts.map(({ name }) => name)).toContain('x_http_args-prompt');
  for (const upstream of ['http', 'sse', 'local'])
    expect(textOf(await party.call(`x_${upstream}_echo`, { message: 'h\u00e9llo' }))).toBe('Echo: h\u00e9llo');
  expect((await party.call('x_shop_picture')).content).toEqual([expect.objectContaining({ type: 'image' })]);
  expect((await party.call('x_http_get-structured-content', { location: 'Chicago' })).structuredContent).toMatchObject({ temperature: 36 });
  const document = `turnpike://http/${encodeURIComponent('demo://resource/static/document/features.md')}`;
  expect(JSON.stringify(await party.client.readResource({ uri: document }))).toContain('Everything Server');
  const prompt = await party.client.getPrompt({ name: 'x_http_args-prompt', arguments: { city: 'Bern', state: 'BE' } });
  expect(JSON.stringify(prompt)).toContain('Bern, BE');
  const ref = { type: 'ref/prompt' as const, name: 'x_http_completable-prompt' };
  expect((await party.client.complete({ ref, argument: { name: 'department', value: 'S' } })).completion.values).toEqual(['Sales', 'Support']);

  const seen: number[] = [];
  await party.call('x_pipe_count', {}, { onprogress: ({ progress }) => seen.push(progress) });
  expect(seen).toEqual([1, 2, 3]);
  await party.client.setLoggingLevel('warning');
  await party.call('x_pipe_narrate');
  expect(party.of('notifications/message').map(({ data }) => data)).toContain('a warning');

  expect(textOf(await party.call('x_pipe_book', { place: 'Rome' }))).toBe('Booked Rome: day=Monday, seat=4a (accept)');
  expect(JSON.stringify(await party.call('x_pipe_consult'))).toContain('file:///srv/work');
  expect(textOf(await party.call('x_http_trigger-sampling-request', { prompt: 'p' }))).toContain('a sampled answer');

  await party.client.subscribeResource({ uri: document });
  await party.call('x_http_toggle-subscriber-updates');
  await until(
    () => party.of('notifications/resources/updated'),
    (updates) => updates.some(({ uri }) => uri === document),
    5_000,
  );
  await party.call('x_http_toggle-subscriber-updates');

  const cancel = new AbortController();
  const running = party.call('x_pipe_wait', {}, { signal: cancel.signal });
  await until(
    () => party.of('notifications/message').some(({ data }) => data === 'waiting'),
    (waits) => waits,
    5_000,
  );
  cancel.abort(new Error('enough'));
  await expect(running).rejects.toThrow('enough');
  await until(
    async () => JSON.parse(textOf(await party.call('x_pipe_tally'))) as object,
    (tally) => Reflect.get(tally, 'cancelled') === 1,
    5_000,
  );
}

describe('mcp-remote in front of the gateway', () => {
  beforeAll(() => rig.start({ upstreams }));

  it.each(['SDK 1.32', 'SDK 2.4 session'] satisfies Kind[])('serves %s over stdio', async (kind) => {
    const proxy = createRequire(import.meta.url).resolve('mcp-remote/dist/proxy.js');
    const args = [proxy, rig.endpoint.href, '--transport', 'http-only', '--allow-http'];
    await using party = await Party.overStdio(kind, process.execPath, args, rig.environment, rig.folder);
    await useSession(party);
  });
});

describe('turnpike serve --stdio as a child', () => {
  beforeAll(async () => {
    await writeFile(join(rig.folder, 'stdio.json'), JSON.stringify(rig.configuration({ upstreams, listen: {} })));
  });
  const serve = async (kind: Kind, home: string) => {
    await mkdir(home);
    const environment = { PATH: rig.environment.PATH ?? '', HOME: home };
    return Party.overStdio(kind, process.execPath, [MAIN, 'serve', '--stdio', '--config', join(rig.folder, 'stdio.json')], environment, rig.folder);
  };

  it.each(['SDK 1.32', 'SDK 2.4 session'] satisfies Kind[])('serves %s, and leaves nothing behind', async (kind) => {
    const home = join(rig.folder, kind);
    {
      await using party = await serve(kind, home);
      await listed(party);
      await useSession(party);
    }
    await leftIn(home);
  });

  it('serves SDK 2.4 without sessions', async () => {
    await using party = await serve('SDK 2.4 stateless', join(rig.folder, 'stateless'));
    await listed(party);
    expect(textOf(await party.call('x_http_echo', { message: 'h\u00e9llo' }))).toBe('Echo: h\u00e9llo');
    expect(textOf(await party.call('x_shop_book', { place: 'Rome' }))).toBe('Booked Rome: day=Monday, seat=4a (accept)');
    const seen: number[] = [];
    await party.call('x_shop_count', {}, { onprogress: ({ progress }) => seen.push(progress) });
    expect(seen).toEqual([1, 2, 3]);
    const listening = await party.listen({ toolsListChanged: true, resourceSubscriptions: ['turnpike://shop/memo%3A%2F%2Ftoday'] });
    await party.call('x_shop_rearrange');
    await until(
      () => party.heard.map(({ method }) => method),
      (methods) => methods.includes('notifications/tools/list_changed') && methods.includes('notifications/resources/updated'),
      5_000,
    );
    await listening.close();
  });
});

/** A gateway over stdio answers at once, whatever its upstreams do meanwhile. */
async function listed(party: Party): Promise<void> {
  await until(
    async () => (await party.client.listTools()).tools.map(({ name }) => name),
    (names) => FIRST.every((name) => names.includes(name)),
    15_000,
  );
}
