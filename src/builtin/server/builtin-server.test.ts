import { getEventListeners } from 'node:events';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TurnpikeError } from '../../core/errors.ts';
import { toJson } from '../../core/json.ts';
import { ManualClock } from '../../core/manual-clock.ts';
import type { JsonObject } from '../../core/mcp.ts';
import type { Relay, UpstreamCall } from '../../core/ports.ts';
import { MemoryStore } from '../../store/memory.ts';
import { listAll } from '../../upstream/capability-lists.ts';
import { Connector } from '../../upstream/connect.ts';
import type { Link } from '../../upstream/connection.ts';
import { EraMemory } from '../../upstream/era-memory.ts';
import { remote, sampleSettings } from '../../upstream/sample-transport.ts';
import { BuiltinServer, type BuiltinServerOptions } from './builtin-server.ts';
import { BuiltinTransport } from './builtin-transport.ts';
import { SAMPLE_OFFER, type SampleContext } from './sample-offer.ts';
import type { BuiltinOffer } from './server.ts';

const NEVER = new AbortController().signal;
const settle = () => new Promise<void>((resolve) => setImmediate(resolve));
const ENVELOPE = { 'io.modelcontextprotocol/protocolVersion': '2026-07-28', 'io.modelcontextprotocol/clientCapabilities': {} };
const FORMS = { elicitation: {} };

/** The gateway's own connector and peer in front of the server. */
class Rig {
  readonly clock = new ManualClock();
  readonly done: string[] = [];
  readonly failures: string[] = [];
  readonly transports: BuiltinTransport<SampleContext>[] = [];
  readonly said: [string, JsonObject][] = [];
  user = 'ann';
  /** Leases that are out. */
  leased = 0;
  /** What the source of contexts does before it gives a lease. */
  before: (signal: AbortSignal) => Promise<void> = async () => {};
  revoked = new AbortController();
  readonly #store = new MemoryStore(this.clock);
  readonly link: Promise<Link>;

  constructor(offer: BuiltinOffer<SampleContext> = SAMPLE_OFFER, options: Partial<BuiltinServerOptions> = {}, protocol = 'auto') {
    const server = new BuiltinServer(offer, {
      clock: this.clock,
      onFailure: (what, error) => void this.failures.push(`${what}: ${String(error)}`),
      ...options,
    });
    const connector = new Connector(sampleSettings({ target: remote('http://built-in.test/mcp'), protocol }), {
      clock: this.clock,
      reaper: { start: async () => {}, add: () => {}, remove: () => {} },
      environment: {},
      memory: new EraMemory(this.#store, () => {}),
      clientInfo: { name: 'turnpike', version: '1' },
      onStderr: () => {},
      onDropped: (_, what) => void this.said.push(['dropped', { what }]),
      transport: () => this.#transport(server),
    });
    this.link = connector.connect('', NEVER);
  }

  #transport(server: BuiltinServer<SampleContext>): BuiltinTransport<SampleContext> {
    const transport = new BuiltinTransport('S', server, async (_, signal) => {
      await this.before(signal);
      this.leased++;
      let released = false;
      return {
        context: { user: this.user, clock: this.clock, done: this.done },
        signal: this.revoked.signal,
        release: () => {
          if (!released) this.leased--;
          released = true;
        },
      };
    });
    this.transports.push(transport);
    return transport;
  }

  readonly relay: Relay = {
    notification: (method, params) => void this.said.push([method, JSON.parse(params.toString('utf8')) as JsonObject]),
    request: () => Promise.reject(new Error('asked')),
  };

  async request(method: string, params: JsonObject = {}, call: Partial<UpstreamCall> = {}): Promise<JsonObject> {
    const link = await this.link;
    const own = { method, params: toJson(params), capabilities: {}, progress: false, relay: this.relay, signal: NEVER, ...call };
    const answer = await link.request(own);
    return JSON.parse((answer.kind === 'result' ? answer.result : answer.error).toString('utf8')) as JsonObject;
  }

  call(name: string, args: JsonObject = {}, call: Partial<UpstreamCall> = {}): Promise<JsonObject> {
    return this.request('tools/call', { name, arguments: args }, call);
  }

  /** A call over the transport alone, with everything that it delivers. */
  async send(name: string): Promise<{ readonly delivered: JsonObject[]; readonly sent: Promise<void> | undefined }> {
    await this.link;
    const delivered: JsonObject[] = [];
    const params = { name, _meta: { ...ENVELOPE, progressToken: 7, 'io.modelcontextprotocol/logLevel': 'debug' } };
    const sent = this.transports[0]?.send(toJson({ jsonrpc: '2.0', id: 9, method: 'tools/call', params }), {
      signal: NEVER,
      expectsAnswer: true,
      deliver: (bytes) => delivered.push(JSON.parse(bytes.toString('utf8')) as JsonObject) < 0,
    });
    return { delivered, sent };
  }

  /** What is left behind; the store's own sweep is none of ours. */
  async left() {
    await (await this.link).close();
    await this.#store.close();
    return { leases: this.leased, running: this.transports.map(({ running }) => running), timers: this.clock.pending };
  }
}

let rig: Rig;
beforeEach(() => {
  rig = new Rig();
});
afterEach(async () => {
  expect(await rig.left()).toEqual({ leases: 0, running: [0], timers: 0 });
});

describe('discovery and lists', () => {
  it.each(['auto', '2026-07-28'])('the gateway finds a modern server and everything it offers, for nobody in particular (%s)', async (protocol) => {
    rig = new Rig(SAMPLE_OFFER, {}, protocol);
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
    rig = new Rig({ ...SAMPLE_OFFER, pageSize: 5, ttlMs: 7, cacheScope: 'public' });
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
    rig = new Rig({ serverInfo, tools });
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
    const refusal = (name: string) =>
      name === 'hidden' ? new TurnpikeError('policy/denied', 'hidden is not allowed in read-only mode', { rule: 'gitlab.readOnly' }) : undefined;
    rig = new Rig({ ...SAMPLE_OFFER, refusal });
    expect(await rig.call('hidden')).toMatchObject({ isError: true, content: [{ text: 'hidden is not allowed in read-only mode' }] });
    expect(await rig.call('none')).toEqual({ code: -32602, message: 'tool not found: none' });
  });

  it('holds results to their schema where tests ask for that', async () => {
    rig = new Rig(SAMPLE_OFFER, { checkOutputs: true });
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
