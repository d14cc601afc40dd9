import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from '../fixtures/processes.ts';
import { ANSWERS, Party, textOf } from './interop-clients.ts';
import { Rig } from './rig.ts';

/** The published client of 2026-07-28 → the gateway → a server of SDK 2.4, and the published reference server with sessions. */
let rig: Rig;
let party: Party;

beforeAll(async () => {
  rig = await Rig.make();
  const [workshop, http, sse] = await Promise.all([rig.serve('workshop'), rig.serve('everything'), rig.serve('sse')]);
  await rig.start({
    upstreams: [
      { name: 'shop', type: 'streamable-http', url: workshop.url() },
      rig.stdio('bench', 'workshop'),
      rig.stdio('pipe', 'everything'),
      { name: 'http', type: 'streamable-http', url: http.url() },
      { name: 'sse', type: 'sse', url: sse.url('/sse') },
      rig.stdio('asker', 'legacy'),
    ],
  });
  party = await Party.overHttp('SDK 2.4 stateless', rig.endpoint);
});
afterAll(async () => {
  await party?.[Symbol.asyncDispose]();
  await rig?.[Symbol.asyncDispose]();
});

const names = (items: readonly { readonly name: string }[]) => items.map(({ name }) => name);

describe.each(['shop', 'bench'])('→ a server of SDK 2.4 without sessions (%s)', (upstream) => {
  const tool = (name: string) => `x_${upstream}_${name}`;
  const memo = (uri: string) => `turnpike://${upstream}/${encodeURIComponent(uri)}`;

  it('lists, calls, reads, prompts, completes', async () => {
    expect(names((await party.client.listTools()).tools)).toEqual(expect.arrayContaining(['greet', 'picture', 'weigh', 'book'].map(tool)));
    expect(names((await party.client.listPrompts()).prompts)).toContain(tool('introduce'));
    expect((await party.client.listResources()).resources.map(({ uri }) => uri)).toContain(memo('memo://today'));
    expect((await party.client.listResourceTemplates()).resourceTemplates.map(({ uriTemplate }) => uriTemplate)).toContain(
      `turnpike://${upstream}/memo://note/{id}`,
    );
    const greeting = await party.call(tool('greet'), { name: 'Anna' });
    expect(textOf(greeting)).toBe('Hello, Anna!');
    expect(greeting._meta).toMatchObject({ 'io.modelcontextprotocol/serverInfo': { name: 'turnpike' }, 'turnpike/upstream': upstream });
    expect((await party.call(tool('picture'))).content).toEqual([expect.objectContaining({ type: 'image', mimeType: 'image/png' })]);
    expect((await party.call(tool('weigh'), { what: 'iron' })).structuredContent).toEqual({ what: 'iron', grams: 12.5 });
    expect(JSON.stringify(await party.client.readResource({ uri: memo('memo://today') }))).toContain('Version');
    expect(JSON.stringify(await party.client.readResource({ uri: memo('memo://note/7') }))).toContain('Note 7');
    expect(JSON.stringify(await party.client.getPrompt({ name: tool('introduce'), arguments: { who: 'anna' } }))).toContain('This is anna.');
    const { completion } = await party.client.complete({
      ref: { type: 'ref/prompt', name: tool('introduce') },
      argument: { name: 'who', value: 'an' },
    });
    expect(completion.values).toEqual(['anna', 'anton']);
  });

  it('reports progress', async () => {
    const seen: unknown[] = [];
    await party.call(tool('count'), {}, { onprogress: (progress) => seen.push(progress) });
    expect(seen).toEqual([1, 2, 3].map((progress) => ({ progress, total: 3 })));
  });

  it('logs for the request that asked for it, and for no other', async () => {
    const lines = () => party.of('notifications/message').map(({ data }) => data);
    await party.call(tool('narrate'));
    expect(lines()).not.toContain('a warning');
    await party.call(tool('narrate'), {}, { logLevel: 'warning' });
    expect(lines()).toContain('a warning');
    expect(lines()).not.toContain('a detail');
    party.heard.length = 0;
  });

  it('asks in two rounds with the state of the upstream, and ran once', async () => {
    const asked = party.asked.length;
    expect(textOf(await party.call(tool('book'), { place: 'Rome' }))).toBe('Booked Rome: day=Monday, seat=4a (accept)');
    expect(party.asked.slice(asked).map(({ params }) => params.message)).toEqual([
      `Server “${upstream}” asks: Which day in Rome?`,
      `Server “${upstream}” asks: Which seat in Rome?`,
    ]);
    expect(JSON.parse(textOf(await party.call(tool('tally'))))).toMatchObject({ book: 1 });
  });

  it('samples and lists roots in one round', async () => {
    expect(JSON.parse(textOf(await party.call(tool('consult'))))).toEqual({
      advice: ANSWERS['sampling/createMessage']?.content,
      roots: ['file:///srv/work'],
    });
  });

  it('cancels at the upstream', async () => {
    const cancelled = async () => Number(JSON.parse(textOf(await party.call(tool('tally')))).cancelled);
    const before = await cancelled();
    const cancel = new AbortController();
    const running = party.call(tool('wait'), {}, { signal: cancel.signal, logLevel: 'debug' });
    await until(
      () => party.of('notifications/message').some(({ data }) => data === 'waiting'),
      (waits) => waits,
      5_000,
    );
    cancel.abort(new Error('enough'));
    await expect(running).rejects.toThrow('enough');
    await until(cancelled, (count) => count === before + 1, 5_000);
    party.heard.length = 0;
  });

  it('hears of a changed resource', async () => {
    const uri = memo('memo://today');
    const listening = await party.listen({ resourceSubscriptions: [uri] });
    await party.call(tool('rearrange'));
    await until(
      () => party.of('notifications/resources/updated'),
      (updates) => updates.length === 1 && updates[0]?.uri === uri,
      5_000,
    );
    await listening.close();
    party.heard.length = 0;
  });
});

describe('→ a server of SDK 2.4 without sessions, over HTTP', () => {
  it('hears of a changed list, once', async () => {
    const listening = await party.listen({ toolsListChanged: true });
    const hasExtra = async () => names((await party.client.listTools()).tools).includes('x_shop_extra');
    const had = await hasExtra();
    await party.call('x_shop_rearrange');
    await until(
      () => party.of('notifications/tools/list_changed').length,
      (count) => count === 1,
      5_000,
    );
    expect(await hasExtra()).toBe(!had);
    await listening.close();
  });
});

describe.each(['pipe', 'http', 'sse'])('→ server-everything as %s, across the eras', (upstream) => {
  const tool = (name: string) => `x_${upstream}_${name}`;
  const document = `turnpike://${upstream}/${encodeURIComponent('demo://resource/static/document/features.md')}`;

  it('calls: text, image, structured content, an error', async () => {
    const echo = await party.call(tool('echo'), { message: 'h\u00e9llo' });
    expect(textOf(echo)).toBe('Echo: h\u00e9llo');
    expect(echo._meta).toMatchObject({ 'turnpike/upstream': upstream });
    expect((await party.call(tool('get-tiny-image'))).content).toEqual(expect.arrayContaining([expect.objectContaining({ type: 'image' })]));
    const weather = await party.call(tool('get-structured-content'), { location: 'Chicago' });
    expect(weather.structuredContent).toEqual({ temperature: 36, conditions: 'Light rain / drizzle', humidity: 82 });
    expect(await party.call(tool('get-sum'), { a: 'one', b: 2 })).toMatchObject({ isError: true });
  });

  it('reports progress, cancels, and goes on', async () => {
    const seen: number[] = [];
    const LONG = tool('trigger-long-running-operation');
    // This server asks for roots a moment after it was initialized; a call that waits for input has no stream for its progress.
    await party.call(LONG, { duration: 0.6, steps: 1 });
    // The SDK itself reports rounds of input as progress.
    const onprogress = ({ progress, total }: { progress: number; total?: number | undefined }) => void (total === 3 && seen.push(progress));
    await party.call(LONG, { duration: 0.45, steps: 3 }, { onprogress });
    expect(seen).toEqual([1, 2, 3]);
    const cancel = new AbortController();
    const running = party.call(LONG, { duration: 30, steps: 100 }, { signal: cancel.signal, onprogress: () => cancel.abort(new Error('enough')) });
    await expect(running).rejects.toThrow('enough');
    expect(textOf(await party.call(tool('echo'), { message: 'after' }))).toBe('Echo: after');
  });

  it('completes an argument, reads, gets a prompt', async () => {
    const ref = { type: 'ref/prompt' as const, name: tool('completable-prompt') };
    expect((await party.client.complete({ ref, argument: { name: 'department', value: 'S' } })).completion.values).toEqual(['Sales', 'Support']);
    const read = await party.client.readResource({ uri: document });
    expect(JSON.stringify(read)).toContain('Everything Server');
    const prompt = await party.client.getPrompt({ name: tool('args-prompt'), arguments: { city: 'Bern', state: 'BE' } });
    expect(JSON.stringify(prompt)).toContain('Bern, BE');
  });

  it('hears of a changed resource', async () => {
    const updates = () => party.of('notifications/resources/updated').filter(({ uri }) => uri === document).length;
    const listening = await party.listen({ resourceSubscriptions: [document] });
    await party.call(tool('toggle-subscriber-updates'));
    await until(updates, (count) => count > 0, 5_000);
    await party.call(tool('toggle-subscriber-updates'));
    await listening.close();
  });
});

describe('→ a session upstream that asks its client', () => {
  it('is answered by the client in rounds, and the call ran once', async () => {
    const asked = party.asked.length;
    const answered = await party.call('x_asker_test_missing_capability');
    expect(answered.isError).toBeUndefined();
    expect(answered._meta).toMatchObject({ 'turnpike/upstream': 'asker' });
    expect(textOf(answered)).toContain('a sampled answer');
    expect(party.asked.slice(asked).map(({ method }) => method)).toEqual(['sampling/createMessage']);
    expect(textOf(await party.call('x_asker_greet', { name: 'again' }))).toBe('Hello, again!');
  });
});
