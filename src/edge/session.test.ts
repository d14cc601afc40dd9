import { describe, expect, it } from 'vitest';
import { ManualClock } from '../core/manual-clock.ts';
import type { JsonObject } from '../core/mcp.ts';
import { OwnAbort } from '../core/own-abort.ts';
import { Secret } from '../core/secret.ts';
import { KeepAlive } from './keep-alive.ts';
import { SampleResponse, turn } from './sample-response.ts';
import { Session } from './session.ts';
import { SseWriter } from './sse-writer.ts';

const EMPTY = Buffer.from('{}');

function made(capabilities: JsonObject = {}) {
  const clock = new ManualClock();
  const caller = { principal: { issuer: 'static', subject: 'alice' }, tenant: 'default', scopes: new Set<never>() };
  const session = new Session({ id: 'id', caller, version: '2025-11-25', capabilities, clock, patience: 600_000 });
  const sent: JsonObject[] = [];
  const outlet = (bytes: Buffer) => void sent.push(JSON.parse(bytes.toString()) as JsonObject);
  /** Opens the GET stream. */
  const listen = () => {
    const response = new SampleResponse();
    session.standing = session.replay.create();
    session.replay.attach(session.standing, new SseWriter(response.response, new KeepAlive(clock)));
    return response;
  };
  return { clock, session, sent, outlet, listen };
}

const result = (text: string) => ({ kind: 'result', result: Buffer.from(text) }) as const;

it('forgets the credential of its owner when it ends', () => {
  const { session } = made();
  session.bring({ scheme: 'private-token', token: new Secret('token'), instance: 'https://gitlab.com/api/v4' });
  expect([session.caller.credential?.token.reveal(), session.instance]).toEqual(['token', 'https://gitlab.com/api/v4']);
  session.end();
  expect([session.caller.credential, session.instance, session.caller.principal.subject]).toEqual([undefined, undefined, 'alice']);
});

describe('requests of the client', () => {
  it('have ids of their own while they run', () => {
    const { session } = made();
    const place = session.begin(1, new OwnAbort());
    session.begin('1', new OwnAbort());
    expect(() => session.begin(1, new OwnAbort())).toThrow('the id 1 is in use');
    session.finish(place);
    session.begin(1, new OwnAbort());
  });

  it('are cancelled one by one, and all with the session', () => {
    const { session } = made();
    const [one, two] = [new OwnAbort(), new OwnAbort()];
    session.begin(1, one);
    session.begin(2, two);
    session.cancel(1);
    session.cancel('unknown');
    expect([one.signal.aborted, two.signal.aborted]).toEqual([true, false]);
    session.end();
    session.end();
    expect([two.signal.aborted, session.ended.aborted]).toEqual([true, true]);
  });
});

describe('a question to the client', () => {
  const never = new AbortController().signal;

  it('is answered by the response with its id, and by no other', async () => {
    const { clock, session, sent, outlet } = made();
    const [first, second] = [session.ask(outlet, 'a', EMPTY, never), session.ask(outlet, 'b', EMPTY, never)];
    expect(sent).toEqual([
      { jsonrpc: '2.0', id: 1, method: 'a', params: {} },
      { jsonrpc: '2.0', id: 2, method: 'b', params: {} },
    ]);
    for (const id of ['1', '2', 0, 3, 1.5]) session.answered(id, result('"forged"'));
    session.answered(2, result('"two"'));
    session.answered(1, result('"one"'));
    session.answered(1, result('"late"'));
    expect([await first, await second]).toEqual([result('"one"'), result('"two"')]);
    expect(clock.pending).toBe(0);
  });

  it('is taken back when nobody waits any more, and after ten minutes', async () => {
    const { clock, session, sent, outlet } = made();
    const cancel = new AbortController();
    const cancelled = session.ask(outlet, 'a', EMPTY, cancel.signal);
    const forgotten = session.ask(outlet, 'b', EMPTY, never);
    cancel.abort();
    expect(await cancelled).toMatchObject({ kind: 'error', code: -32603 });
    clock.advance(10 * 60_000);
    expect(await forgotten).toMatchObject({ kind: 'error' });
    expect(sent.slice(2)).toMatchObject([
      { method: 'notifications/cancelled', params: { requestId: 1 } },
      { method: 'notifications/cancelled', params: { requestId: 2 } },
    ]);
    expect(clock.pending).toBe(0);
  });

  it('ends with the session, without a word to a client that is gone', async () => {
    const { clock, session, sent, outlet } = made();
    const asked = session.ask(outlet, 'a', EMPTY, never);
    session.end();
    expect(await asked).toMatchObject({ kind: 'error' });
    expect([sent.length, clock.pending]).toEqual([1, 0]);
  });
});

describe('outside any request', () => {
  const never = new AbortController().signal;

  it.each(['sampling/createMessage', 'elicitation/create', 'logging/unheard'])('%s is refused without a GET stream', async (method) => {
    const { session } = made({ sampling: {}, elicitation: {} });
    expect(await session.request(method, EMPTY, never)).toMatchObject({ kind: 'error', code: -32600 });
  });

  it('roots are none, rather than an error', async () => {
    const { session } = made({ roots: {} });
    expect(await session.request('roots/list', EMPTY, never)).toEqual(result('{"roots":[]}'));
  });

  it('a client that declared a capability is asked on its GET stream, another one is not', async () => {
    const able = made({ sampling: {} });
    const response = able.listen();
    const asked = able.session.request('sampling/createMessage', EMPTY, never);
    await turn();
    expect(response.text).toContain('"method":"sampling/createMessage"');
    able.session.answered(1, result('{"ok":true}'));
    expect(await asked).toEqual(result('{"ok":true}'));
    expect(await able.session.request('elicitation/create', EMPTY, never)).toMatchObject({ code: -32600 });
    expect(response.text).not.toContain('elicitation');
  });

  it('log lines go to the GET stream, and other notifications nowhere', async () => {
    const { session, listen } = made();
    session.notification('notifications/message', EMPTY);
    const response = listen();
    session.notification('notifications/message', Buffer.from('{"level":"info"}'));
    session.notification('notifications/tools/list_changed', EMPTY);
    session.notification('notifications/progress', EMPTY);
    await turn();
    expect(response.text.match(/"method":"[^"]+"/g)).toEqual(['"method":"notifications/message"']);
    expect(response.text).toContain('{"level":"info"}');
  });
});
