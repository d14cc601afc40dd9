import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BRIEF, GatewayRig } from '../fixtures/hostile/gateway-rig.ts';
import { type Answered, type Front, headOf, modernRequest, namesOf, type SessionClient, textOf } from '../fixtures/hostile/wire.ts';
import { until } from '../fixtures/processes.ts';

const CALL_MS = 800;

let rig: GatewayRig;
let front: Front;
let session: SessionClient;

beforeAll(async () => {
  rig = await GatewayRig.make();
  front = await rig.start({
    upstreams: [
      rig.child({ name: 'old', more: BRIEF }),
      rig.child({ name: 'new', era: 'modern', more: BRIEF }),
      rig.child({ name: 'oldSlow' }),
      rig.child({ name: 'newSlow', era: 'modern' }),
    ],
  });
  session = await front.session();
  for (const upstream of ['old', 'new'])
    await until(
      async () => textOf(await call(upstream, 'echo')),
      (text) => text === 'echo',
      15_000,
    );
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

describe.each(['old', 'new'])('a child that keeps the call waiting (%s)', (upstream) => {
  it.each(['nothing', 'garbage', 'halfThenSilence', 'badUtf8', 'stringId', 'foreignId', 'late'])(
    '%s: the call ends at its deadline, the child hears of it, the next one works',
    async (tool) => {
      const before = (await rig.journal(upstream)).filter((line) => line === 'notifications/cancelled').length;
      const begun = performance.now();
      const answer = await call(upstream, tool);
      isFailure(answer, upstream, -31002, `tool 'x_${upstream}_${tool}' timed out after 0.8s`);
      expect(performance.now() - begun).toBeLessThan(CALL_MS + 4000);
      expect(performance.now() - begun).toBeGreaterThan(CALL_MS - 50);
      await rig.noted('notifications/cancelled', upstream, before + 1);
      await nextCallWorks(upstream);
    },
  );
});

describe.each(['oldSlow', 'newSlow'])('a child that answers wrongly (%s)', (upstream) => {
  it.each([
    ['errorWithoutId', 'answered with an error that names no request'],
    ['errorNullId', 'answered with an error that names no request'],
    ['wrongResult', 'sent a response with neither a result object nor an error'],
    ['arrayResult', 'sent a response with neither a result object nor an error'],
    ['nullResult', 'sent a response with neither a result object nor an error'],
    ['wrongError', 'sent a response with neither a result object nor an error'],
    ['wrongErrorCode', 'sent a response with neither a result object nor an error'],
  ])('%s is an error at once', async (tool, what) => {
    isProtocolError(await call(upstream, tool), upstream, `upstream '${upstream}' ${what}`);
    await nextCallWorks(upstream);
  });

  it.each(['halfThenExit', 'exit'])('%s: lost at once, a new child serves the next call, and nothing ran twice', async (tool) => {
    const answer = await call(upstream, tool);
    isFailure(answer, upstream, -31003, `upstream '${upstream}' closed the connection after the request was sent; the outcome is unknown`);
    await nextCallWorks(upstream);
    expect((await rig.journal(upstream)).filter((line) => line === `call ${tool}`)).toHaveLength(1);
  });

  it('a line of 100 MB is an error long before it ends, and its child is killed', async () => {
    const pid = Number(textOf(await call(upstream, 'pid')));
    isProtocolError(await call(upstream, 'hugeLine'), upstream, `upstream '${upstream}' sent a line of more than 16 MiB`);
    await nextCallWorks(upstream);
    expect(Number(textOf(await call(upstream, 'pid')))).not.toBe(pid);
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
      upstream === 'newSlow'
        ? front.call('x_newSlow_late', {}, { signal: aborted.signal, id: 41 })
        : session.call('x_oldSlow_late', {}, 41, { signal: aborted.signal });
    const gone = lost.catch((error: Error) => error.name);
    await rig.noted('call late', upstream, calls + 1);
    if (upstream === 'oldSlow') await session.send({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 41 } });
    aborted.abort();
    expect(await gone).toBe('AbortError');
    await nextCallWorks(upstream);
  });
});

describe('a result type nobody knows', () => {
  it('is an error from a modern upstream, and a foreign member from a session one', async () => {
    isProtocolError(await front.call('x_newSlow_unknownType'), 'newSlow', 'The upstream sent a result type Turnpike does not know: mystery.');
    isProtocolError(await session.call('x_newSlow_unknownType'), 'newSlow', 'The upstream sent a result type Turnpike does not know: mystery.');
    const modern = await front.call('x_oldSlow_unknownType');
    expect([modern.body.result?.resultType, textOf(modern)]).toEqual(['complete', '?']);
    await nextCallWorks('newSlow');
  });
});

describe('what an upstream lists', () => {
  it.each(['legacy', 'modern'] as const)('10,000 list_changed in a second are one list a second, and calls go on (%s)', async (era) => {
    await using own = await GatewayRig.make();
    const client = await own.start({ upstreams: [own.child({ name: 'storm', listing: 'storm', era }), own.child({ name: 'calm' })] });
    const begun = performance.now();
    const leave = new AbortController();
    const listened = client.begin({ ...modernRequest('subscriptions/listen', { notifications: { toolsListChanged: true } }), signal: leave.signal });
    listened.on('error', () => {});
    const stream = headOf(listened);
    listened.end(modernRequest('subscriptions/listen', { notifications: { toolsListChanged: true } }).body);
    let heard = '';
    (await stream)
      .on('error', () => {})
      .on('data', (chunk: Buffer) => {
        heard += chunk.toString();
      });
    expect(textOf(await client.call('x_storm_echo'))).toBe('echo');
    expect(textOf(await client.call('x_calm_echo'))).toBe('echo');
    // The last announcements are read as well: the child notes the end right behind them, and one list follows it.
    const journal = await until(
      () => own.journal('storm'),
      (lines) => lines.includes('storm over') && lines.lastIndexOf('tools/list') > lines.indexOf('storm over'),
      10_000,
    );
    const lists = journal.filter((line) => line === 'tools/list').length;
    const seconds = (performance.now() - begun) / 1000;
    expect(lists).toBeLessThanOrEqual(2 + Math.ceil(seconds));
    const told = () => heard.split('notifications/tools/list_changed').length - 1;
    await until(told, (count) => count > 0, 5000);
    expect(told()).toBeLessThanOrEqual(1 + Math.ceil((performance.now() - begun) / 1000));
    expect(textOf(await client.call('x_storm_echo'))).toBe('echo');
    leave.abort();
  });

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
    ['none', 'did not answer tools/list within 0.5s', { list: '500ms' }],
    ['wrong', 'answered tools/list without a list', {}],
    ['mute', 'server startup timeout after 1s', { startup: '1s' }],
  ])('%s: the upstream is missing and says why; the others are served at once', async (listing, why, timeouts) => {
    await using own = await GatewayRig.make();
    const client = await own.start({ upstreams: [own.child({ name: 'bad', listing, more: { timeouts } }), own.child({ name: 'good' })] });
    const listed = await client.modern('tools/list');
    const meta = listed.body.result?._meta as { 'turnpike/unavailable'?: { upstream: string; reason: string }[] };
    expect(meta['turnpike/unavailable']?.map(({ upstream }) => upstream)).toEqual(['bad']);
    const status = own.gateway.status().upstreams.find(({ name }) => name === 'bad');
    expect(status?.lastError).toContain(why);
    expect(textOf(await client.call('x_good_echo'))).toBe('echo');
  });
});
