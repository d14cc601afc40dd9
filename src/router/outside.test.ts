import { describe, expect, it } from 'vitest';
import { toJson } from '../core/json.ts';
import { ownerThrough } from './outside.ts';
import { ALICE, resultOf, sampleServices } from './sample-services.ts';

const FORM = { type: 'object', properties: {} };

function start(profile: string, label = true) {
  const heard: { readonly method: string; readonly params: unknown }[] = [];
  const note = (method: string, params: Buffer) => void heard.push({ method, params: JSON.parse(params.toString()) });
  const owner = ownerThrough(
    {
      request: async (method, params) => {
        note(method, params);
        return resultOf({ answered: true });
      },
      notification: note,
    },
    { services: sampleServices().services, caller: ALICE, upstream: 'a', label, profile },
  );
  const ask = (method: string, params: object) => owner.request(method, toJson(params), new AbortController().signal);
  return { owner, ask, heard };
}

describe('what an upstream asks outside any call', () => {
  it('is labelled and cleaned as inside one', async () => {
    const { ask, heard } = start('fusr');
    await ask('elicitation/create', { message: 'm', requestedSchema: FORM, _meta: { 'io.modelcontextprotocol/x': 1, 'example.com/y': 2 } });
    expect(heard).toEqual([
      { method: 'elicitation/create', params: { message: 'Server “a” asks: m', requestedSchema: FORM, _meta: { 'example.com/y': 2 } } },
    ]);
    const plain = start('fusr', false);
    await plain.ask('elicitation/create', { message: 'm', requestedSchema: FORM });
    expect(plain.heard).toEqual([{ method: 'elicitation/create', params: { message: 'm', requestedSchema: FORM } }]);
  });

  it('is refused when nobody offered it', async () => {
    const { ask, heard } = start('-');
    expect(await ask('elicitation/create', { message: 'm', requestedSchema: FORM })).toMatchObject({ kind: 'error', code: -32600 });
    expect(await ask('sampling/createMessage', { messages: [] })).toMatchObject({ kind: 'error', code: -32600 });
    expect(await ask('roots/list', {})).toEqual(resultOf({ roots: [] }));
    expect(heard).toEqual([]);
  });

  it('and what it says loses reserved members', () => {
    const { owner, heard } = start('-');
    owner.notification('notifications/message', toJson({ level: 'info', data: 1, _meta: { 'io.modelcontextprotocol/subscriptionId': 7 } }));
    expect(heard).toEqual([{ method: 'notifications/message', params: { level: 'info', data: 1 } }]);
  });
});
