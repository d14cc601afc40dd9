import { getEventListeners } from 'node:events';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TurnpikeError } from '../../core/errors.ts';
import { toJson } from '../../core/json.ts';
import type { JsonObject } from '../../core/mcp.ts';
import { BuiltinRig, FORMS, NEVER, settle } from './sample-rig.ts';

let rig: BuiltinRig;
beforeEach(() => {
  rig = new BuiltinRig();
});
afterEach(async () => {
  expect(await rig.left()).toEqual({ leases: 0, running: [0], timers: 0 });
});

describe('cancellation', () => {
  it.each(['steps', 'deaf'])('ends a call to %s at once, and it does nothing more', async (name) => {
    const client = new AbortController();
    const call = rig.call(name, {}, { signal: client.signal, progress: true });
    const outcome = call.catch((error: unknown) => error);
    await settle();
    expect(rig.transports[0]?.running).toBe(1);
    client.abort(new Error('gone'));
    expect(await outcome).toEqual(new Error('gone'));
    await settle();
    expect([rig.leased, rig.transports[0]?.running, rig.clock.pending]).toEqual([0, 0, 0]);
    const heard = rig.said.length;
    await rig.clock.advanceAsync(5_000, 1_000);
    expect([rig.done, rig.said.length]).toEqual([[], heard]);
  });

  it('while the credential is being checked gives a lease back that comes late', async () => {
    const client = new AbortController();
    const { promise, resolve } = Promise.withResolvers<void>();
    rig.before = () => promise;
    const outcome = rig.call('whoami', {}, { signal: client.signal }).catch((error: unknown) => error);
    await settle();
    client.abort(new Error('gone'));
    expect(await outcome).toEqual(new Error('gone'));
    resolve();
    await settle();
    expect(rig.leased).toBe(0);
  });

  it('at every moment leaves nothing behind, and answers or gives its reason', async () => {
    const outcomes = new Set<unknown>();
    for (let moment = 0; moment < 40; moment++) {
      const client = new AbortController();
      const call = rig.call('destroy', { name: 'x' }, { signal: client.signal, capabilities: FORMS });
      const outcome = call.then(
        ({ resultType }) => resultType,
        (error: unknown) => error,
      );
      for (let turn = 0; turn < moment; turn++) await Promise.resolve();
      client.abort(client);
      const ended = await outcome;
      outcomes.add(ended === client ? 'aborted' : ended);
      await settle();
      expect([rig.leased, rig.transports[0]?.running, getEventListeners(client.signal, 'abort').length]).toEqual([0, 0, 0]);
    }
    expect([...outcomes]).toEqual(['aborted', 'input_required']);
  });

  it('before it was sent reaches no handler', async () => {
    await expect(rig.call('whoami', {}, { signal: AbortSignal.abort(new Error('gone')) })).rejects.toThrow('gone');
  });

  it('a credential that is revoked meanwhile ends its calls with that error', async () => {
    const outcome = rig.call('deaf').catch((error: unknown) => error);
    await settle();
    rig.revoked.abort(new TurnpikeError('pool/closed', 'the credential was revoked'));
    expect(await outcome).toMatchObject({ code: 'pool/closed' });
    rig.revoked = new AbortController();
    expect(await rig.call('whoami')).toMatchObject({ structuredContent: { user: 'ann' } });
  });

  it('a connection that is closed ends its calls, and takes no new ones', async () => {
    const outcome = rig.call('deaf').catch((error: unknown) => error);
    await settle();
    await (await rig.link).close();
    expect(await outcome).toMatchObject({ code: 'upstream/lost' });
    const send = rig.transports[0]?.send(toJson({ id: 1, method: 'tools/list' }), { signal: NEVER, expectsAnswer: true });
    await expect(send).rejects.toMatchObject({ code: 'upstream/down', details: { retryable: true } });
  });

  it('what the source of contexts throws is what the upstream throws', async () => {
    rig.before = () => Promise.reject(new TurnpikeError('upstream/login', 'Invalid GitLab token'));
    await expect(rig.call('whoami')).rejects.toMatchObject({ code: 'upstream/login', message: 'Invalid GitLab token' });
    // Who is not known hears nothing of what is wrong with the arguments.
    await expect(rig.call('add', { c: 1 })).rejects.toMatchObject({ code: 'upstream/login' });
  });
});

describe('questions', () => {
  const answered = (asked: JsonObject, responses: JsonObject, args: JsonObject = { name: 'x' }, name = 'destroy') =>
    rig.request('tools/call', { name, arguments: args, inputResponses: responses, requestState: asked.requestState }, { capabilities: FORMS });
  const yes = { action: 'accept', content: { sure: true } };

  it('end the run, which begins again with the answers of all rounds', async () => {
    const first = await rig.call('destroy', { name: 'x' }, { capabilities: FORMS });
    expect(first).toMatchObject({
      resultType: 'input_required',
      inputRequests: {
        first: { method: 'elicitation/create', params: { mode: 'form', message: 'Destroy x?', requestedSchema: { type: 'object' } } },
      },
      requestState: expect.stringMatching(/^[\w-]+$/),
    });
    expect(Object.keys(first).sort()).toEqual(['_meta', 'inputRequests', 'requestState', 'resultType']);
    const second = await answered(first, { first: yes });
    expect(Object.keys(second.inputRequests as JsonObject)).toEqual(['second']);
    expect(rig.done).toEqual([]);
    expect(await answered(second, { second: yes })).toMatchObject({ resultType: 'complete', content: [{ text: 'Destroyed.' }] });
    expect(rig.done).toEqual(['destroyed x']);
  });

  it.each([{ action: 'decline' }, { action: 'cancel' }, { action: 'accept', content: { sure: false } }])('%j does nothing', async (answer) => {
    const first = await rig.call('destroy', { name: 'x' }, { capabilities: FORMS });
    expect(await answered(first, { first: answer })).toMatchObject({ isError: true });
    expect(rig.done).toEqual([]);
  });

  it.each<JsonObject>([
    { action: 'accept' },
    { action: 'accept', content: {} },
    { action: 'accept', content: { sure: 'yes' } },
    { action: 'accept', content: { sure: true, more: 1 } },
    { action: 'yes', content: { sure: true } },
    {},
  ])('the answer %j is none: it is asked again', async (answer) => {
    const first = await rig.call('destroy', { name: 'x' }, { capabilities: FORMS });
    expect(await answered(first, { first: answer, other: yes })).toMatchObject({ inputRequests: { first: {} } });
  });

  it('an answer counts only for a question that was put, in the words in which it was put', async () => {
    // Sent along unasked, as a model might that fills in whatever it can.
    const early = await rig.request(
      'tools/call',
      { name: 'destroy', arguments: { name: 'x' }, inputResponses: { first: yes, second: yes } },
      { capabilities: FORMS },
    );
    expect(early).toMatchObject({ inputRequests: { first: {} } });
    expect(await answered(early, { first: yes, second: yes })).toMatchObject({ inputRequests: { second: {} } });
    // The state is of a call with other arguments, and of another tool.
    expect(await answered(early, { first: yes }, { name: 'y' })).toMatchObject({ code: -32602, message: 'Invalid or expired request state' });
    expect(await answered(early, { k: yes }, {}, 'insists')).toMatchObject({ code: -32602, message: 'Invalid or expired request state' });
    for (const requestState of ['', 'e30', 'x', 7, null, 'a'.repeat(70_000)]) {
      expect(await answered({ requestState }, { first: yes })).toEqual({ code: -32602, message: 'Invalid or expired request state' });
    }
    expect(rig.done).toEqual([]);
  });

  it('a question that reads differently by now is put again, though it was answered', async () => {
    const asked = async (before: JsonObject, responses: JsonObject) => {
      const after = await answered(before, responses, {}, 'transfer');
      return [
        after,
        Object.values((after.inputRequests ?? {}) as Record<string, JsonObject>).map(({ params }) => (params as JsonObject).message),
      ] as const;
    };
    const first = await rig.call('transfer', {}, { capabilities: FORMS });
    rig.user = 'bob';
    const [second, put] = await asked(first, { who: yes });
    expect(put).toEqual(['Transfer as bob?']);
    const [third, then] = await asked(second, { who: yes });
    expect(then).toEqual(['Sure?']);
    rig.user = 'eve';
    const [fourth, again] = await asked(third, { sure: yes });
    expect([again, rig.done]).toEqual([['Transfer as eve?'], []]);
    const [fifth] = await asked(fourth, { who: yes });
    const [last] = await asked(fifth, { sure: yes });
    expect([last.resultType, rig.done]).toEqual(['complete', ['transferred']]);
  });

  it('responses of the wrong shape are refused', async () => {
    for (const inputResponses of [[], 'x', { first: true }]) {
      const sent = rig.request('tools/call', { name: 'destroy', arguments: { name: 'x' }, inputResponses }, { capabilities: FORMS });
      expect(await sent).toEqual({ code: -32602, message: 'inputResponses must be an object of objects' });
    }
  });

  it('a handler that swallows a question has asked nevertheless', async () => {
    expect(await rig.call('swallows', {}, { capabilities: FORMS })).toMatchObject({ resultType: 'input_required' });
  });

  it.each([{}, { elicitation: { url: {} } }, { sampling: {} }])('a client that declares %j is not asked', async (capabilities) => {
    expect(await rig.call('destroy', { name: 'x' }, { capabilities })).toMatchObject({
      isError: true,
      content: [{ text: expect.stringContaining('confirm') }],
    });
    expect(await rig.call('insists', {}, { capabilities })).toMatchObject({ code: -32021, data: { requiredCapabilities: { elicitation: {} } } });
  });

  it('a client that names forms is asked', async () => {
    expect(await rig.call('insists', {}, { capabilities: { elicitation: { form: {}, url: {} } } })).toMatchObject({ resultType: 'input_required' });
  });
});
