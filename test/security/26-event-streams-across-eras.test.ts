import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/mcp.ts';
import { AskingUpstreams, answer, CAN_ASK } from './kit/asking-upstreams.ts';
import type { LegacyClient } from './kit/clients.ts';
import { GatewayRig, USERS } from './kit/gateway.ts';
import { eventsOf, type Stream } from './kit/http.ts';

/** Class 26 where the eras meet: questions and answers stay data on their way, and a question is replayed to its own session alone. */

const HOSTILE = [
  'line\nevent: message\ndata: {"jsonrpc":"2.0","method":"notifications/forged"}\n\n',
  '\r\rdata: {"forged":1}\r\r',
  'id: 9-9\nretry: 1\n: comment',
  '\u2028data: {}\u2029\u0085',
  '\n\ndata: {"jsonrpc":"2.0","id":1,"result":{"forged":true}}\n\n',
];

let upstreams: AskingUpstreams;
let rig: GatewayRig;

beforeAll(async () => {
  upstreams = await AskingUpstreams.start();
  rig = await GatewayRig.start({ upstreams: upstreams.section });
});
beforeEach(() => upstreams.clear());
afterAll(async () => {
  await rig[Symbol.asyncDispose]();
  await upstreams[Symbol.asyncDispose]();
});

const isQuestion = ({ method }: JsonObject) => method === 'elicitation/create';

async function asking(
  up: string,
  message: string,
): Promise<{ readonly session: LegacyClient; readonly stream: Stream; readonly question: JsonObject }> {
  const session = await rig.session('alice', { capabilities: CAN_ASK });
  const stream = await session.stream('tools/call', { name: `x_${up}_ask`, arguments: { message } }, 'call');
  await stream.until((messages) => messages.some(isQuestion));
  return { session, stream, question: stream.messages.find(isQuestion) as JsonObject };
}

describe.each(['old', 'young'])('at upstream "%s"', (up) => {
  it.each(HOSTILE.map((word, sample) => [sample, word] as const))(
    'sample %i in a question and in its answer is data, for a session client',
    async (_sample, word) => {
      const { session, stream, question } = await asking(up, word);
      expect(question.params).toMatchObject({ message: `Server “${up}” asks: ${word}` });
      await session.post({ jsonrpc: '2.0', id: question.id, result: answer(word) });
      await stream.ended;
      // The empty first event, the question, the answer.
      expect(eventsOf(stream.text)).toHaveLength(3);
      expect(stream.messages.map(({ method, id }) => [method, id])).toEqual([
        ['elicitation/create', question.id],
        [undefined, 'call'],
      ]);
      expect(upstreams.heard(up)).toEqual([answer(word)]);
      await session.end();
    },
  );

  it.each(HOSTILE.map((word, sample) => [sample, word] as const))('and for a stateless one (sample %i)', async (_sample, word) => {
    const alice = rig.modern('alice');
    const params = { name: `x_${up}_ask`, arguments: { message: word } };
    const { result } = await alice.send('tools/call', params, { capabilities: CAN_ASK });
    expect(result.inputRequests).toMatchObject({ q: { params: { message: `Server “${up}” asks: ${word}` } } });
    const retry = await alice.send(
      'tools/call',
      { ...params, requestState: String(result.requestState), inputResponses: { q: answer(word) } },
      { capabilities: CAN_ASK },
    );
    expect(retry.messages).toHaveLength(1);
    expect(retry.result.content).toEqual([{ type: 'text', text: JSON.stringify(answer(word)) }]);
    expect(upstreams.heard(up)).toEqual([answer(word)]);
  });

  it('a question on a stream that was cut is replayed to its own session, to no other one, and answered once', async () => {
    const { session, stream, question } = await asking(up, 'Which?');
    const first = eventsOf(stream.text)[0]?.id ?? '';
    stream.close();
    for (const user of ['bob', 'alice'] as const) {
      const other = await rig.session(user, { capabilities: CAN_ASK });
      const resumed = await other.listen({ 'last-event-id': first });
      // What is said to everybody in that session comes after what would be replayed.
      await other.call(`x_${up}_plain`);
      expect(resumed.messages).toEqual([]);
      resumed.close();
      await other.end();
    }
    const stolen = await session.listen({ 'last-event-id': first, authorization: `Bearer ${USERS.bob.token}` });
    await stolen.ended;
    expect([stolen.status, stolen.text.includes('Which')]).toEqual([404, false]);
    const own = await session.listen({ 'last-event-id': first });
    await own.until((messages) => messages.some(isQuestion));
    expect(own.messages.filter(isQuestion)).toEqual([question]);
    await session.post({ jsonrpc: '2.0', id: question.id, result: answer('resumed') });
    await own.until((messages) => messages.some(({ id, method }) => id === 'call' && method === undefined));
    expect(upstreams.heard(up)).toEqual([answer('resumed')]);
    own.close();
    await session.end();
  });

  it('of two streams of one session each is replayed by itself', async () => {
    const { session, stream } = await asking(up, 'First?');
    const second = await session.stream('tools/call', { name: `x_${up}_ask`, arguments: { message: 'Second?' } }, 'call 2');
    await second.until((messages) => messages.some(isQuestion));
    const from = eventsOf(second.text)[0]?.id ?? '';
    stream.close();
    second.close();
    const resumed = await session.listen({ 'last-event-id': from });
    await resumed.until((messages) => messages.some(isQuestion));
    const [question] = resumed.messages;
    await session.post({ jsonrpc: '2.0', id: (question as JsonObject).id, result: answer('second') });
    await resumed.ended;
    expect(resumed.text).not.toContain('First?');
    expect(resumed.messages.map(({ method, id }) => method ?? id)).toEqual(['elicitation/create', 'call 2']);
    await session.end();
  });

  it('a stateless client cannot resume anything', async () => {
    const { session, stream } = await asking(up, 'Which?');
    const first = eventsOf(stream.text)[0]?.id ?? '';
    const reply = await rig.modern('alice').call(`x_${up}_plain`, {}, { headers: { 'last-event-id': first } });
    expect(reply.text).not.toContain('Which');
    expect(eventsOf(reply.text)).toEqual([]);
    stream.close();
    await session.end();
  });
});
