import { expect } from 'vitest';
import type { JsonObject } from '../../src/core/mcp.ts';
import { until } from '../fixtures/processes.ts';
import { MEMO, SIGN_IN } from '../fixtures/sdk-servers/workshop.ts';
import { ANSWERS, type Message, type Party, TOOL_USE, textOf } from './interop-clients.ts';

/** A published client, and a workshop behind the gateway. */
export interface Pair {
  readonly party: Party;
  readonly upstream: string;
}

const hasSession = ({ party }: Pair): boolean => party.kind !== 'SDK 2.4 stateless';

/** What a workshop offers, by whatever client it is used: each throws when the feature does not work. */
export const FEATURES: Readonly<Record<string, (pair: Pair) => Promise<void>>> = {
  'asks by forms, one after the other, and the call ran once': async (pair) => {
    const before = await tally(pair, 'book');
    const { result, asked } = await asking(pair, 'book', { place: 'Rome' });
    expect(textOf(result)).toBe('Booked Rome: day=Monday, seat=4a (accept)');
    expect(asked.map(({ method }) => method)).toEqual(['elicitation/create', 'elicitation/create']);
    expect(asked.map(({ params }) => params.message)).toEqual([
      `Server “${pair.upstream}” asks: Which day in Rome?`,
      `Server “${pair.upstream}” asks: Which seat in Rome?`,
    ]);
    expect(asked[1]?.params.requestedSchema).toMatchObject({ type: 'object', properties: { seat: { type: 'string' } }, required: ['seat'] });
    expect(await tally(pair, 'book')).toBe(before + 1);
  },

  'hears that a form was declined': async (pair) => {
    pair.party.answering = async () => ({ action: 'decline' });
    const { result } = await asking(pair, 'book', { place: 'Rome' });
    expect(textOf(result)).toMatch(/\(decline\)$/);
  },

  'sends its user to a URL': async (pair) => {
    const { result, asked } = await asking(pair, 'visit');
    expect(textOf(result)).toBe('Visited: accept');
    expect(asked).toHaveLength(1);
    expect(asked[0]?.params).toMatchObject({ mode: 'url', url: SIGN_IN.url, message: `Server “${pair.upstream}” asks: ${SIGN_IN.message}` });
    // 2026-07-28 has no such id: its retry is the signal.
    expect(typeof asked[0]?.params.elicitationId).toBe(hasSession(pair) ? 'string' : 'undefined');
  },

  'asks a model and for roots at once': async (pair) => {
    const { result, asked } = await asking(pair, 'consult');
    expect(JSON.parse(textOf(result))).toEqual({ advice: ANSWERS['sampling/createMessage']?.content, roots: ['file:///srv/work'] });
    expect(asked.map(({ method }) => method).sort()).toEqual(['roots/list', 'sampling/createMessage']);
    expect(asked.find(({ method }) => method === 'sampling/createMessage')?.params).toMatchObject({
      maxTokens: 10,
      messages: [{ role: 'user', content: { type: 'text', text: 'What now?' } }],
    });
  },

  'asks a model that may call tools': async (pair) => {
    const { result, asked } = await asking(pair, 'reckon');
    expect(JSON.parse(textOf(result))).toEqual(TOOL_USE.content);
    expect(asked).toHaveLength(1);
    expect(asked[0]?.params).toMatchObject({ tools: [{ name: 'add' }], toolChoice: { mode: 'required' } });
  },

  'reports progress': async (pair) => {
    const seen: unknown[] = [];
    await pair.party.call(tool(pair, 'count'), {}, { onprogress: (progress) => seen.push(progress) });
    expect(seen).toEqual([1, 2, 3].map((progress) => ({ progress, total: 3 })));
  },

  'logs at the level that was asked for': async (pair) => {
    const { party } = pair;
    party.heard.length = 0;
    const lines = () => party.of('notifications/message').map(({ data }) => data);
    if (hasSession(pair)) {
      await party.client.setLoggingLevel('warning');
      await party.call(tool(pair, 'narrate'));
    } else {
      await party.call(tool(pair, 'narrate'));
      expect(lines()).toEqual([]);
      await party.call(tool(pair, 'narrate'), {}, { logLevel: 'warning' });
    }
    expect(lines()).toContain('a warning');
    expect(lines()).not.toContain('a detail');
    if (hasSession(pair)) await party.client.setLoggingLevel('debug');
    await party.call(tool(pair, 'narrate'), {}, { logLevel: 'debug' });
    expect(lines()).toContain('a detail');
  },

  'cancels at the upstream': async (pair) => {
    const { party } = pair;
    const before = await tally(pair, 'cancelled');
    party.heard.length = 0;
    const cancel = new AbortController();
    const running = party.call(tool(pair, 'wait'), {}, { signal: cancel.signal, logLevel: 'debug' });
    await until(
      () => party.of('notifications/message').some(({ data }) => data === 'waiting'),
      (waits) => waits,
      5_000,
    );
    cancel.abort(new Error('enough'));
    await expect(running).rejects.toThrow('enough');
    await until(
      () => tally(pair, 'cancelled'),
      (count) => count === before + 1,
      5_000,
    );
  },

  'hears of a changed resource and of a changed list, once': async (pair) => {
    const { party, upstream } = pair;
    const uri = `turnpike://${upstream}/${encodeURIComponent(MEMO)}`;
    const updates = () => party.of('notifications/resources/updated').filter((params) => params.uri === uri).length;
    const changes = () => party.of('notifications/tools/list_changed').length;
    const hasExtra = async () => (await party.client.listTools()).tools.some(({ name }) => name === tool(pair, 'extra'));
    const listening = hasSession(pair) ? undefined : await party.listen({ toolsListChanged: true, resourceSubscriptions: [uri] });
    if (hasSession(pair)) await party.client.subscribeResource({ uri });
    const had = await hasExtra();
    const [updated, changed] = [updates(), changes()];
    await party.call(tool(pair, 'rearrange'));
    await until(
      () => [updates(), changes()],
      ([u, c]) => u === updated + 1 && c === changed + 1,
      5_000,
    );
    await until(hasExtra, (has) => has === !had, 5_000);
    expect([updates(), changes()]).toEqual([updated + 1, changed + 1]);
    if (hasSession(pair)) await party.client.unsubscribeResource({ uri });
    await listening?.close();
  },
};

export function tool({ upstream }: Pair, name: string): string {
  return `x_${upstream}_${name}`;
}

/** A call, and what its client was asked meanwhile. */
export async function asking(pair: Pair, name: string, args: JsonObject = {}): Promise<{ result: JsonObject; asked: readonly Message[] }> {
  const { party } = pair;
  const before = party.asked.length;
  try {
    return { result: await party.call(tool(pair, name), args), asked: party.asked.slice(before) };
  } finally {
    party.answering = undefined;
  }
}

/** How often something happened at the upstream. */
export async function tally(pair: Pair, what: string): Promise<number> {
  const counts = JSON.parse(textOf(await pair.party.call(tool(pair, 'tally')))) as JsonObject;
  return Number(counts[what] ?? 0);
}
