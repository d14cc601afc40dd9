import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { GatewayRig } from '../fixtures/hostile/gateway-rig.ts';
import { type Answered, type Front, namesOf, type SessionClient, textOf } from '../fixtures/hostile/wire.ts';
import { until } from '../fixtures/processes.ts';

const CALL_MS = 400;

let rig: GatewayRig;
let front: Front;
let session: SessionClient;

beforeAll(async () => {
  rig = await GatewayRig.make();
  const patient = { timeouts: { call: '20s', list: '2s', startup: '10s' } };
  front = await rig.start({
    upstreams: [
      rig.child({ name: 'old' }),
      rig.child({ name: 'new', era: 'modern' }),
      rig.child({ name: 'oldSlow', more: patient }),
      rig.child({ name: 'newSlow', era: 'modern', more: patient }),
    ],
  });
  session = await front.session();
});
afterAll(async () => {
  await rig[Symbol.asyncDispose]();
});

const call = (upstream: string, tool: string) =>
  upstream.startsWith('new') ? front.call(`x_${upstream}_${tool}`) : session.call(`x_${upstream}_${tool}`);

/** The next call on the same upstream works, and is answered with its own answer. */
async function nextCallWorks(upstream: string): Promise<void> {
  expect(textOf(await call(upstream, 'echo'))).toBe('echo');
}

/** The upstream failed: a tool result that says so, in the words of the client's era. */
function isFailure(answer: Answered, upstream: string, code: number, text: string): void {
  const { result, error } = answer.body;
  const meta = result?._meta as { 'turnpike/error'?: unknown } | undefined;
  expect([answer.status, error, result?.isError, result?.content, meta?.['turnpike/error'], result?.resultType]).toEqual([
    200,
    undefined,
    true,
    [{ type: 'text', text }],
    { code, upstream, retryable: false },
    upstream.startsWith('new') ? 'complete' : undefined,
  ]);
}

function isProtocolError(answer: Answered, upstream: string, message: string): void {
  expect([answer.status, answer.body]).toEqual([
    200,
    { jsonrpc: '2.0', id: 1, error: { code: -32603, message, data: { code: -32603, upstream, retryable: false } } },
  ]);
}

describe.each(['old', 'new'])('a child of ours (%s)', (upstream) => {
  it.each(['nothing', 'garbage', 'halfThenSilence', 'badUtf8', 'stringId', 'foreignId', 'late'])(
    '%s: the call ends at its deadline, the child hears of it, the next one works',
    async (tool) => {
      const before = (await rig.journal(upstream)).filter((line) => line === 'notifications/cancelled').length;
      const begun = performance.now();
      const answer = await call(upstream, tool);
      isFailure(answer, upstream, -31002, `tool 'x_${upstream}_${tool}' timed out after 0.4s`);
      expect(performance.now() - begun).toBeLessThan(CALL_MS + 1500);
      expect(performance.now() - begun).toBeGreaterThan(CALL_MS - 50);
      await rig.noted('notifications/cancelled', upstream, before + 1);
      await nextCallWorks(upstream);
    },
  );

  it.each([
    ['errorWithoutId', 'answered with an error that names no request'],
    ['errorNullId', 'answered with an error that names no request'],
    ['wrongResult', 'sent a response with neither a result object nor an error'],
    ['arrayResult', 'sent a response with neither a result object nor an error'],
    ['nullResult', 'sent a response with neither a result object nor an error'],
    ['wrongError', 'sent a response with neither a result object nor an error'],
    ['wrongErrorCode', 'sent a response with neither a result object nor an error'],
  ])('%s is an error at once', async (tool, what) => {
    const begun = performance.now();
    isProtocolError(await call(upstream, tool), upstream, `upstream '${upstream}' ${what}`);
    expect(performance.now() - begun).toBeLessThan(CALL_MS);
    await nextCallWorks(upstream);
  });

  it.each(['halfThenExit', 'exit'])('%s: lost at once, a new child serves the next call, and nothing ran twice', async (tool) => {
    const answer = await call(upstream, tool);
    isFailure(answer, upstream, -31003, `upstream '${upstream}' closed the connection after the request was sent; the outcome is unknown`);
    await nextCallWorks(upstream);
    expect((await rig.journal(upstream)).filter((line) => line === `call ${tool}`)).toHaveLength(1);
  });

  it('a line of 100 MB is an error long before it ends, and its child is killed', async () => {
    const slow = `${upstream}Slow`;
    const pid = Number(textOf(await call(slow, 'pid')));
    isProtocolError(await call(slow, 'hugeLine'), slow, `upstream '${slow}' sent a line of more than 16 MiB`);
    await nextCallWorks(slow);
    expect(Number(textOf(await call(slow, 'pid')))).not.toBe(pid);
    await until(
      () => rig.children(),
      (pids) => !pids.includes(pid),
      8000,
    );
    // What could not be read is not kept either.
    expect(process.memoryUsage().rss).toBeLessThan(700 * 1024 * 1024);
  });

  it('100,000 brackets in a result pass', async () => {
    const answer = await call(upstream, 'deep');
    expect([answer.status, answer.body.error]).toEqual([200, undefined]);
    expect(answer.text).toContain('['.repeat(100_000));
    await nextCallWorks(upstream);
  });

  it('the first of two answers counts, and noise around an answer is dropped', async () => {
    expect(textOf(await call(upstream, 'twice'))).toBe('first');
    await nextCallWorks(upstream);
    expect(textOf(await call(upstream, 'noise'))).toBe('heard');
    await nextCallWorks(upstream);
  });

  it('an answer that comes after the cancel reaches nobody', async () => {
    const aborted = new AbortController();
    const calls = (await rig.journal(upstream)).filter((line) => line === 'call late').length;
    const lost =
      upstream === 'new'
        ? front.call('x_new_late', {}, { signal: aborted.signal, id: 41 })
        : session.call('x_old_late', {}, 41, { signal: aborted.signal });
    const gone = lost.catch((error: Error) => error.name);
    await rig.noted('call late', upstream, calls + 1);
    if (upstream === 'old') await session.send({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 41 } });
    aborted.abort();
    expect(await gone).toBe('AbortError');
    await nextCallWorks(upstream);
  });

  it('10,000 list_changed in a second are one or two lists more, and calls go on meanwhile', async () => {
    const lists = async () => (await rig.journal(upstream)).filter((line) => line === 'tools/list').length;
    const before = await lists();
    const begun = performance.now();
    const [storm, other] = await Promise.all([call(upstream, 'storm'), front.call('x_newSlow_echo')]);
    expect([textOf(storm), textOf(other)]).toEqual(['calm', 'echo']);
    await nextCallWorks(upstream);
    const seconds = (performance.now() - begun) / 1000;
    expect((await lists()) - before).toBeLessThanOrEqual(2 + Math.ceil(seconds));
  });
});

describe('a result type nobody knows', () => {
  it('is an error from a modern upstream, and a foreign member from a session one', async () => {
    isProtocolError(await front.call('x_new_unknownType'), 'new', 'The upstream sent a result type Turnpike does not know: mystery.');
    isProtocolError(await session.call('x_new_unknownType'), 'new', 'The upstream sent a result type Turnpike does not know: mystery.');
    const modern = await front.call('x_old_unknownType');
    expect([modern.body.result?.resultType, textOf(modern)]).toEqual(['complete', '?']);
    await nextCallWorks('new');
  });
});

describe('what an upstream lists', () => {
  it.each(['legacy', 'modern'] as const)('endless cursors end at 100 pages, looping ones at once (%s)', async (era) => {
    await using own = await GatewayRig.make();
    const client = await own.start({
      upstreams: [own.child({ name: 'endless', listing: 'endless', era }), own.child({ name: 'loop', listing: 'loop', era })],
    });
    const listed = await client.modern('tools/list');
    const names = namesOf(listed);
    expect(names.filter((name) => name.startsWith('x_endless_'))).toHaveLength(100);
    expect(names.filter((name) => name.startsWith('x_loop_'))).toHaveLength(2);
    expect((await own.journal('endless')).filter((line) => line === 'tools/list')).toHaveLength(100);
    expect((await own.journal('loop')).filter((line) => line === 'tools/list')).toHaveLength(2);
    expect(textOf(await client.call('x_endless_t7'))).toBe('echo');
  });

  it('names with control characters, and things that are no tools, are left out and told; their neighbours stay', async () => {
    await using own = await GatewayRig.make();
    const client = await own.start({
      upstreams: [own.child({ name: 'control', listing: 'control' }), own.child({ name: 'mixed', listing: 'mixed' })],
    });
    const listed = await client.modern('tools/list');
    const names = namesOf(listed);
    expect(names.filter((name) => name.startsWith('x_control'))).toEqual(['x_control_echo']);
    expect(names).toContain('x_mixed_echo');
    // JSON escapes control characters: neither form may be there.
    for (const hidden of ['\u0007', '\\u0007', '\u202e', '\\u202e']) expect(listed.text).not.toContain(hidden);
    const findings = own.gateway.status().findings.join('\n');
    expect(findings).toContain('the name holds hidden characters');
    for (const hidden of ['\u0007', '\u202e']) expect(findings).not.toContain(hidden);
    expect(textOf(await client.call('x_control_echo'))).toBe('echo');
    expect(textOf(await client.call('x_mixed_echo'))).toBe('echo');
    const hidden = await client.call('x_control_bad\u0007name');
    expect(hidden.body.error?.code).toBe(-32602);
    expect((await own.journal('control')).filter((line) => line.startsWith('call'))).toEqual(['call echo']);
  });

  it.each([
    ['none', 'did not answer tools/list within 0.5s'],
    ['wrong', 'answered tools/list without a list'],
    ['mute', 'server startup timeout after 1s'],
  ])('%s: the upstream is missing and says why; the others are served at once', async (listing, why) => {
    await using own = await GatewayRig.make();
    const more = { timeouts: { list: '500ms', startup: '1s', call: '400ms' } };
    const client = await own.start({ upstreams: [own.child({ name: 'bad', listing, more }), own.child({ name: 'good' })] });
    const listed = await client.modern('tools/list');
    const meta = listed.body.result?._meta as { 'turnpike/unavailable'?: { upstream: string; reason: string }[] };
    expect(meta['turnpike/unavailable']?.map(({ upstream }) => upstream)).toEqual(['bad']);
    const status = own.gateway.status().upstreams.find(({ name }) => name === 'bad');
    expect(status?.lastError).toContain(why);
    expect(textOf(await client.call('x_good_echo'))).toBe('echo');
  });
});
