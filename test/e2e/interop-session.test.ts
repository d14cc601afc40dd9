import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { processesWithMark, until } from '../fixtures/processes.ts';
import { type Kind, Party, textOf } from './interop-clients.ts';
import { Rig } from './rig.ts';

/** Published clients with sessions → the gateway → the published reference server, and a server of SDK 2.4 in either era. */
let rig: Rig;

beforeAll(async () => {
  rig = await Rig.make();
  const [http, sse, workshop] = await Promise.all([rig.serve('everything'), rig.serve('sse'), rig.serve('workshop')]);
  await rig.start({
    upstreams: [
      rig.stdio('pipe', 'everything'),
      { name: 'http', type: 'streamable-http', url: http.url() },
      { name: 'sse', type: 'sse', url: sse.url('/sse') },
      rig.stdio('shop', 'workshop', { protocol: '2025-11-25' }),
      { name: 'new', type: 'streamable-http', url: workshop.url() },
    ],
  });
});
afterAll(() => rig?.[Symbol.asyncDispose]());

const LONG = 'trigger-long-running-operation';
const names = (items: readonly { readonly name: string }[]) => items.map(({ name }) => name);

describe.each(['SDK 1.32', 'SDK 2.4 session'] satisfies Kind[])('%s', (kind) => {
  let party: Party;
  beforeAll(async () => {
    party = await Party.overHttp(kind, rig.endpoint);
  });
  afterAll(() => party?.[Symbol.asyncDispose]());

  describe.each(['pipe', 'http', 'sse'])('→ server-everything as %s', (upstream) => {
    const tool = (name: string) => `x_${upstream}_${name}`;

    it('lists tools, prompts, resources and templates', async () => {
      expect(party.client.getServerVersion()?.name).toBe('turnpike');
      expect(names((await party.client.listTools()).tools)).toEqual(expect.arrayContaining(['echo', 'get-sum', LONG].map(tool)));
      expect(names((await party.client.listPrompts()).prompts)).toEqual(expect.arrayContaining(['simple-prompt', 'args-prompt'].map(tool)));
      const uris = (await party.client.listResources()).resources.map(({ uri }) => uri);
      expect(uris).toContain(document(upstream));
      const templates = (await party.client.listResourceTemplates()).resourceTemplates.map(({ uriTemplate }) => uriTemplate);
      expect(templates).toContain(`turnpike://${upstream}/demo://resource/dynamic/text/{resourceId}`);
    });

    it('calls: text, image, structured content, links, an error', async () => {
      expect(textOf(await party.call(tool('echo'), { message: 'h\u00e9llo' }))).toBe('Echo: h\u00e9llo');
      const image = await party.call(tool('get-tiny-image'));
      expect(image.content).toEqual(expect.arrayContaining([expect.objectContaining({ type: 'image', mimeType: 'image/png' })]));
      const weather = await party.call(tool('get-structured-content'), { location: 'Chicago' });
      expect(weather.structuredContent).toEqual({ temperature: 36, conditions: 'Light rain / drizzle', humidity: 82 });
      const links = await party.call(tool('get-resource-links'), { count: 2 });
      expect(links.content).toEqual(expect.arrayContaining([expect.objectContaining({ type: 'resource_link' })]));
      expect(await party.call(tool('get-sum'), { a: 'one', b: 2 })).toMatchObject({ isError: true });
    });

    it('reports progress', async () => {
      const seen: unknown[] = [];
      const onprogress = (progress: object) => seen.push(progress);
      await party.call(tool(LONG), { duration: 0.45, steps: 3 }, { onprogress });
      expect(seen).toEqual([1, 2, 3].map((progress) => ({ progress, total: 3 })));
    });

    it('cancels, and goes on', async () => {
      const cancel = new AbortController();
      const running = party.call(
        tool(LONG),
        { duration: 30, steps: 100 },
        { signal: cancel.signal, onprogress: () => cancel.abort(new Error('enough')) },
      );
      await expect(running).rejects.toThrow('enough');
      expect(textOf(await party.call(tool('echo'), { message: 'after' }))).toBe('Echo: after');
    });

    it('completes an argument, reads, gets a prompt', async () => {
      const completed = await party.client.complete({
        ref: { type: 'ref/prompt', name: tool('completable-prompt') },
        argument: { name: 'department', value: 'S' },
      });
      expect(completed.completion.values).toEqual(['Sales', 'Support']);
      expect(JSON.stringify(await party.client.readResource({ uri: document(upstream) }))).toContain('Everything Server');
      const dynamic = await party.client.readResource({ uri: `turnpike://${upstream}/${encodeURIComponent('demo://resource/dynamic/text/7')}` });
      expect(JSON.stringify(dynamic)).toContain('Resource 7');
      const prompt = await party.client.getPrompt({ name: tool('args-prompt'), arguments: { city: 'Bern', state: 'BE' } });
      expect(JSON.stringify(prompt)).toContain('Bern, BE');
    });

    it('samples, elicits and lists roots on the client of the session', async () => {
      const asked = party.asked.length;
      expect(textOf(await party.call(tool('trigger-sampling-request'), { prompt: 'a prompt' }))).toContain('a sampled answer');
      const form = await party.call(tool('trigger-elicitation-request'));
      expect(JSON.stringify(form)).toContain('Anna');
      expect(textOf(await party.call(tool('get-roots-list')))).toContain('file:///srv/work');
      const questions = party.asked.slice(asked);
      expect(JSON.stringify(questions.find(({ method }) => method === 'sampling/createMessage')?.params)).toContain('a prompt');
      expect(questions.find(({ method }) => method === 'elicitation/create')?.params.message).toBe(
        `Server “${upstream}” asks: Please provide inputs for the following fields:`,
      );
    });

    it('subscribes, hears of the update under its own name, unsubscribes', async () => {
      const uri = document(upstream);
      const updates = () => party.of('notifications/resources/updated').filter((params) => params.uri === uri).length;
      await party.client.subscribeResource({ uri });
      await party.call(tool('toggle-subscriber-updates'));
      await until(updates, (count) => count > 0, 5_000);
      await party.call(tool('toggle-subscriber-updates'));
      await party.client.unsubscribeResource({ uri });
      const before = updates();
      await party.call(tool('toggle-subscriber-updates'));
      await party.call(tool('echo'), { message: 'a round trip after it' });
      await party.call(tool('toggle-subscriber-updates'));
      expect(updates()).toBe(before);
    });
  });

  describe('→ a server of SDK 2.4 that speaks with sessions', () => {
    it('asks twice in one call, and ran once', async () => {
      const asked = party.asked.length;
      expect(textOf(await party.call('x_shop_book', { place: 'Rome' }))).toBe('Booked Rome: day=Monday, seat=4a (accept)');
      expect(party.asked.slice(asked).map(({ params }) => params.message)).toEqual([
        'Server “shop” asks: Which day in Rome?',
        'Server “shop” asks: Which seat in Rome?',
      ]);
      expect(JSON.parse(textOf(await party.call('x_shop_consult')))).toEqual({
        advice: { type: 'text', text: 'a sampled answer' },
        roots: ['file:///srv/work'],
      });
      expect(JSON.parse(textOf(await party.call('x_shop_tally')))).toMatchObject({ book: 1 });
    });

    it('logs at the level of the session', async () => {
      const lines = () => party.of('notifications/message').map(({ data }) => data);
      await party.client.setLoggingLevel('warning');
      await party.call('x_shop_narrate');
      expect(lines()).toContain('a warning');
      expect(lines()).not.toContain('a detail');
      await party.client.setLoggingLevel('debug');
      await party.call('x_shop_narrate');
      expect(lines()).toContain('a detail');
    });

    it('cancels at the upstream', async () => {
      const cancelled = async () => Number(JSON.parse(textOf(await party.call('x_shop_tally'))).cancelled);
      const before = await cancelled();
      const cancel = new AbortController();
      const running = party.call('x_shop_wait', {}, { signal: cancel.signal });
      await until(
        () => party.of('notifications/message').some(({ data }) => data === 'waiting'),
        (waits) => waits,
        5_000,
      );
      cancel.abort(new Error('enough'));
      await expect(running).rejects.toThrow('enough');
      await until(cancelled, (count) => count === before + 1, 5_000);
    });
  });

  describe('→ a server of SDK 2.4 without sessions', () => {
    it('calls, reads, prompts and completes across the eras', async () => {
      expect(textOf(await party.call('x_new_greet', { name: 'Anna' }))).toBe('Hello, Anna!');
      expect((await party.call('x_new_picture')).content).toEqual([expect.objectContaining({ type: 'image' })]);
      const weighed = await party.call('x_new_weigh', { what: 'iron' });
      expect(weighed.structuredContent).toEqual({ what: 'iron', grams: 12.5 });
      expect(weighed).not.toHaveProperty('resultType');
      const seen: number[] = [];
      await party.call('x_new_count', {}, { onprogress: ({ progress }) => seen.push(progress) });
      expect(seen).toEqual([1, 2, 3]);
      expect(JSON.stringify(await party.client.readResource({ uri: `turnpike://new/${encodeURIComponent('memo://today')}` }))).toContain('Version');
      expect(JSON.stringify(await party.client.getPrompt({ name: 'x_new_introduce', arguments: { who: 'anna' } }))).toContain('This is anna.');
      const { completion } = await party.client.complete({
        ref: { type: 'ref/prompt', name: 'x_new_introduce' },
        argument: { name: 'who', value: 'an' },
      });
      expect(completion.values).toEqual(['anna', 'anton']);
    });

    it('is asked on its own stream for what the upstream returns as rounds, and the call ran once', async () => {
      const asked = party.asked.length;
      expect(textOf(await party.call('x_new_book', { place: 'Rome' }))).toBe('Booked Rome: day=Monday, seat=4a (accept)');
      expect(party.asked.slice(asked).map(({ params }) => params.message)).toEqual([
        'Server “new” asks: Which day in Rome?',
        'Server “new” asks: Which seat in Rome?',
      ]);
      expect(JSON.parse(textOf(await party.call('x_new_consult')))).toEqual({
        advice: { type: 'text', text: 'a sampled answer' },
        roots: ['file:///srv/work'],
      });
    });

    it('hears of a changed list and of a changed resource', async () => {
      const uri = `turnpike://new/${encodeURIComponent('memo://today')}`;
      await party.client.subscribeResource({ uri });
      const changes = () => party.of('notifications/tools/list_changed').length;
      const before = changes();
      const had = names((await party.client.listTools()).tools).includes('x_new_extra');
      await party.call('x_new_rearrange');
      await until(changes, (count) => count > before, 5_000);
      expect(names((await party.client.listTools()).tools).includes('x_new_extra')).toBe(!had);
      await until(
        () => party.of('notifications/resources/updated').filter((params) => params.uri === uri),
        (updates) => updates.length > 0,
        5_000,
      );
      await party.client.unsubscribeResource({ uri });
    });
  });

  it('ends its session: the children of the session go, and the id names nothing any more', async () => {
    const other = await Party.overHttp(kind, rig.endpoint);
    const before = (await processesWithMark(rig.mark)).length;
    await other.call('x_pipe_echo', { message: 'mine' });
    expect(await processesWithMark(rig.mark)).toHaveLength(before + 1);
    const id = await other.terminate();
    expect(id).toBeTypeOf('string');
    for (const method of ['POST', 'GET', 'DELETE']) {
      const headers = { 'mcp-session-id': String(id), 'content-type': 'application/json', accept: 'application/json, text/event-stream' };
      const body = method === 'POST' ? JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'ping' }) : null;
      expect((await fetch(rig.endpoint, { method, headers, body })).status, method).toBe(404);
    }
    await until(
      () => processesWithMark(rig.mark),
      (left) => left.length === before,
      10_000,
    );
    await other[Symbol.asyncDispose]();
  });
});

/** A document of the reference server, as the client knows it when three upstreams have it. */
function document(upstream: string): string {
  return `turnpike://${upstream}/${encodeURIComponent('demo://resource/static/document/features.md')}`;
}
