import { getEventListeners } from 'node:events';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TurnpikeError } from '../../core/errors.ts';
import { ManualClock } from '../../core/manual-clock.ts';
import type { JsonObject } from '../../core/mcp.ts';
import { listAll } from '../../upstream/capability-lists.ts';
import { BuiltinServer } from './builtin-server.ts';
import { SAMPLE_OFFER, type SampleContext } from './sample-offer.ts';
import { BuiltinRig, ENVELOPE, NEVER, settle } from './sample-rig.ts';
import type { BuiltinOffer, BuiltinTool } from './server.ts';

let rig: BuiltinRig;
beforeEach(() => {
  rig = new BuiltinRig();
});
afterEach(async () => {
  expect(await rig.left()).toEqual({ leases: 0, running: [0], timers: 0 });
});

describe('discovery and lists', () => {
  it.each(['auto', '2026-07-28'])('the gateway finds a modern server and everything it offers, for nobody in particular (%s)', async (protocol) => {
    rig = new BuiltinRig(SAMPLE_OFFER, {}, protocol);
    rig.before = () => Promise.reject(new Error('nobody asks'));
    const link = await rig.link;
    expect([link.era, link.version, link.serverInfo, link.instructions]).toEqual([
      'modern',
      '2026-07-28',
      SAMPLE_OFFER.serverInfo,
      'Call whoami first.',
    ]);
    expect(link.capabilities).toEqual({ tools: {}, logging: {}, prompts: {}, resources: {}, completions: {} });
    const { set, missing } = await listAll(link, { upstream: 'S', clock: rig.clock, timeoutMs: 1_000, signal: NEVER });
    expect(missing).toEqual([]);
    expect(set.lists.tools[0]?.parsed).toEqual({
      name: 'whoami',
      title: 'The whoami',
      description: 'Does whoami.',
      inputSchema: SAMPLE_OFFER.tools[0]?.inputSchema,
      outputSchema: SAMPLE_OFFER.tools[0]?.outputSchema,
      annotations: { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: true },
    });
    expect(set.lists.tools).toHaveLength(SAMPLE_OFFER.tools.length);
    expect([set.lists.resources, set.lists.templates, set.lists.prompts].map(([first]) => first?.parsed)).toEqual([
      { uri: 'sample://me', name: 'me', title: 'Me', description: 'Who I am.', mimeType: 'text/plain' },
      { uriTemplate: 'sample://{box}/file/{+path}', name: 'file', title: 'File', description: 'A file in a box.' },
      { name: 'greet', title: 'Greet', description: 'Greets.', arguments: SAMPLE_OFFER.prompts?.[0]?.arguments },
    ]);
    const caching = { ttlMs: 30_000, cacheScope: 'private' };
    expect(set.caching).toEqual({ tools: caching, prompts: caching, resources: caching, templates: caching });
  });

  it('lists in pages, and takes no cursor but its own', async () => {
    rig = new BuiltinRig({ ...SAMPLE_OFFER, pageSize: 5, ttlMs: 7, cacheScope: 'public' });
    const { set } = await listAll(await rig.link, { upstream: 'S', clock: rig.clock, timeoutMs: 1_000, signal: NEVER });
    expect(set.lists.tools.map(({ id }) => id)).toEqual(SAMPLE_OFFER.tools.map(({ name }) => name));
    const first = await rig.request('tools/list');
    expect([first.resultType, first.nextCursor, first.ttlMs, first.cacheScope, (first.tools as unknown[]).length]).toEqual([
      'complete',
      'page:1',
      7,
      'public',
      5,
    ]);
    expect((await rig.request('tools/list', { cursor: 'page:2' })).nextCursor).toBeUndefined();
    for (const cursor of ['page:3', 'page:0', 'page:01', 'page:1e1', 'x', '', 1, null]) {
      expect(await rig.request('tools/list', { cursor })).toMatchObject({ code: -32602 });
    }
  });

  it('declares only what it has, and what it does not declare is no method', async () => {
    const { serverInfo, tools } = SAMPLE_OFFER;
    rig = new BuiltinRig({ serverInfo, tools });
    expect((await rig.link).capabilities).toEqual({ tools: {}, logging: {} });
    for (const method of ['prompts/list', 'prompts/get', 'resources/list', 'resources/read', 'completion/complete', 'initialize', 'ping', 'x']) {
      expect(await rig.request(method, { name: 'a', uri: 'b' })).toEqual({ code: -32601, message: `method not found: ${method}` });
    }
  });
});

describe('calls', () => {
  it('acts for whoever calls', async () => {
    const first = await rig.call('whoami');
    rig.user = 'bob';
    const second = await rig.call('whoami');
    expect([first, second].map(({ structuredContent }) => structuredContent)).toEqual([{ user: 'ann' }, { user: 'bob' }]);
    expect(first).toMatchObject({ resultType: 'complete', _meta: { 'io.modelcontextprotocol/serverInfo': { name: 'sample' } } });
  });

  it('refuses arguments that do not fit before anything runs, and says what to do', async () => {
    expect(await rig.call('add', { a: 1, b: -1, c: 2 })).toMatchObject({
      isError: true,
      content: [
        {
          text:
            'Invalid arguments for add. Nothing was done. Correct these and call again:\n' +
            '- b: Expected a number of at least 0, got -1.\n- c: No such parameter. Remove it, or use one of a, b.',
        },
      ],
    });
    expect(await rig.request('tools/call', { name: 'add', arguments: [1, 2] })).toEqual({
      code: -32602,
      message: 'params.arguments must be an object',
    });
    expect(await rig.request('tools/call', { name: 7 })).toMatchObject({ code: -32602 });
    expect(await rig.call('toString')).toEqual({ code: -32602, message: 'tool not found: toString' });
    expect(await rig.request('tools/call', { name: 'whoami' })).toMatchObject({ structuredContent: { user: 'ann' } });
  });

  it.each([
    ['fails', 'fails failed: internal error', ['tools/call fails: Error: password hunter2 is wrong']],
    ['throws', 'throws failed: internal error', ['tools/call throws: TypeError: at once']],
    ['refuses', 'No such project. List them first.', []],
    ['unwritable', 'unwritable failed: internal error', [expect.stringContaining('BigInt')]],
  ])('what the handler of %s throws is a result without secrets', async (name, text, failures) => {
    const result = await rig.call(name);
    expect(result).toMatchObject({ resultType: 'complete', isError: true, content: [{ type: 'text', text }] });
    expect(JSON.stringify(result)).not.toContain('hunter2');
    expect(rig.failures).toEqual(failures);
  });

  it('says why a tool that exists is not offered', async () => {
    const [tool, ...tools] = SAMPLE_OFFER.tools;
    const refusal = new TurnpikeError('policy/denied', 'hidden is not allowed in read-only mode', { rule: 'gitlab.readOnly' });
    const hidden = { ...(tool as BuiltinTool<SampleContext>), name: 'hidden', meta: { own: 1 } };
    rig = new BuiltinRig({ ...SAMPLE_OFFER, tools, withheld: [{ tool: hidden, refusal }] });
    const { tools: listed } = (await rig.request('tools/list')) as { readonly tools: readonly JsonObject[] };
    // For the catalog, which lists it to nobody.
    const _meta = { 'turnpike/withheld': { rule: 'gitlab.readOnly', text: 'hidden is not allowed in read-only mode' } };
    expect(listed.filter((one) => JSON.stringify(one).includes('turnpike/withheld'))).toEqual([expect.objectContaining({ name: 'hidden', _meta })]);
    expect(await rig.call('hidden')).toMatchObject({ isError: true, content: [{ text: 'hidden is not allowed in read-only mode' }] });
    expect(await rig.call('none')).toEqual({ code: -32602, message: 'tool not found: none' });
  });

  it('holds results to their schema where tests ask for that', async () => {
    rig = new BuiltinRig(SAMPLE_OFFER, { checkOutputs: true });
    expect(await rig.call('add', { a: 1, b: 2 })).toMatchObject({ structuredContent: { sum: 3 } });
    expect(await rig.call('wrong')).toMatchObject({ isError: true });
    expect(rig.failures[0]).toContain('sum');
  });

  it('progress and logs leave only when asked for, at the level asked for, and never after the answer', async () => {
    const quiet = rig.call('steps');
    await settle();
    await rig.clock.advanceAsync(3_000, 100);
    expect([(await quiet).structuredContent, rig.said]).toEqual([{ wanted: false }, []]);
    const loud = rig.call('steps', {}, { progress: true, logLevel: 'info' });
    await settle();
    await rig.clock.advanceAsync(3_000, 100);
    expect((await loud).structuredContent).toEqual({ wanted: true });
    expect(rig.said).toEqual([
      ['notifications/progress', { progress: 1, total: 3, message: 'step 1' }],
      ['notifications/progress', { progress: 2, total: 3, message: 'step 2' }],
      ['notifications/message', { level: 'warning', data: { step: 2 } }],
      ['notifications/progress', { progress: 3, total: 3, message: 'step 3' }],
    ]);
  });

  it('a handler that goes on after its answer is told, and not heard', async () => {
    const { delivered, sent } = await rig.send('lingers');
    await sent;
    await settle();
    await rig.clock.advanceAsync(2_000, 500);
    expect(delivered.map(({ method, result }) => method ?? (result as JsonObject).resultType)).toEqual(['notifications/progress', 'complete']);
    expect(rig.done).toEqual(['told that it is over']);
  });

  it('leaves no listeners with signals that live longer', async () => {
    await rig.call('whoami');
    await rig.call('fails');
    expect([rig.revoked.signal, NEVER].map((signal) => getEventListeners(signal, 'abort').length)).toEqual([0, 0]);
  });

  it('a client that does not read holds nothing up and misses steps', async () => {
    const relay = { ...rig.relay, flow: { full: true, whenFree: () => {} } };
    const call = rig.call('steps', {}, { progress: true, relay });
    await settle();
    await rig.clock.advanceAsync(3_000, 100);
    expect([(await call).resultType, rig.said]).toEqual(['complete', []]);
  });
});

describe('resources, prompts, completions', () => {
  it('reads what has a URI, by itself or by a template', async () => {
    expect(await rig.request('resources/read', { uri: 'sample://me' })).toEqual({
      resultType: 'complete',
      contents: [{ uri: 'sample://me', mimeType: 'text/plain', text: 'ann' }],
      ttlMs: 30_000,
      cacheScope: 'private',
      _meta: expect.anything(),
    });
    const uri = 'sample://big%20box/file/a/b%2Fc.txt';
    expect(await rig.request('resources/read', { uri })).toMatchObject({ contents: [{ uri, text: 'ann big box a/b/c.txt' }] });
    for (const absent of ['sample://you', 'sample://x/file/none']) {
      expect(await rig.request('resources/read', { uri: absent })).toEqual({ code: -32602, message: `resource not found: ${absent}` });
    }
    expect(await rig.request('resources/read', { uri: 'sample://x/file/broken' })).toEqual({ code: -32603, message: 'Internal error.' });
    expect(rig.failures).toEqual(['resources/read: Error: disk hunter2']);
  });

  it('gets prompts, with the arguments they take', async () => {
    expect(await rig.request('prompts/get', { name: 'greet', arguments: { whom: 'you' } })).toMatchObject({
      description: 'Greets.',
      messages: [{ role: 'user', content: { text: 'Hello you from ann' } }],
    });
    expect(await rig.request('prompts/get', { name: 'none' })).toEqual({ code: -32602, message: 'prompt not found: none' });
    const wrong = [{}, { whom: 1 }, { whom: 'x', why: 'y' }, 'x'];
    for (const args of wrong) expect(await rig.request('prompts/get', { name: 'greet', arguments: args })).toMatchObject({ code: -32602 });
  });

  it('completes at most twenty, with what is known so far, and rather nothing than late', async () => {
    const complete = (ref: JsonObject, argument: JsonObject, context?: JsonObject) =>
      rig.request('completion/complete', { ref, argument, ...(context === undefined ? {} : { context }) });
    const prompt = { type: 'ref/prompt', name: 'greet' };
    const template = { type: 'ref/resource', uri: 'sample://{box}/file/{+path}' };
    const many = await complete(prompt, { name: 'whom', value: 'a' }, { arguments: { how: 'b' } });
    expect(many.completion).toMatchObject({ hasMore: true, values: expect.arrayContaining(['ab0', 'ab19']) });
    expect((many.completion as { values: string[] }).values).toHaveLength(20);
    expect((await complete(template, { name: 'box', value: 'x' })).completion).toEqual({ values: ['x-ann'], hasMore: false });
    const late = complete(template, { name: 'path', value: 'x' });
    await settle();
    await rig.clock.advanceAsync(5_000);
    expect((await late).completion).toEqual({ values: [], hasMore: false });
    expect(rig.failures).toHaveLength(1);
    expect((await complete(prompt, { name: 'toString', value: '' })).completion).toEqual({ values: [], hasMore: false });
    expect(await complete(prompt, { name: 1 })).toMatchObject({ code: -32602 });
    expect(await complete({ type: 'ref/prompt', name: 'none' }, { name: 'whom', value: '' })).toMatchObject({ code: -32602 });
  });
});

describe('the envelope', () => {
  const server = new BuiltinServer(SAMPLE_OFFER, { clock: new ManualClock() });
  const ask = async (params: JsonObject, method = 'server/discover') => {
    const request = { method, params, signal: NEVER, notify: () => {}, context: () => Promise.reject(new Error('nobody')) };
    const answer = await server.answer(request);
    return JSON.parse((answer.kind === 'result' ? answer.result : answer.error).toString('utf8')) as JsonObject;
  };
  it.each<[string, JsonObject, JsonObject]>([
    ['none', {}, { code: -32602, message: '_meta lacks io.modelcontextprotocol/protocolVersion' }],
    ['no object', { _meta: 1 }, { code: -32602 }],
    ['no capabilities', { _meta: { ...ENVELOPE, 'io.modelcontextprotocol/clientCapabilities': 1 } }, { code: -32602 }],
    ['no level', { _meta: { ...ENVELOPE, 'io.modelcontextprotocol/logLevel': 'loud' } }, { code: -32602 }],
    [
      'another revision',
      { _meta: { ...ENVELOPE, 'io.modelcontextprotocol/protocolVersion': '2025-11-25' } },
      { code: -32022, data: { supported: ['2026-07-28'], requested: '2025-11-25' } },
    ],
    ['a whole one', { _meta: ENVELOPE }, { resultType: 'complete', supportedVersions: ['2026-07-28'], ttlMs: 30_000, cacheScope: 'private' }],
  ])('%s', async (_, params, expected) => {
    expect(await ask(params)).toMatchObject(expected);
  });
});

describe('an offer with a mistake', () => {
  const clock = new ManualClock();
  const [tool] = SAMPLE_OFFER.tools;
  const make = (offer: Partial<BuiltinOffer<SampleContext>>) => new BuiltinServer({ ...SAMPLE_OFFER, ...offer }, { clock });
  it.each<[string, Partial<BuiltinOffer<SampleContext>>]>([
    ['a name twice', { tools: tool === undefined ? [] : [tool, tool] }],
    ['an input schema with an unknown keyword', { tools: tool === undefined ? [] : [{ ...tool, inputSchema: { not: {} } }] }],
    ['an output schema with an unknown keyword', { tools: tool === undefined ? [] : [{ ...tool, outputSchema: { not: {} } }] }],
    ['no page size', { pageSize: 0 }],
  ])('%s is refused', (_, offer) => {
    expect(() => make(offer)).toThrow(TypeError);
  });
});
