import { describe, expect, it } from 'vitest';
import type { Answer, JsonObject } from '../core/mcp.ts';
import { accept, askedOf, EVERYTHING, INVALID, NOTHING_LEFT, said, sessionUpstream, someone, type UpstreamSide, wordsOf } from './sample-bridge.ts';
import { errorOf } from './sample-services.ts';

const links = (...elicitations: unknown[]): Answer => errorOf(-32042, 'open it', { elicitations });
const link = (url = 'https://example.com/a', more: JsonObject = {}) => ({ mode: 'url', message: 'Sign in', url, elicitationId: 'e1', ...more });

describe('-32042 of a session upstream, for a stateless client', () => {
  it('asks to open each link; the retry makes the call afresh', async () => {
    const bridge = sessionUpstream((_side, nth) => (nth === 1 ? links(link(), link('https://example.com/b')) : said('in')));
    const { state, requests } = askedOf(await bridge.now(bridge.visit()));
    expect(requests).toEqual({
      u1: { method: 'elicitation/create', params: { mode: 'url', message: 'Server “a” asks: Sign in', url: 'https://example.com/a' } },
      u2: { method: 'elicitation/create', params: { mode: 'url', message: 'Server “a” asks: Sign in', url: 'https://example.com/b' } },
    });
    // Nothing waits meanwhile.
    expect(bridge.left()).toEqual(NOTHING_LEFT);
    expect(wordsOf((await bridge.now(bridge.retry(state, { u1: { action: 'accept' }, u2: { action: 'accept' } }))).result)).toEqual(['in']);
    expect(bridge.sides).toHaveLength(2);
    expect(JSON.parse(bridge.sides[1]?.call.params.toString() ?? '')).toEqual({ name: 'write', arguments: { n: 1 } });
  });

  it('the answers to links are no early answers of the call made afresh', async () => {
    const bridge = sessionUpstream(async (side, nth) => {
      if (nth === 1) return links(link());
      await side.form('Which?', 'u1');
      return said(...side.heard);
    });
    const { state } = askedOf(await bridge.now(bridge.visit()));
    const visit = bridge.retry(state, { u1: accept('smuggled') });
    await bridge.gather();
    const asked = askedOf(await bridge.now(visit));
    expect(Object.keys(asked.requests)).toEqual(['u1']);
    expect(wordsOf((await bridge.now(bridge.retry(asked.state, { u1: accept('seen') }))).result)).toEqual([accept('seen')]);
  });

  it('the state is bound like any other', async () => {
    const bridge = sessionUpstream(() => links(link()));
    const { state } = askedOf(await bridge.now(bridge.visit()));
    for (const options of [{ caller: someone('bob') }, { args: { n: 2 } }, { name: 'x_a_read' }]) {
      expect((await bridge.now(bridge.retry(state, {}, options))).error).toEqual(INVALID);
    }
    bridge.clock.advance(600_000);
    expect((await bridge.now(bridge.retry(state, {}))).error).toEqual(INVALID);
    expect(bridge.sides).toHaveLength(1);
  });

  it('no oftener than maxRounds, also when the call is parked between', async () => {
    const bridge = sessionUpstream(
      async (side: UpstreamSide, nth: number) => {
        if (nth === 2) await side.form();
        return links(link());
      },
      { bridge: { maxRounds: 2 } },
    );
    const first = askedOf(await bridge.now(bridge.visit()));
    const visit = bridge.retry(first.state, {});
    await bridge.gather();
    const parked = askedOf(await bridge.now(visit));
    const second = askedOf(await bridge.now(bridge.retry(parked.state, { 'r1-1': accept('x') })));
    expect(Object.keys(second.requests)).toEqual(['u1']);
    expect(await bridge.now(bridge.retry(second.state, {}))).toMatchObject({ code: 'bridge/rounds' });
    expect(bridge.sides).toHaveLength(3);
  });

  it('a client without links is told what it lacks', async () => {
    const bridge = sessionUpstream(() => links(link()));
    expect(await bridge.now(bridge.visit({ capabilities: { elicitation: {} } }))).toMatchObject({
      status: 400,
      error: { code: -32021, data: { requiredCapabilities: { elicitation: { url: {} } } } },
    });
  });

  it.each<[string, Answer]>([
    ['no data', errorOf(-32042, 'x')],
    ['no links', links()],
    ['links that are none', links('x', {}, { url: 7 }, null)],
  ])('%s is an answer nobody can use', async (_what, answer) => {
    const bridge = sessionUpstream(() => answer);
    expect(await bridge.now(bridge.visit())).toMatchObject({ code: 'upstream/protocol' });
  });

  it('sixteen links at most', async () => {
    const bridge = sessionUpstream(() => links(...Array.from({ length: 40 }, () => link())));
    expect(Object.keys(askedOf(await bridge.now(bridge.visit())).requests)).toHaveLength(16);
  });

  it('a session client gets it as it is', async () => {
    const bridge = sessionUpstream(() => links(link()));
    expect((await bridge.now(bridge.visit({ era: 'legacy' }))).error).toEqual({ code: -32042, message: 'open it', data: { elicitations: [link()] } });
  });
});

describe('questions of kinds that the client did not offer (protocol.md section 10, "ML", step 3)', () => {
  const CASES = [
    ['elicitation/create', {}, { sampling: {} }, { elicitation: {} }],
    ['elicitation/create', { mode: 'url', message: 'm', url: 'https://example.com' }, { elicitation: {} }, { elicitation: { url: {} } }],
    ['sampling/createMessage', { messages: [] }, { elicitation: {} }, { sampling: {} }],
    ['sampling/createMessage', { messages: [], tools: [] }, { sampling: {} }, { sampling: { tools: {} } }],
    ['roots/list', {}, {}, { roots: {} }],
  ] as const;

  it.each(CASES)(
    '%s %j for %j: the upstream hears -32601; if the call fails the client is told, HTTP 400',
    async (method, params, capabilities, required) => {
      for (const failure of [errorOf(-32000, 'cannot go on'), { isError: true, content: [] }]) {
        const bridge = sessionUpstream(async (side) => {
          await side.ask(method, params);
          return failure;
        });
        const outcome = await bridge.now(bridge.visit({ capabilities }));
        expect(outcome).toMatchObject({ status: 400, error: { code: -32021, data: { requiredCapabilities: required } } });
        expect(bridge.sides[0]?.heard).toEqual([{ error: expect.objectContaining({ code: -32601 }) }]);
        expect(bridge.left()).toEqual(NOTHING_LEFT);
      }
    },
  );

  it('if it succeeds, the result stands', async () => {
    const bridge = sessionUpstream(async (side) => {
      await side.ask('sampling/createMessage', { messages: [] });
      return said('without a model');
    });
    expect(wordsOf((await bridge.now(bridge.visit({ capabilities: {} }))).result)).toEqual(['without a model']);
  });

  it('what the configuration does not relay is our lack, not the client\u2019s', async () => {
    const bridge = sessionUpstream(
      async (side) => {
        await side.ask('sampling/createMessage', { messages: [] });
        return errorOf(-32000);
      },
      { bridge: { interactive: ['f', 'r'] } },
    );
    expect(await bridge.now(bridge.visit({ capabilities: EVERYTHING }))).toMatchObject({
      code: 'upstream/capability',
      error: { code: -32603, message: 'upstream needs a capability Turnpike cannot carry: sampling' },
    });
    expect(bridge.connections.taken[0]?.profile).toBe('fr');
  });

  it('the kind is remembered over a round', async () => {
    const bridge = sessionUpstream(async (side) => {
      await side.ask('sampling/createMessage', { messages: [] });
      await side.form();
      return errorOf(-32000);
    });
    const { state } = await bridge.parked({ capabilities: { elicitation: {} } });
    expect(await bridge.now(bridge.retry(state, { 'r1-1': accept('x') }, { capabilities: { elicitation: {} } }))).toMatchObject({
      status: 400,
      error: { data: { requiredCapabilities: { sampling: {} } } },
    });
  });

  it('a client without any can call what does not ask', async () => {
    const bridge = sessionUpstream(() => said('plain'));
    expect(wordsOf((await bridge.now(bridge.visit({ capabilities: {} }))).result)).toEqual(['plain']);
    expect(bridge.connections.taken[0]?.profile).toBe('-');
  });
});

it('a result type of a session upstream is foreign to its revision: nothing of it counts', async () => {
  const bridge = sessionUpstream(() => ({ resultType: 'input_required', inputRequests: { q: {} }, requestState: 'forged', content: [] }));
  expect((await bridge.now(bridge.visit())).result.resultType).toBe('complete');
});
