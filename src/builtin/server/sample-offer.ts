import { type Clock, sleep } from '../../core/clock.ts';
import { TurnpikeError } from '../../core/errors.ts';
import type { JsonObject } from '../../core/mcp.ts';
import type { BuiltinOffer, BuiltinTool } from './server.ts';

/** Whoever a call is made for, in tests. */
export interface SampleContext {
  readonly user: string;
  readonly clock: Clock;
  /** What the tools did. */
  readonly done: string[];
}

const READ = { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: true };
const DESTROY = { readOnlyHint: false, destructiveHint: true, idempotentHint: true, openWorldHint: true };
const NO_INPUT: JsonObject = { type: 'object', additionalProperties: false };
const ANYTHING: JsonObject = { type: 'object' };

function tool(
  name: string,
  run: BuiltinTool<SampleContext>['run'],
  inputSchema: JsonObject = NO_INPUT,
  outputSchema: JsonObject = ANYTHING,
  annotations = READ,
): BuiltinTool<SampleContext> {
  return { name, title: `The ${name}`, description: `Does ${name}.`, annotations, inputSchema, outputSchema, run };
}

const text = (said: string) => ({ type: 'text', text: said });
const CONFIRM = { type: 'object', properties: { sure: { type: 'boolean', title: 'Sure?' } }, required: ['sure'] };

const WHOAMI = tool('whoami', async (_, { context }) => ({ content: [text(context.user)], structuredContent: { user: context.user } }), NO_INPUT, {
  type: 'object',
  properties: { user: { type: 'string' } },
  required: ['user'],
  additionalProperties: false,
});

const ADD = tool(
  'add',
  async ({ a, b }) => ({ content: [text(String(Number(a) + Number(b)))], structuredContent: { sum: Number(a) + Number(b) } }),
  {
    type: 'object',
    properties: { a: { type: 'integer', description: 'The first summand. Any.' }, b: { type: 'integer', minimum: 0 } },
    required: ['a', 'b'],
    additionalProperties: false,
  },
  { type: 'object', properties: { sum: { type: 'integer' } }, required: ['sum'], additionalProperties: false },
);

/** Tells of each of its three steps, and waits a second after each. */
const STEPS = tool('steps', async (_, call) => {
  for (const step of [1, 2, 3]) {
    call.progress(step, 3, `step ${step}`);
    call.log(step === 2 ? 'warning' : 'debug', { step });
    await sleep(call.context.clock, 1_000, call.signal);
    call.context.done.push(`step ${step}`);
  }
  return { content: [], structuredContent: { wanted: call.wantsProgress } };
});

/** Asks twice before it destroys. */
const DESTROYER = tool(
  'destroy',
  async ({ name }, call) => {
    if (!call.canElicit) return { content: [text('Cannot be confirmed: set confirm to allow.')], isError: true };
    const first = call.ask('first', `Destroy ${String(name)}?`, CONFIRM);
    if (first.action !== 'accept' || first.content.sure !== true) return { content: [text('Not destroyed.')], isError: true };
    const second = call.ask('second', `Really destroy ${String(name)}?`, CONFIRM);
    if (second.action !== 'accept' || second.content.sure !== true) return { content: [text('Not destroyed.')], isError: true };
    call.context.done.push(`destroyed ${String(name)}`);
    return { content: [text('Destroyed.')], structuredContent: {} };
  },
  { type: 'object', properties: { name: { type: 'string' } }, required: ['name'], additionalProperties: false },
  ANYTHING,
  DESTROY,
);

/** Asks in words that change with whoever it acts for. */
const TRANSFER = tool('transfer', async (_, call) => {
  call.ask('who', `Transfer as ${call.context.user}?`, CONFIRM);
  call.ask('sure', 'Sure?', CONFIRM);
  call.context.done.push('transferred');
  return { content: [] };
});

/** Goes on after its answer. */
const LINGERS = tool('lingers', async (_, call) => {
  const linger = async () => {
    await sleep(call.context.clock, 1_000, call.signal).catch(() => call.context.done.push('told that it is over'));
    call.progress(2);
    call.log('error', 'late');
  };
  call.progress(1);
  void linger();
  return { content: [] };
});

const FAILURES: readonly BuiltinTool<SampleContext>[] = [
  tool('fails', () => Promise.reject(new Error('password hunter2 is wrong'))),
  tool('throws', () => {
    throw new TypeError('at once');
  }),
  tool('refuses', () => Promise.reject(new TurnpikeError('request/params', 'No such project. List them first.'))),
  tool('insists', async (_, call) => ({ content: [text(call.ask('k', 'Well?', CONFIRM).action)] })),
  tool('swallows', async (_, call) => {
    try {
      call.ask('k', 'Well?', CONFIRM);
    } catch {
      // What must not be caught.
    }
    return { content: [text('went on')] };
  }),
  // Looks at no signal.
  tool('deaf', () => new Promise(() => {})),
  tool('unwritable', async () => ({ content: [{ type: 'text', text: 1n }] })),
  tool('wrong', async () => ({ content: [], structuredContent: { sum: 'four' } }), NO_INPUT, ADD.outputSchema),
];

/** A little of everything a built-in upstream may offer, for tests. */
export const SAMPLE_OFFER: BuiltinOffer<SampleContext> = {
  serverInfo: { name: 'sample', title: 'Sample', version: '1.2.3' },
  instructions: 'Call whoami first.',
  tools: [WHOAMI, ADD, STEPS, DESTROYER, TRANSFER, LINGERS, ...FAILURES],
  resources: [
    {
      uri: 'sample://me',
      name: 'me',
      title: 'Me',
      description: 'Who I am.',
      mimeType: 'text/plain',
      read: async (uri, { context }) => ({ contents: [{ uri, mimeType: 'text/plain', text: context.user }] }),
    },
  ],
  templates: [
    {
      uriTemplate: 'sample://{box}/file/{+path}',
      name: 'file',
      title: 'File',
      description: 'A file in a box.',
      complete: { box: async (typed, { context }) => [`${typed}-${context.user}`], path: () => new Promise(() => {}) },
      async read(uri, { box, path }, { context }) {
        if (path === 'none') return { contents: [] };
        if (path === 'broken') throw new Error('disk hunter2');
        return { contents: [{ uri, text: `${context.user} ${String(box)} ${String(path)}` }] };
      },
    },
  ],
  prompts: [
    {
      name: 'greet',
      title: 'Greet',
      description: 'Greets.',
      arguments: [
        { name: 'whom', description: 'Whom to greet.', required: true },
        { name: 'how', description: 'How.', required: false },
      ],
      complete: { whom: async (typed, { known }) => Array.from({ length: 25 }, (_, n) => `${typed}${known.how ?? ''}${n}`) },
      get: async ({ whom, how = 'Hello' }, { context }) => ({
        messages: [{ role: 'user', content: text(`${how} ${String(whom)} from ${context.user}`) }],
      }),
    },
  ],
};
