import { expect, it } from 'vitest';
import { toJson } from '../../core/json.ts';
import { FORM, turn } from '../sample-bridge.ts';
import { ALICE, sampleServices } from '../sample-services.ts';
import { judge } from './judged-questions.ts';

const SECRET = { message: 'Sign in', requestedSchema: { type: 'object', properties: { password: { type: 'string' } } } };

function start(more: { readonly sessionId?: string } = {}) {
  const { services, audited } = sampleServices();
  const asked = { services, caller: { ...ALICE, ...more }, era: 'modern', upstream: 'a', profile: 'f' } as const;
  return { asked, audited };
}

it('what may be asked passes with its bytes, and nothing is written', async () => {
  const { asked, audited } = start();
  const params = Buffer.from(`{ "message":"Which?", "requestedSchema":${JSON.stringify(FORM)}, "x":1.0 }`);
  expect(judge(asked, 'elicitation/create', params)).toEqual({ kind: 'ask', params });
  await turn();
  expect(audited).toEqual([]);
});

it.each([
  ['a form that asks for a secret', SECRET, 'bridge/secret-form', { kind: 'result' }],
  ['a form that is none', { message: 'm' }, 'bridge/form-schema', { kind: 'error', code: -32602 }],
])('%s is answered and audited: who, which upstream, why, and nothing of its text', async (_what, params, decision, answer) => {
  const { asked, audited } = start({ sessionId: 'session-of-alice' });
  expect(judge(asked, 'elicitation/create', toJson(params))).toMatchObject({ kind: 'answer', answer });
  await turn();
  expect(audited).toEqual([
    expect.objectContaining({
      decision,
      outcome: 'refused',
      upstream: 'a',
      method: 'elicitation/create',
      tenant: 't1',
      principal: expect.objectContaining({ issuer: 'static', subject: 'alice' }),
    }),
  ]);
  const text = JSON.stringify(audited);
  expect(text).not.toContain('Sign in');
  expect(text).not.toContain('session-of-alice');
});
